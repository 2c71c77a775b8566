import type { IncomingMessage } from 'node:http';
import type { ErrorCode } from '../errors.ts';
import type { BufferBudget, Hold } from './buffer-budget.ts';
import { isAbort, socketErrorCode } from './socket-errors.ts';

export type MediaType = 'application/json' | 'application/x-ndjson';

export type ReceivedBody =
  /** Complete, and counted on `hold`, which the receiver has to close or hand on. */
  | {
      readonly status: 'received';
      readonly bytes: Buffer;
      readonly hold: Hold;
      readonly mediaType: MediaType;
    }
  | { readonly status: 'refused'; readonly code: ErrorCode }
  /** The connection ended before the body did: there is nobody to answer. */
  | { readonly status: 'aborted' };

export interface ReceiveLimits {
  readonly budget: BufferBudget;
  readonly bodyBytesMax: number;
}

const NO_BYTES = Buffer.alloc(0);
/** So much of an announced body is counted before it comes: few senders that stall could hold all the room otherwise. */
const AHEAD_BYTES = 256 * 1024;
/** Less than this is not worth the call; most events are smaller. */
const FREE_BYTES_MIN = 4096;

/**
 * Receives the body of a request into one buffer, and counts it before it is kept (promise P3), a little ahead of what
 * has come if its length is announced: so most bodies that have begun have room until their end, and no half of one is
 * received only to be thrown away.
 *
 * A refusal does not wait for the rest of the body: that is read and thrown away, so that the client gets to read its
 * answer, and what follows on the connection is understood. How long that may take is the server's requestTimeout.
 */
export function receiveBody(
  request: IncomingMessage,
  { budget, bodyBytesMax }: ReceiveLimits,
  mediaTypes: readonly MediaType[] = ['application/json'],
): Promise<ReceivedBody> {
  const mediaType = mediaTypeOf(request, mediaTypes);
  const refusal =
    mediaType === undefined ? 'unsupported-media-type' : refusalByHeaders(request, bodyBytesMax);
  // The parser has checked it, and delivers no more than that.
  const announcedLength = Number(request.headers['content-length'] ?? 0);
  if (mediaType === undefined || refusal !== undefined) {
    discardBody(request);
    return Promise.resolve({ status: 'refused', code: refusal ?? 'unsupported-media-type' });
  }
  const hold = budget.open();

  return new Promise((resolve) => {
    let bytes: Buffer = NO_BYTES;
    let length = 0;
    let isOver = false;
    let counted = 0;
    const hasRoom = (needed: number): boolean => {
      if (needed <= counted) return true;
      if (counted === 0 && needed === announcedLength) return hold.take(needed);
      const ahead = Math.min(announcedLength, needed + AHEAD_BYTES);
      const more = Math.max(needed, ahead) - counted;
      counted += more;
      return hold.grow(more);
    };
    const finish = (result: ReceivedBody) => {
      if (isOver) return;
      isOver = true;
      if (result.status === 'received') {
        hold.arrived();
      } else {
        freeNow(bytes);
        bytes = NO_BYTES;
        hold.close();
      }
      resolve(result);
    };
    request.on('data', (chunk: Buffer) => {
      if (isOver) return freeNow(chunk);
      const needed = length + chunk.length;
      if (needed > bodyBytesMax || !hasRoom(needed)) {
        freeNow(chunk);
        return finish({
          status: 'refused',
          code: needed > bodyBytesMax ? 'body-too-large' : 'buffer-full',
        });
      }
      bytes = length === 0 ? chunk : appended(bytes, length, chunk, announcedLength);
      length = needed;
    });
    request.on('end', () => {
      if (!isOver) finish({ status: 'received', bytes: trimmed(bytes, length), hold, mediaType });
    });
    // What the parser finds wrong with a body is reported here, see SocketErrors.
    request.on('error', (error) =>
      finish(isAbort(error) ? { status: 'aborted' } : { status: 'refused', code: socketErrorCode(error) }),
    );
    request.on('close', () => finish({ status: 'aborted' }));
  });
}

/** Reads the body of a request that is refused without it, so that what follows it is understood. */
export function discardBody(request: IncomingMessage): void {
  request.on('data', freeNow);
}

function refusalByHeaders({ headers }: IncomingMessage, bodyBytesMax: number): ErrorCode | undefined {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return 'unsupported-media-type';
  return Number(headers['content-length']) > bodyBytesMax ? 'body-too-large' : undefined;
}

/** The one media type that is given, in UTF-8 if a charset is. Other parameters mean nothing for JSON. */
function mediaTypeOf(
  { headers, rawHeaders }: IncomingMessage,
  mediaTypes: readonly MediaType[],
): MediaType | undefined {
  const contentType = headers['content-type'];
  if (contentType === undefined || isGivenTwice(rawHeaders, 'content-type')) return undefined;
  const exact = mediaTypes.find((mediaType) => mediaType === contentType);
  if (exact !== undefined) return exact;
  const [given = '', ...parameters] = contentType.toLowerCase().split(';');
  const mediaType = mediaTypes.find((each) => each === given.trim());
  return parameters.every(isUtf8OrNoCharset) ? mediaType : undefined;
}

function isUtf8OrNoCharset(parameter: string): boolean {
  const [name = '', value = ''] = parameter.split('=');
  return name.trim() !== 'charset' || /^(utf-8|"utf-8")$/.test(value.trim());
}

/** Node keeps the first of two headers of some names and drops the other, where a proxy may have kept the other. */
function isGivenTwice(rawHeaders: readonly string[], name: string): boolean {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const given = rawHeaders[index] as string;
    if (given.length === name.length && given.toLowerCase() === name) count += 1;
  }
  return count > 1;
}

/**
 * The first `length` bytes of `bytes`, and `chunk` behind them. Chunks are copied together rather than collected,
 * because a body that is sent byte by byte would else cost a hundred times what is counted. Room is made once for a
 * body whose length was announced; what does not come is never touched, and so never becomes resident.
 */
function appended(bytes: Buffer, length: number, chunk: Buffer, announcedLength: number): Buffer {
  const needed = length + chunk.length;
  let all = bytes;
  if (needed > bytes.length) {
    all = Buffer.allocUnsafeSlow(Math.max(needed, announcedLength || 2 * bytes.length));
    bytes.copy(all, 0, 0, length);
    freeNow(bytes);
  }
  chunk.copy(all, length);
  freeNow(chunk);
  return all;
}

/** Without the room that was made for more; a buffer that has some is one of {@link appended}, and ours alone. */
function trimmed(bytes: Buffer, length: number): Buffer {
  return length === bytes.length ? bytes : Buffer.from((bytes.buffer as ArrayBuffer).transfer(length));
}

/**
 * Gives the memory of bytes back that nobody refers to any more. The garbage collector takes its time with memory
 * outside its heap: tens of megabytes of bodies that were received and refused would stay resident.
 */
export function freeNow({ buffer, length }: Buffer): void {
  // A slice of something larger is not ours alone.
  if (length >= FREE_BYTES_MIN && length === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}
