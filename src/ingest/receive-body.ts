import type { IncomingMessage } from 'node:http';
import type { ErrorCode } from '../errors.ts';
import type { BufferBudget, Hold } from './buffer-budget.ts';
import { isAbort, socketErrorCode } from './socket-errors.ts';

export type ReceivedBody =
  /** Complete, and counted on `hold`, which the receiver has to close or hand on. */
  | { readonly status: 'received'; readonly bytes: Buffer; readonly hold: Hold }
  | { readonly status: 'refused'; readonly code: ErrorCode }
  /** The connection ended before the body did: there is nobody to answer. */
  | { readonly status: 'aborted' };

export interface ReceiveLimits {
  readonly budget: BufferBudget;
  readonly bodyBytesMax: number;
}

const NO_BYTES = Buffer.alloc(0);

/**
 * Receives the body of a request into one buffer, and counts each byte of it before it is kept (promise P3).
 *
 * A refusal does not wait for the rest of the body: that is read and thrown away, so that the client gets to read its
 * answer, and what follows on the connection is understood. How long that may take is the server's requestTimeout.
 */
export function receiveBody(
  request: IncomingMessage,
  { budget, bodyBytesMax }: ReceiveLimits,
): Promise<ReceivedBody> {
  const refusal = refusalByHeaders(request, bodyBytesMax);
  if (refusal !== undefined) return Promise.resolve({ status: 'refused', code: refusal });
  const hold = budget.open();
  if (hold === undefined) return Promise.resolve({ status: 'refused', code: 'buffer-full' });

  const expectedLength = Number(request.headers['content-length'] ?? 0);
  return new Promise((resolve) => {
    let bytes: Buffer = NO_BYTES;
    let length = 0;
    let isOver = false;
    const finish = (result: ReceivedBody) => {
      if (isOver) return;
      isOver = true;
      if (result.status === 'received') {
        hold.arrived();
      } else {
        bytes = NO_BYTES;
        hold.close();
      }
      resolve(result);
    };
    request.on('data', (chunk: Buffer) => {
      if (isOver) return;
      if (length + chunk.length > bodyBytesMax) return finish({ status: 'refused', code: 'body-too-large' });
      if (!hold.grow(chunk.length)) return finish({ status: 'refused', code: 'buffer-full' });
      bytes = length === 0 ? chunk : appended(bytes, length, chunk, expectedLength);
      length += chunk.length;
    });
    request.on('end', () => finish({ status: 'received', bytes: bytes.subarray(0, length), hold }));
    // What the parser finds wrong with a body is reported here, see SocketErrors.
    request.on('error', (error) =>
      finish(isAbort(error) ? { status: 'aborted' } : { status: 'refused', code: socketErrorCode(error) }),
    );
    request.on('close', () => finish({ status: 'aborted' }));
  });
}

function refusalByHeaders(request: IncomingMessage, bodyBytesMax: number): ErrorCode | undefined {
  const { headers } = request;
  if (!isJson(headers['content-type']) || isGivenTwice(request.rawHeaders, 'content-type')) {
    return 'unsupported-media-type';
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return 'unsupported-media-type';
  if (Number(headers['content-length']) > bodyBytesMax) return 'body-too-large';
  return undefined;
}

/** `application/json`, in UTF-8 if a charset is given. Other parameters mean nothing for JSON. */
function isJson(contentType: string | undefined): boolean {
  if (contentType === 'application/json') return true;
  if (contentType === undefined) return false;
  const [mediaType = '', ...parameters] = contentType.toLowerCase().split(';');
  return mediaType.trim() === 'application/json' && parameters.every(isUtf8OrNoCharset);
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
function appended(bytes: Buffer, length: number, chunk: Buffer, expectedLength: number): Buffer {
  const needed = length + chunk.length;
  let all = bytes;
  if (needed > bytes.length) {
    all = Buffer.allocUnsafeSlow(Math.max(needed, expectedLength || 2 * bytes.length));
    bytes.copy(all, 0, 0, length);
  }
  chunk.copy(all, length);
  return all;
}
