import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib';
import type { ErrorCode } from '../errors.ts';
import type { Hold } from './buffer-budget.ts';
import { freeNow } from './gathered-bytes.ts';

/** The largest chunk that is decoded before it is counted. */
const CHUNK_BYTES = 64 * 1024;
/** Beyond it more is sent than can be decoded: another instance, or a little later, is better than to wait on. */
const WAIT_MS_MAX = 1_000;

const decoders = {
  gzip: () => createGunzip({ chunkSize: CHUNK_BYTES }),
  /** The zlib format, as HTTP defines it (RFC 9110, 8.4.1.2). */
  deflate: () => createInflate({ chunkSize: CHUNK_BYTES }),
  br: () => createBrotliDecompress({ chunkSize: CHUNK_BYTES }),
  /** A window of 8 MiB at most (RFC 9659): the sender chooses how much memory the decoder takes. */
  zstd: () =>
    createZstdDecompress({ chunkSize: CHUNK_BYTES, params: { [constants.ZSTD_d_windowLogMax]: 23 } }),
};

export type ContentCoding = keyof typeof decoders;

export const CONTENT_CODINGS = Object.keys(decoders) as ContentCoding[];

/** The one coding that a Content-Encoding names; `undefined`: none. */
export function codingOf(contentEncoding: string | undefined): ContentCoding | 'unsupported' | undefined {
  if (contentEncoding === undefined) return undefined;
  const names = contentEncoding.toLowerCase().split(',');
  const codings = names.map((name) => name.trim()).filter((name) => name !== '' && name !== 'identity');
  const [first, ...others] = codings;
  if (first === undefined) return undefined;
  const given = first === 'x-gzip' ? 'gzip' : first; // RFC 9110, 8.4.1.3
  return others.length === 0 && Object.hasOwn(decoders, given) ? (given as ContentCoding) : 'unsupported';
}

/**
 * Decodes a body that has been received, and frees it. Its hold counts what is decoded before that is kept, so that a
 * few bytes which decode to many are refused when they reach a limit. Returns the decoded bytes, or why there are none.
 */
export type DecodeBody = (body: Buffer, coding: ContentCoding, hold: Hold) => Promise<Buffer | ErrorCode>;

/**
 * Decodes bodies in threads of Node's pool, one after the other: a decoder keeps up to 16 MiB (the window of Brotli)
 * that nothing counts, so there is one of them and no more, and one room for what it decodes.
 */
export function bodyDecoder(bodyBytesMax: number): DecodeBody {
  let room: Buffer | undefined;
  let latest: Promise<unknown> = Promise.resolve();
  return (body, coding, hold) => {
    const since = performance.now();
    const decoded = latest.then(() => {
      if (performance.now() - since > WAIT_MS_MAX) return 'buffer-full';
      room ??= Buffer.allocUnsafeSlow(bodyBytesMax);
      return decode(body, coding, hold, room);
    });
    latest = decoded.catch(() => {}); // for want of memory a decoder may not come to be; those behind it are not to fail
    return decoded;
  };
}

function decode(body: Buffer, coding: ContentCoding, hold: Hold, room: Buffer): Promise<Buffer | ErrorCode> {
  return new Promise((resolve) => {
    const decoder = decoders[coding]();
    let length = 0;
    const refuse = (code: ErrorCode) => {
      decoder.destroy();
      resolve(code);
    };
    decoder.on('data', (chunk: Buffer) => {
      if (length + chunk.length > room.length) return refuse('body-too-large');
      if (!hold.grow(chunk.length)) return refuse('buffer-full');
      chunk.copy(room, length);
      length += chunk.length;
      freeNow(chunk);
    });
    decoder.on('error', () => refuse('malformed-encoding'));
    decoder.on('end', () => {
      // Some decoders ignore what follows their last byte.
      if (decoder.bytesWritten < body.length) return refuse('malformed-encoding');
      hold.giveBack(body.length);
      hold.arrived();
      freeNow(body);
      const decoded = Buffer.allocUnsafeSlow(length);
      room.copy(decoded, 0, 0, length);
      resolve(decoded);
    });
    decoder.end(body);
  });
}
