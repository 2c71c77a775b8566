import type { ErrorCode } from '../../../src/errors.ts';

/** One connection on which somebody sends what nobody should, and what has to come back. */
export interface RawCase {
  readonly name: string;
  /** What is written at once: a character for each byte. */
  readonly bytes: string;
  /** What is answered, in this order. Nothing more may come before the connection is closed. */
  readonly answers: readonly ExpectedAnswer[];
  /** The client ends its side behind the bytes, before it reads. */
  readonly isEnded?: boolean;
  /** It never ends its side: the connection is closed all the same, behind the answers. */
  readonly isLeftOpen?: boolean;
  /** Written again and again behind the bytes, slowly: until the last answer has come, or for ever if it is left open. */
  readonly drip?: string;
}

export interface ExpectedAnswer {
  readonly status: number;
  /** Of the problem document. None: the answer is a success. */
  readonly code?: ErrorCode;
  /** Where the faults of an event are, all of them. */
  readonly pointers?: readonly string[];
  /** Of a batch: `stored`, or the code, for each result. */
  readonly results?: readonly string[];
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** To HEAD: there is no body. */
  readonly isToHead?: boolean;
}

type More = Partial<Pick<RawCase, 'isEnded' | 'drip'> & ExpectedAnswer>;

/** Is in every case, and may be in no answer and no line of the log. */
export const MARKER = 'xyzzy';
/** Stands for an id that the suite gives to each case, of the same length, and is answered. */
export const ID = 'raw-000';
/** Small, so that what is one too large is quick to send. */
export const LIMITS = { eventBytesMax: 4_096, bodyBytesMax: 16_384, batchEventsMax: 10 };

export const JSON_TYPE = 'Content-Type: application/json';
export const NDJSON_TYPE = 'Content-Type: application/x-ndjson';
export const CHUNKED = 'Transfer-Encoding: chunked';
export const HOST = 'Host: a';
/** For what has no other place for the marker. */
export const NOTE = `X-Note: ${MARKER}`;

/** A case that is answered once, with a problem. */
export function refused(
  name: string,
  bytes: string,
  status: number,
  code: ErrorCode,
  { isEnded, drip, ...more }: More = {},
): RawCase {
  return {
    name,
    bytes,
    answers: [{ status, code, ...more }],
    ...(isEnded && { isEnded }),
    ...(drip && { drip }),
  };
}

/** A case that is odd and an event all the same. */
export function stored(name: string, bytes: string, headers: ExpectedAnswer['headers'] = {}): RawCase {
  return { name, bytes, answers: [{ status: 201, headers }] };
}

/** An event that breaks rules at exactly these places. */
export function invalid(
  name: string,
  members: Readonly<Record<string, string>>,
  ...pointers: string[]
): RawCase {
  return refused(name, post(event(members)), 422, 'invalid-event', { pointers });
}

/** A batch that is answered with these results. */
export function results(
  name: string,
  bytes: string,
  status: number,
  each: readonly string[],
  headers: ExpectedAnswer['headers'] = {},
): RawCase {
  return { name, bytes, answers: [{ status, results: each, headers }] };
}

/** A valid event as JSON text, some of its members replaced or added, also as JSON text; an empty one is left out. */
export function event(members: Readonly<Record<string, string>> = {}): string {
  const all = {
    id: `"${ID}"`,
    type: `"${MARKER}"`,
    source_type: '"user"',
    source_id: `"${MARKER}"`,
    ...members,
  };
  const written = Object.entries(all).filter(([, value]) => value !== '');
  return `{${written.map(([name, value]) => `"${name}":${value}`).join(',')}}`;
}

/** The event with white space behind it up to a length. */
export const padded = (length: number, members?: Readonly<Record<string, string>>) =>
  event(members).padEnd(length, ' ');

/** Lines of a request's head, and a body behind them as it is. */
export const request = (lines: readonly string[], body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`;

/** A request with one event, in order but for what is given. */
export const post = (body: string, ...headers: readonly string[]) =>
  request(
    [
      'POST /v1/events HTTP/1.1',
      HOST,
      ...(headers.length > 0 ? headers : [JSON_TYPE]),
      `Content-Length: ${body.length}`,
    ],
    body,
  );

/** A request with one event in chunks that are written by hand. */
export const postChunked = (chunks: string, ...headers: readonly string[]) =>
  request(['POST /v1/events HTTP/1.1', HOST, JSON_TYPE, CHUNKED, ...headers], chunks);

export const chunk = (text: string, extension = '') =>
  `${text.length.toString(16)}${extension}\r\n${text}\r\n`;

export const LAST_CHUNK = '0\r\n\r\n';

/** A request with many events. */
export const postBatch = (body: string, type = JSON_TYPE, query = '', ...headers: readonly string[]) =>
  request(
    [`POST /v1/events/batch${query} HTTP/1.1`, HOST, type, ...headers, `Content-Length: ${body.length}`],
    body,
  );

/** Text as its bytes in UTF-8. */
export const utf8 = (text: string) => Buffer.from(text).toString('latin1');
