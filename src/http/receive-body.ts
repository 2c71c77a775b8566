import type { IncomingMessage } from 'node:http';
import type { ErrorCode } from '../errors.ts';
import type { BufferBudget, Hold } from './buffer-budget.ts';
import { type ContentCoding, codingOf } from './content-coding.ts';
import { freeNow, GatheredBytes } from './gathered-bytes.ts';
import { isAbort, socketErrorCode } from './socket-errors.ts';

export type MediaType = 'application/json' | 'application/x-ndjson';

export type ReceivedBody =
  /** Complete, and counted on `hold`, which the receiver has to close or hand on. */
  | {
      readonly status: 'received';
      readonly bytes: Buffer;
      readonly hold: Hold;
      readonly mediaType: MediaType;
      /** How the bytes are encoded; `undefined`: not at all. */
      readonly coding: ContentCoding | undefined;
      /** From when the client waits for an answer. `performance.now()`. */
      readonly completeAt: number;
    }
  | { readonly status: 'refused'; readonly code: ErrorCode }
  /** The connection ended before the body did: there is nobody to answer. */
  | { readonly status: 'aborted' };

export interface ReceiveLimits {
  readonly budget: BufferBudget;
  readonly bodyBytesMax: number;
}

/** So much of an announced body is counted before it comes: few senders that stall could hold all the room otherwise. */
const AHEAD_BYTES = 256 * 1024;

/**
 * Receives the body of a request into one buffer, and calls `done` once with what came of it. It is counted before it is
 * kept (promise P3), a little ahead of what has come if its length is announced: so most bodies that have begun have room
 * until their end, and no half of one is received only to be thrown away.
 *
 * A refusal does not wait for the rest of the body: that is read and thrown away, so that the client gets to read its
 * answer, and what follows on the connection is understood. How long that may take is the server's requestTimeout.
 */
export function receiveBody(
  request: IncomingMessage,
  { budget, bodyBytesMax }: ReceiveLimits,
  mediaTypes: readonly MediaType[],
  done: (received: ReceivedBody) => void,
): void {
  const announced = announcedBody(request, mediaTypes, bodyBytesMax);
  if (typeof announced === 'string') {
    discardBody(request);
    done({ status: 'refused', code: announced });
    return;
  }
  const { mediaType, coding, length: announcedLength } = announced;
  const hold = budget.open();

  const body = new GatheredBytes(announcedLength);
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
      body.free();
      hold.close();
    }
    done(result);
  };
  request.on('data', (chunk: Buffer) => {
    if (isOver) return freeNow(chunk);
    const needed = body.length + chunk.length;
    if (needed > bodyBytesMax || !hasRoom(needed)) {
      freeNow(chunk);
      return finish({
        status: 'refused',
        code: needed > bodyBytesMax ? 'body-too-large' : 'buffer-full',
      });
    }
    body.add(chunk);
  });
  request.on('end', () => {
    if (isOver) return;
    finish({
      status: 'received',
      bytes: body.take(),
      hold,
      mediaType,
      coding,
      completeAt: performance.now(),
    });
  });
  // What the parser finds wrong with a body is reported here, see SocketErrors.
  request.on('error', (error) =>
    finish(isAbort(error) ? { status: 'aborted' } : { status: 'refused', code: socketErrorCode(error) }),
  );
  request.on('close', () => finish({ status: 'aborted' }));
}

/** Reads the body of a request that is refused without it, so that what follows it is understood. */
export function discardBody(request: IncomingMessage): void {
  request.on('data', freeNow);
}

/** What the headers say of a body, or why it is refused without a look at it. */
function announcedBody(
  request: IncomingMessage,
  mediaTypes: readonly MediaType[],
  bodyBytesMax: number,
): { mediaType: MediaType; coding: ContentCoding | undefined; length: number } | ErrorCode {
  const mediaType = mediaTypeOf(request, mediaTypes);
  const coding = codingOf(request.headers['content-encoding']);
  // The parser has checked it, and delivers no more than that.
  const length = Number(request.headers['content-length'] ?? 0);
  if (mediaType === undefined) return 'unsupported-media-type';
  if (coding === 'unsupported') return 'unsupported-encoding';
  return length > bodyBytesMax ? 'body-too-large' : { mediaType, coding, length };
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
export function isGivenTwice(rawHeaders: readonly string[], name: string): boolean {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const given = rawHeaders[index] as string;
    if (given.length === name.length && given.toLowerCase() === name) count += 1;
  }
  return count > 1;
}
