import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ErrorCode, errorRow } from '../errors.ts';
import type { Connections } from './connections.ts';
import { PROBLEM_CONTENT_TYPE, problemText } from './problem.ts';
import { newRequestId } from './request-id.ts';

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
  readonly #connections: Connections;

  constructor(metrics: { refused(code: ErrorCode): void }, connections: Connections) {
    this.#metrics = metrics;
    this.#connections = connections;
  }

  /** Answers the event `clientError` of the server. Node repeats it with all that follows on the connection. */
  answer(error: NodeJS.ErrnoException, socket: Socket): void {
    if (this.#connections.isOver(socket)) return;
    if (isAbort(error) || !socket.writable) {
      socket.destroy();
      return;
    }
    const latest = this.#connections.latestOn(socket);
    // Nothing that follows can be understood.
    this.#connections.stopServing(socket);
    if (latest === undefined || latest.req.complete) {
      this.#refuseBehind(latest, socket, socketErrorCode(error));
    } else if (latest.writableFinished) {
      // The rest of the body of a request that was refused early.
      this.#connections.end(socket);
    } else if (latest.headersSent) {
      latest.once('close', () => this.#connections.end(socket));
    } else {
      // The body of a request: whoever receives it refuses it, and Node keeps that answer in its place.
      latest.setHeader('connection', 'close');
      if (latest.req.listenerCount('error') > 0) latest.req.emit('error', error);
    }
  }

  /** Answers the event `connect` of the server: there are no tunnels here. */
  refuseTunnel(socket: Duplex): void {
    if (this.#connections.isOver(socket)) return;
    const latest = this.#connections.latestOn(socket);
    this.#connections.stopServing(socket);
    this.#refuseBehind(latest, socket, 'method-not-allowed');
  }

  /** Refuses what comes behind the latest request of a connection, once that is answered. */
  #refuseBehind(latest: ServerResponse | undefined, socket: Duplex, code: ErrorCode): void {
    if (latest === undefined || latest.writableFinished) this.refuse(socket, code);
    else latest.once('close', () => this.refuse(socket, code));
  }

  /** Writes an answer of its own on a connection where none is under way, and closes it. Returns its request id. */
  refuse(socket: Duplex, code: ErrorCode, more: Record<string, string | number> = {}): string {
    this.#metrics.refused(code);
    const { status } = errorRow(code);
    const requestId = newRequestId();
    const body = problemText({ code }, requestId);
    const all = { 'x-request-id': requestId, ...headers(code, body), ...more };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    if (socket.writable)
      socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
    this.#connections.end(socket);
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
