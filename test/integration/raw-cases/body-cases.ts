import {
  CHUNKED,
  chunk,
  event,
  HOST,
  JSON_TYPE,
  LAST_CHUNK,
  LIMITS,
  MARKER,
  NDJSON_TYPE,
  NOTE,
  padded,
  post,
  postChunked,
  type RawCase,
  refused,
  request,
  stored,
} from './raw-case.ts';

const unsupported = (name: string, ...headers: string[]) =>
  refused(`content type: ${name}`, post(event(), ...headers), 415, 'unsupported-media-type');
const typeStored = (name: string, type: string) => stored(`content type: ${name}`, post(event(), type));
const bad = (name: string, bytes: string, isEnded = false) =>
  refused(name, bytes, 400, 'bad-request', { isEnded });
const framed = (...headers: readonly string[]) =>
  request(['POST /v1/events HTTP/1.1', HOST, JSON_TYPE, ...headers], event());
const length = event().length;

/** Content types, and where a body begins and ends. */
export const bodyCases: readonly RawCase[] = [
  unsupported('none', NOTE),
  unsupported('empty', 'Content-Type:'),
  unsupported('text', 'Content-Type: text/plain'),
  unsupported('of a form', 'Content-Type: application/x-www-form-urlencoded'),
  unsupported('of another kind of event', 'Content-Type: application/cloudevents+json'),
  unsupported('of many events', NDJSON_TYPE),
  unsupported('no type', `Content-Type: ${MARKER}`),
  unsupported('any', 'Content-Type: */*'),
  unsupported('two in one header', 'Content-Type: application/json, application/json'),
  unsupported('twice the same', JSON_TYPE, JSON_TYPE),
  unsupported('two, the wrong one second', JSON_TYPE, 'Content-Type: text/plain'),
  unsupported('UTF-16', `${JSON_TYPE}; charset=utf-16`),
  unsupported('a charset in single quotes', `${JSON_TYPE}; charset='utf-8'`),
  unsupported('a charset that is empty', `${JSON_TYPE}; charset=`),
  unsupported('two charsets', `${JSON_TYPE}; charset=utf-8; charset=latin1`),
  typeStored('in capitals, with a charset in quotes', 'CONTENT-TYPE: APPLICATION/JSON; CHARSET="UTF-8"'),
  typeStored('with a parameter that nobody knows', `${JSON_TYPE};v=${MARKER}`),
  typeStored('with white space around it', 'Content-Type: \t application/json \t '),

  bad('a body that is shorter than its length', post(event()).slice(0, -1), true),
  {
    name: 'a body that is longer than its length: the rest is another request, and none',
    bytes: post(event()) + MARKER.repeat(3),
    answers: [{ status: 201 }, { status: 400, code: 'bad-request' }],
  },
  {
    name: 'a body without length is another request, and none',
    bytes: framed(),
    answers: [
      { status: 400, code: 'empty-body' },
      { status: 400, code: 'bad-request' },
    ],
  },
  bad('two different lengths', framed(`Content-Length: ${length}`, `Content-Length: ${length + 1}`)),
  bad('twice the same length', framed(`Content-Length: ${length}`, `Content-Length: ${length}`)),
  bad('two lengths in one header', framed(`Content-Length: ${length}, ${length}`)),
  bad('a length below zero', framed(`Content-Length: -${length}`)),
  bad('a length with a plus sign', framed(`Content-Length: +${length}`)),
  bad('a hexadecimal length', framed(`Content-Length: 0x${length.toString(16)}`)),
  bad('a length with a unit', framed(`Content-Length: ${length}b`)),
  bad('a length that is a word', framed(`Content-Length: ${MARKER}`)),
  bad('a length of nothing', framed('Content-Length:')),
  bad('a length that no integer holds', framed(`Content-Length: ${'9'.repeat(30)}`)),
  stored('a length with zeros before it', framed(`Content-Length: 000${length}`)),
  refused(
    'a length above the limit, and nothing of the body',
    post(event()).replace(`: ${length}`, ': 999999999'),
    413,
    'body-too-large',
  ),
  refused(
    'a length above the limit of a client that waits for 100-continue',
    request([
      'POST /v1/events HTTP/1.1',
      HOST,
      JSON_TYPE,
      NOTE,
      'Expect: 100-continue',
      `Content-Length: ${LIMITS.bodyBytesMax + 1}`,
    ]),
    413,
    'body-too-large',
  ),
  bad('a length and chunks', framed(`Content-Length: ${length}`, CHUNKED)),
  bad('chunks and a length', framed(CHUNKED, `Content-Length: ${length}`)),
  bad('a transfer coding that nobody knows', framed(`Transfer-Encoding: ${MARKER}`)),
  bad('the transfer coding identity', framed('Transfer-Encoding: identity', `Content-Length: ${length}`)),
  bad('chunks with something behind them', framed('Transfer-Encoding: chunked, gzip')),
  bad(
    'chunks that are compressed',
    postChunked(chunk(event()) + LAST_CHUNK).replace('chunked', 'gzip, chunked'),
  ),
  bad('chunks in chunks', postChunked(chunk(event()) + LAST_CHUNK).replace('chunked', 'chunked, chunked')),
  bad('chunks in chunks, in two headers', postChunked(chunk(event()) + LAST_CHUNK, CHUNKED)),
  bad('a space before the colon of Transfer-Encoding', framed('Transfer-Encoding : chunked')),
  bad('chunks in HTTP/1.0', postChunked(chunk(event()) + LAST_CHUNK).replace('HTTP/1.1', 'HTTP/1.0')),

  stored(
    'a chunk for each byte',
    postChunked([...event({ id: '' })].map((byte) => chunk(byte)).join('') + LAST_CHUNK, NOTE),
  ),
  stored(
    'a chunk size in capitals, with zeros before it',
    postChunked(chunk(padded(0xab)).replace('ab', '00AB') + LAST_CHUNK),
  ),
  stored('a chunk extension', postChunked(chunk(event(), `;${MARKER}="a;b"`) + LAST_CHUNK)),
  stored('a trailer', postChunked(`${chunk(event())}0\r\nX-Note: ${MARKER}\r\n\r\n`)),
  stored(
    'a trailer that would change the request',
    postChunked(`${chunk(event())}0\r\nContent-Type: text/plain\r\nHost: b\r\n\r\n`),
  ),
  bad('a trailer with a length', postChunked(`${chunk(event())}0\r\nContent-Length: 5\r\n\r\n`)),
  refused('no chunk but the last', postChunked(LAST_CHUNK, NOTE), 400, 'empty-body'),
  bad('a chunk size that is a word', postChunked(`${MARKER}\r\n${event()}`)),
  bad('a chunk size below zero', postChunked(`-1\r\n${event()}`)),
  bad('a chunk size with 0x', postChunked(`0x${chunk(event())}${LAST_CHUNK}`)),
  bad('a chunk size that no integer holds', postChunked(`${'f'.repeat(17)}\r\n${event()}`)),
  bad('no chunk size', postChunked(`\r\n${event()}\r\n${LAST_CHUNK}`)),
  bad('a chunk that is never filled', postChunked(`ffff\r\n${event()}`), true),
  bad('a chunk that is longer than its size', postChunked(`5\r\n${event()}\r\n${LAST_CHUNK}`)),
  bad(
    'chunks whose lines end in a line feed alone',
    postChunked((chunk(event()) + LAST_CHUNK).replaceAll('\r\n', '\n')),
  ),
  bad('chunks without a last one', postChunked(chunk(event())), true),
  bad('a last chunk without its empty line', postChunked(`${chunk(event())}0\r\n`), true),
  refused(
    'chunk extensions of 20 KiB',
    postChunked(chunk(event(), `;a=${MARKER.repeat(4_000)}`) + LAST_CHUNK),
    413,
    'body-too-large',
  ),
  refused(
    'a trailer of 20 KiB',
    postChunked(`${chunk(event())}0\r\nX-Note: ${MARKER.repeat(4_000)}\r\n\r\n`),
    431,
    'headers-too-large',
  ),
  refused(
    'chunks of more than a body may have',
    postChunked(chunk(padded(10_000)) + chunk(' '.repeat(LIMITS.bodyBytesMax - 10_000 + 1)) + LAST_CHUNK),
    413,
    'body-too-large',
  ),
  stored(
    'chunks of as much as a body may have',
    postChunked(chunk(padded(10_000)) + chunk(' '.repeat(LIMITS.bodyBytesMax - 10_000)) + LAST_CHUNK),
  ),
];
