import {
  chunk,
  event,
  HOST,
  ID,
  JSON_TYPE,
  LAST_CHUNK,
  LIMITS,
  MARKER,
  NOTE,
  padded,
  post,
  postBatch,
  postChunked,
  type RawCase,
  refused,
  request,
} from './raw-case.ts';

const other = (suffix: string) => post(event({ id: `"${ID}-${suffix}"` }));
const STORED = { status: 201 } as const;
const BAD = { status: 400, code: 'bad-request' } as const;

/** Several requests on a connection, and requests that do not come to an end. */
export const connectionCases: readonly RawCase[] = [
  {
    name: 'one that is refused between two good ones',
    bytes: other('a') + post(event({ type: '5' })) + other('b'),
    answers: [STORED, { status: 422, code: 'invalid-event' }, STORED],
  },
  {
    name: 'one of the wrong type, its body not read, before a good one',
    bytes: post(event(), 'Content-Type: text/plain') + other('b'),
    answers: [{ status: 415, code: 'unsupported-media-type' }, STORED],
  },
  {
    name: 'a body that is too large before a good one',
    bytes: post(padded(LIMITS.bodyBytesMax + 1)) + other('b'),
    answers: [{ status: 413, code: 'body-too-large' }, STORED],
  },
  {
    name: 'chunks that are too large before a good one',
    bytes: postChunked(chunk(padded(LIMITS.bodyBytesMax + 1)) + LAST_CHUNK) + other('b'),
    answers: [{ status: 413, code: 'body-too-large' }, STORED],
  },
  {
    name: 'a path that there is none of before a good one',
    bytes: post(event()).replace('/v1/events', '/v2/events') + other('b'),
    answers: [{ status: 404, code: 'not-found' }, STORED],
  },
  {
    name: 'no Host before a good one: nothing behind it is served',
    bytes: post(event()).replace(`${HOST}\r\n`, '') + other('b'),
    answers: [BAD],
  },
  {
    name: 'a batch between two events',
    bytes: other('a') + postBatch(`[${event()},{}]`) + other('b'),
    answers: [STORED, { status: 207, results: ['stored', 'invalid-event'] }, STORED],
  },
  {
    name: 'ten at once',
    bytes: Array.from({ length: 10 }, (_, index) => other(String(index))).join(''),
    answers: Array.from({ length: 10 }, () => STORED),
  },
  {
    name: 'a probe with a body that is a request',
    bytes: request(['GET /livez HTTP/1.1', HOST, `Content-Length: ${post(event()).length}`], post(event())),
    answers: [{ status: 200 }],
  },
  {
    name: 'a body that is a request',
    bytes: post(post(event())),
    answers: [{ status: 400, code: 'malformed-json' }],
  },
  {
    name: 'what is no HTTP between two good ones: nothing behind it is served',
    bytes: `${other('a')}${MARKER}\r\n\r\n${other('b')}`,
    answers: [STORED, BAD],
  },
  {
    name: 'a broken chunk between two good ones: nothing behind it is served',
    bytes: other('a') + postChunked(`${MARKER}\r\n`) + other('b'),
    answers: [STORED, BAD],
  },
  {
    name: 'a length and chunks before a good one: nothing behind it is served',
    bytes: postChunked(LAST_CHUNK, 'Content-Length: 5') + other('b'),
    answers: [BAD],
  },
  {
    name: 'a path that cannot be read before a good one: nothing behind it is served',
    bytes: post(event()).replace('/v1/events', '/%') + other('b'),
    answers: [BAD],
  },
  {
    name: 'a tunnel between two good ones: nothing behind it is served',
    bytes: other('a') + request(['CONNECT a:1 HTTP/1.1', HOST]) + other('b'),
    answers: [STORED, { status: 405, code: 'method-not-allowed' }],
  },
  {
    name: 'one with Connection: close before another: nothing behind it is served',
    bytes: post(event(), JSON_TYPE, 'Connection: close') + other('b'),
    answers: [{ status: 201, headers: { connection: 'close' } }],
  },
  {
    name: 'HTTP/1.0 before another: nothing behind it is served',
    bytes: post(event()).replace('1.1', '1.0') + other('b'),
    answers: [{ status: 201, headers: { connection: 'close' } }],
  },
  {
    name: 'a good one, and half of another',
    bytes: other('a') + other('b').slice(0, -1),
    answers: [STORED, BAD],
    isEnded: true,
  },
  {
    name: 'a good one, and half of a head',
    bytes: other('a') + other('b').slice(0, 40),
    answers: [STORED, BAD],
    isEnded: true,
  },
  {
    name: 'a client that ends its side behind its request',
    bytes: other('a'),
    answers: [STORED],
    isEnded: true,
  },
  refused(
    'half of a head, and the end',
    `POST /v1/events HTTP/1.1\r\nX-Note: ${MARKER}\r\n`,
    400,
    'bad-request',
    { isEnded: true },
  ),
];

const late = (name: string, bytes: string, drip?: string) =>
  refused(`slow: ${name}`, bytes, 408, 'request-timeout', {
    headers: { connection: 'close' },
    ...(drip && { drip }),
  });

/** What has not come in time; each takes seconds. */
export const slowCases: readonly RawCase[] = [
  late('a request line that stops', `POST /${MARKER}`),
  late('a head that stops', `POST /v1/events HTTP/1.1\r\n${NOTE}\r\n`),
  late('a head that comes byte by byte', `POST /v1/events HTTP/1.1\r\n${NOTE}`, 'x'),
  late('a head of which a line comes now and then', `POST /v1/events HTTP/1.1\r\n${NOTE}\r\n`, 'a: b\r\n'),
  late('empty lines for ever', `\r\n`, '\r\n'),
  late('a body that stops', post(event()).slice(0, -1)),
  late(
    'a body that has not begun',
    request(['POST /v1/events HTTP/1.1', HOST, JSON_TYPE, NOTE, 'Content-Length: 100']),
  ),
  late('a body that comes byte by byte', post(padded(500)).slice(0, -300), ' '),
  late('chunks without a last one', postChunked(chunk(event()))),
  late('chunks that come byte by byte', postChunked(chunk(event())), chunk(' ')),
  late('a trailer without end', postChunked(`${chunk(event())}0\r\n`), 'a: b\r\n'),
  late(
    'a client that waits for 100-continue and does not go on',
    request([
      'POST /v1/events HTTP/1.1',
      HOST,
      JSON_TYPE,
      NOTE,
      'Expect: 100-continue',
      'Content-Length: 100',
    ]),
  ),
  {
    name: 'slow: half of a request behind a good one',
    bytes: other('a') + other('b').slice(0, 60),
    answers: [STORED, { status: 408, code: 'request-timeout' }],
  },
  {
    name: 'slow: half of a body behind a good one',
    bytes: other('a') + other('b').slice(0, -1),
    answers: [STORED, { status: 408, code: 'request-timeout' }],
  },
  {
    name: 'slow: a body that was refused at its beginning and does not end',
    bytes: post(event(), 'Content-Type: text/plain').slice(0, -1),
    answers: [{ status: 415, code: 'unsupported-media-type' }],
    isLeftOpen: true,
  },
  {
    name: 'slow: chunks that were refused for their size and do not end',
    bytes: postChunked(chunk(padded(LIMITS.bodyBytesMax + 1))),
    answers: [{ status: 413, code: 'body-too-large' }],
    drip: chunk(MARKER),
    isLeftOpen: true,
  },
  {
    name: 'slow: a head that comes byte by byte behind one that was refused',
    bytes: post(event({ type: '5' })) + other('b').slice(0, 15),
    answers: [
      { status: 422, code: 'invalid-event' },
      { status: 408, code: 'request-timeout' },
    ],
    drip: 'x',
    isLeftOpen: true,
  },
];
