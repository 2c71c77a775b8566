import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
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
  post,
  postBatch,
  type RawCase,
  refused,
  request,
  results,
  stored,
} from './raw-case.ts';

/** What is encoded has its id from the service, as the suite could not put one in. */
const EVENT = event({ id: '' });
const encode = (encoder: (bytes: Buffer) => Buffer, text: string) =>
  encoder(Buffer.from(text, 'latin1')).toString('latin1');
const gzip = (text: string) => encode(gzipSync, text);
const zlib = (text: string) => encode(deflateSync, text);
const brotli = (text: string) => encode(brotliCompressSync, text);
const zstd = (text: string) => encode(zstdCompressSync, text);

/** A frame of zstd with the text as it is, that says how large a window it needs (RFC 8878, 3.1.1). */
const zstdWithWindow = (windowLog: number, text: string) => {
  const blockHeader = (text.length << 3) | 1;
  const bytes = [
    0x28,
    0xb5,
    0x2f,
    0xfd,
    0x00,
    (windowLog - 10) << 3,
    blockHeader & 0xff,
    blockHeader >> 8,
    0,
  ];
  return Buffer.from(bytes).toString('latin1') + text;
};
/** A zlib stream that wants a dictionary (RFC 1950, FDICT). */
const withDictionary = (text: string) =>
  encode((bytes) => deflateSync(bytes, { dictionary: Buffer.from(MARKER) }), text);

const encoded = (body: string, coding: string) => post(body, JSON_TYPE, NOTE, `Content-Encoding: ${coding}`);
const unreadable = (name: string, body: string, coding: string) =>
  refused(`coding: ${name}`, encoded(body, coding), 400, 'malformed-encoding');
const unsupported = (name: string, body: string, ...headers: readonly string[]) =>
  refused(`coding: ${name}`, post(body, JSON_TYPE, NOTE, ...headers), 415, 'unsupported-encoding', {
    headers: { 'accept-encoding': 'gzip, deflate, br, zstd' },
  });

/** Content-Encoding, and bodies that are not what it says. */
export const codingCases: readonly RawCase[] = [
  stored('coding: gzip', encoded(gzip(EVENT), 'gzip')),
  stored('coding: deflate', encoded(zlib(EVENT), 'deflate')),
  stored('coding: br', encoded(brotli(EVENT), 'br')),
  stored('coding: zstd', encoded(zstd(EVENT), 'zstd')),
  stored('coding: the old name of gzip, in capitals', encoded(gzip(EVENT), 'X-GZIP')),
  stored('coding: identity', encoded(event(), 'identity')),
  stored('coding: identity beside another', encoded(gzip(EVENT), 'identity, gzip')),
  stored('coding: none, in an empty header', encoded(event(), '')),
  stored(
    'coding: gzip in two members (RFC 1952)',
    encoded(gzip(EVENT.slice(0, 20)) + gzip(EVENT.slice(20)), 'gzip'),
  ),
  stored(
    'coding: gzip in chunks',
    request(
      ['POST /v1/events HTTP/1.1', HOST, JSON_TYPE, NOTE, CHUNKED, 'Content-Encoding: gzip'],
      [...gzip(EVENT)].map((byte) => chunk(byte)).join('') + LAST_CHUNK,
    ),
  ),
  stored('coding: zstd that needs a window of 8 MiB', encoded(zstdWithWindow(23, EVENT), 'zstd')),
  unreadable('zstd that needs a window of 16 MiB', zstdWithWindow(24, EVENT), 'zstd'),
  unreadable('gzip that is cut off', gzip(EVENT).slice(0, -1), 'gzip'),
  unreadable('gzip with something behind it', gzip(EVENT) + MARKER, 'gzip'),
  unreadable('zstd with an event behind it', zstd(EVENT) + EVENT, 'zstd'),
  unreadable('br with a zero behind it', `${brotli(EVENT)}\0`, 'br'),
  unreadable('gzip with a wrong checksum', `${gzip(EVENT).slice(0, -8)}${'\0'.repeat(8)}`, 'gzip'),
  unreadable('text that claims to be gzip', event(), 'gzip'),
  unreadable('gzip that claims to be br', gzip(EVENT), 'br'),
  unreadable('deflate without its wrapper', encode(deflateRawSync, EVENT), 'deflate'),
  unreadable('deflate that wants a dictionary', withDictionary(EVENT), 'deflate'),
  refused('coding: gzip that is not declared', post(gzip(EVENT), JSON_TYPE, NOTE), 400, 'invalid-utf8'),
  refused('coding: gzip twice, declared once', encoded(gzip(gzip(EVENT)), 'gzip'), 400, 'invalid-utf8'),
  refused('coding: gzip of no JSON', encoded(gzip(`{"id":${MARKER}`), 'gzip'), 400, 'malformed-json'),
  refused('coding: gzip of nothing', encoded(gzip(''), 'gzip'), 400, 'empty-body'),
  refused('coding: nothing that claims to be gzip', encoded('', 'gzip'), 400, 'empty-body'),
  stored(
    'coding: as much as a body may have, decoded',
    encoded(gzip(EVENT.padEnd(LIMITS.bodyBytesMax)), 'gzip'),
  ),
  refused(
    'coding: more by one than a body may have, decoded',
    encoded(gzip(EVENT.padEnd(LIMITS.bodyBytesMax + 1)), 'gzip'),
    413,
    'body-too-large',
  ),
  refused('coding: a bomb of gzip', encoded(gzip(' '.repeat(8_000_000)), 'gzip'), 413, 'body-too-large'),
  refused('coding: a bomb of br', encoded(brotli(' '.repeat(1_000_000)), 'br'), 413, 'body-too-large'),
  unsupported('one that nobody knows', event(), `Content-Encoding: ${MARKER}`),
  unsupported('one that HTTP knows and the service does not', event(), 'Content-Encoding: compress'),
  unsupported('two', brotli(gzip(EVENT)), 'Content-Encoding: gzip, br'),
  unsupported(
    'twice the same, in two headers',
    gzip(EVENT),
    'Content-Encoding: gzip',
    'Content-Encoding: gzip',
  ),
  unsupported('one with a quality', gzip(EVENT), 'Content-Encoding: gzip;q=1.0'),
  unsupported('a name of Object.prototype', event(), 'Content-Encoding: constructor'),
  unsupported('any', event(), 'Content-Encoding: *'),
  refused(
    'coding: of the wrong type as well',
    post(event(), 'Content-Type: text/plain', `Content-Encoding: ${MARKER}`),
    415,
    'unsupported-media-type',
  ),
  results(
    'coding: lines in zstd, one of them unreadable',
    postBatch(zstd(`${EVENT}\n${MARKER}\n${EVENT}`), NDJSON_TYPE, '', NOTE, 'Content-Encoding: zstd'),
    207,
    ['stored', 'malformed-json', 'stored'],
  ),
  {
    name: 'coding: encoded ones before others, and what is no HTTP behind them',
    bytes: `${encoded(gzip(EVENT), 'gzip')}${post(event())}${encoded(event(), 'br')}${encoded(zstd(EVENT), 'zstd')}${MARKER}\r\n\r\n`,
    answers: [
      { status: 201 },
      { status: 201 },
      { status: 400, code: 'malformed-encoding' },
      { status: 201 },
      { status: 400, code: 'bad-request' },
    ],
  },
];
