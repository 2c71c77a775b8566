/**
 * The one table of everything that can be answered instead of *stored*. Problem documents, per-event results
 * of a batch, the `/problems/<code>` pages and the specification are all written from it.
 *
 * `retryable` says whether sending the same event again, unchanged and with the same id, can succeed.
 */
export interface ErrorRow {
  /** The HTTP status of an answer that carries this code alone. */
  readonly status: number;
  /** A short summary that never changes from one occurrence to the next (RFC 9457, `title`). */
  readonly title: string;
  readonly retryable: boolean;
  /** What it means and what to do next: the text of the page `/problems/<code>`. */
  readonly explanation: string;
}

const row = (status: number, retryable: boolean, title: string, explanation: string): ErrorRow => ({
  status,
  title,
  retryable,
  explanation,
});

export const errors = {
  'malformed-json': row(
    400,
    false,
    'The body is not the JSON that is expected',
    'The body could not be read as JSON (RFC 8259), or is a batch that is no array. Nothing was stored. Correct the text and send it again.',
  ),
  'json-too-deep': row(
    400,
    false,
    'The JSON is nested too deeply',
    'Arrays and objects inside an event may be nested to the depth that the specification states for `data`. Nothing was stored.',
  ),
  'duplicate-key': row(
    400,
    false,
    'A member is given twice',
    'An object holds the same member name more than once (names are compared after unescaping). Readers disagree on which one counts, so the event is refused rather than guessed at.',
  ),
  'forbidden-key': row(
    400,
    false,
    'A member name is not allowed',
    'The name `__proto__` is refused at every depth, because it changes the meaning of objects in some consumers.',
  ),
  'invalid-utf8': row(
    400,
    false,
    'The body is not valid UTF-8',
    'JSON is exchanged as UTF-8 without a byte order mark. Bytes that are not UTF-8 would be stored as something that was not sent.',
  ),
  'malformed-encoding': row(
    400,
    false,
    'The body could not be decoded',
    'The body is not, or not only, what its Content-Encoding says: the data is damaged, incomplete, in another format, or something follows it. Nothing was stored.',
  ),
  'empty-body': row(400, false, 'The body is empty', 'The request has no body, or one of white space only.'),
  'bad-request': row(
    400,
    false,
    'The request could not be read',
    'The request line, a header, or the framing of the body is not valid HTTP.',
  ),
  unauthorized: row(
    401,
    false,
    'Authentication is required',
    'The request carries no credentials, or credentials that are not valid. The header WWW-Authenticate names the scheme.',
  ),
  forbidden: row(
    403,
    false,
    'Not allowed',
    'The credentials are valid, but do not allow this action, or not for this source type.',
  ),
  'not-found': row(
    404,
    false,
    'No such resource',
    'There is nothing at this path, or nothing that the credentials allow to read. An event that was just sent may still be on its way.',
  ),
  'method-not-allowed': row(
    405,
    false,
    'The method is not allowed here',
    'The header Allow lists the methods that this path answers to.',
  ),
  'request-timeout': row(
    408,
    true,
    'The request did not arrive in time',
    'The headers or the body were sent too slowly. Nothing was stored.',
  ),
  'body-too-large': row(
    413,
    false,
    'The body is too large',
    'The body, decoded, is larger than this service takes in one request. Send the events in several requests.',
  ),
  'event-too-large': row(
    413,
    false,
    'The event is too large',
    'The event is larger than this service, or the Kafka topic behind it, takes. Send a reference to the content instead of the content.',
  ),
  'batch-too-large': row(
    413,
    false,
    'The batch holds too many events',
    'The batch holds more events than this service takes in one request. Split it.',
  ),
  'uri-too-long': row(
    414,
    false,
    'The request target is too long',
    'The path or the query string is too long.',
  ),
  'unsupported-media-type': row(
    415,
    false,
    'The content type is not supported',
    'Send one Content-Type header that the operation lists, in UTF-8.',
  ),
  'unsupported-encoding': row(
    415,
    false,
    'The content encoding is not supported',
    'Send the body as it is, or with one of the codings that the header Accept-Encoding lists.',
  ),
  'invalid-event': row(
    422,
    false,
    'The event is not valid',
    'The JSON was read, but it is not an event as the specification describes it. The member `errors` points at each fault.',
  ),
  'invalid-request': row(
    422,
    false,
    'A parameter is not valid',
    'A query parameter has a value that the specification does not allow. The member `errors` points at it.',
  ),
  'batch-empty': row(422, false, 'The batch is empty', 'A batch holds at least one event.'),
  'batch-aborted': row(
    422,
    true,
    'Not sent because a neighbour was refused',
    'The request asked for `on_refused=abort` and another event of the batch was refused, so this one was not sent.',
  ),
  'rate-limited': row(
    429,
    true,
    'Too many requests',
    'The client has used up its share of requests or bytes. Nothing was stored; send the request again after the time in Retry-After.',
  ),
  'headers-too-large': row(
    431,
    false,
    'The headers are too large',
    'The request headers are larger than this service takes.',
  ),
  'internal-error': row(
    500,
    true,
    'Internal error',
    'A fault in this service. The outcome is not known; send the request again, an event with the same id. The log holds the reason under the request id.',
  ),
  'event-too-large-to-read': row(
    507,
    false,
    'The event is too large to be read',
    'The event that was asked for, or the next one of the list, is larger than a third of BUFFER_MAX_BYTES, which this instance never has room for. An operator has to raise that setting of the query API.',
  ),
  'auth-unavailable': row(
    503,
    true,
    'Credentials cannot be checked now',
    'What it takes to check the credentials is being fetched from their issuer. Nothing was stored; send the request again after the time in Retry-After.',
  ),
  'buffer-full': row(
    503,
    true,
    'The buffer is full',
    'Kafka takes events more slowly than they arrive and the buffer is at its limit. The event is certainly not stored; send it again after the time in Retry-After.',
  ),
  'too-many-connections': row(
    503,
    true,
    'Too many connections',
    'As many connections are open as this instance takes. Nothing was read from this one, so nothing was stored; send the request again after the time in Retry-After, on a connection that is open already if there is one.',
  ),
  'kafka-unavailable': row(
    503,
    true,
    'Kafka is not available',
    'Kafka could not take the event in time. The event is certainly not stored; send it again after the time in Retry-After.',
  ),
  'topic-missing': row(
    503,
    true,
    'The Kafka topic does not exist',
    'The configured topic does not exist in the Kafka cluster. An operator has to create it. The event is certainly not stored.',
  ),
  'topic-forbidden': row(
    503,
    true,
    'The Kafka topic is forbidden',
    'The Kafka user of this service may not write to the configured topic. An operator has to grant it. The event is certainly not stored.',
  ),
  'kafka-refused': row(
    503,
    true,
    'Kafka refused the record',
    'Kafka refuses the records of this service, which points at the configuration of the topic or the broker. An operator has to correct it; the log names the error. The event is certainly not stored.',
  ),
  'store-unavailable': row(
    503,
    true,
    'The event store is not available',
    'The database that keeps the events for reading cannot be asked now. Nothing is known of what is in it; ask again after the time in Retry-After.',
  ),
  busy: row(
    503,
    true,
    'Too many requests are under way',
    'As many requests are being answered, or are waiting, as this instance has room for. Ask again after the time in Retry-After.',
  ),
  'shutting-down': row(
    503,
    true,
    'The service is stopping',
    'This instance is stopping. Nothing was stored; send the request again, another instance will answer.',
  ),
  'outcome-unknown': row(
    504,
    true,
    'The outcome is not known',
    'The event was sent to Kafka, but no answer that settles it came in time: it may be stored or not. Send it again with the same id; consumers drop the copy.',
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errors;

/** The row of a code. */
export function errorRow(code: ErrorCode): ErrorRow {
  return errors[code];
}
