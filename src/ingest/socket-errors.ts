import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ErrorCode, errorRow } from '../errors.ts';
import { PROBLEM_CONTENT_TYPE, problemText } from './problem.ts';
import { newRequestId } from './request-id.ts';

/** How long a client may take to read the last answer on its connection. */
const LINGER_MS = 1_000;

/** Node's names for what is wrong with a request. All others are faults of its syntax. */
const codes: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'body-too-large',
};

/** The code for an error of Node's HTTP server. */
export function socketErrorCode(error: NodeJS.ErrnoException): ErrorCode {
  return codes[error.code ?? ''] ?? 'bad-request';
}

/** Whether there is nobody left to answer. */
export function isAbort(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET';
}

/**
 * Answers what the HTTP parser refuses, or what does not arrive in time, before there is a request that a route could
 * see. The answer never overtakes those of earlier requests on the same connection, as a client would take it for
 * the answer to one of them: "400" for an event that is being stored. Afterwards the connection is closed.
 */
export class SocketErrors {
  readonly #metrics: { refused(code: ErrorCode): void };
  /** The latest request of each connection, by its response. Responses leave in order: it is also the last one. */
  readonly #latest = new WeakMap<object, ServerResponse>();

  constructor(metrics: { refused(code: ErrorCode): void }) {
    this.#metrics = metrics;
  }

  /** Notes a request whose headers were understood. */
  began(request: IncomingMessage, response: ServerResponse): void {
    this.#latest.set(request.socket, response);
  }

  /** Whether no other request came in behind this one, so that its answer may be the last of its connection. */
  isLatest(request: IncomingMessage, response: ServerResponse): boolean {
    return this.#latest.get(request.socket) === response;
  }

  /** Answers the event `clientError` of the server. */
  answer(error: NodeJS.ErrnoException, socket: Socket): void {
    if (isAbort(error) || !socket.writable) {
      socket.destroy();
      return;
    }
    const latest = this.#latest.get(socket);
    if (latest === undefined || (latest.writableFinished && latest.req.complete)) {
      this.refuse(socket, socketErrorCode(error));
    } else if (latest.req.complete) {
      // What failed comes behind a good request that is not answered yet.
      latest.once('close', () => this.answer(error, socket));
    } else if (latest.writableFinished) {
      // The rest of the body of a request that was refused early.
      closeSoon(socket);
    } else if (latest.headersSent) {
      latest.once('close', () => closeSoon(socket));
    } else {
      // The body of a request: whoever receives it refuses it, and Node keeps that answer in its place.
      latest.setHeader('connection', 'close');
      if (latest.req.listenerCount('error') > 0) latest.req.emit('error', error);
    }
  }

  /** Writes an answer of its own on a connection where none is under way, and closes it. Returns its request id. */
  refuse(socket: Duplex, code: ErrorCode, more: Record<string, string | number> = {}): string {
    this.#metrics.refused(code);
    const { status } = errorRow(code);
    const requestId = newRequestId();
    const body = problemText({ code }, requestId);
    const all = { ...headers(code, body), ...more };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
    closeSoon(socket);
    return requestId;
  }
}

function headers(code: ErrorCode, body: string): Record<string, string | number> {
  return {
    'content-type': PROBLEM_CONTENT_TYPE,
    'content-length': Buffer.byteLength(body),
    connection: 'close',
    ...(code === 'method-not-allowed' && { allow: 'GET, HEAD, OPTIONS, POST' }),
  };
}

/** Closing at once would reset the connection while the client still sends, and it could lose the answer. */
function closeSoon(socket: Duplex): void {
  socket.end();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
