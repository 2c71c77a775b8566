import type { Socket } from 'node:net';
import Broker from 'kafkajs/src/broker/index.js';
import ConnectionPool from 'kafkajs/src/network/connectionPool.js';
import { createSocket, type KafkaSecurity } from '../kafka/kafka-client.ts';
import type { RequestHeader } from './kafka-protocol.ts';

/**
 * The seam to kafkajs. It connects, negotiates versions, does TLS and SASL; then the socket is ours, and carries one
 * request at a time. kafkajs's own request queue is left behind: it measures time by the wall clock, copies each
 * request twice, and cannot say whether a request was written.
 */

/** No answer to a Produce or a Metadata request comes near this; a longer one is not Kafka's. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** A connection is used for this part of its session. */
const SESSION_USED_SHARE = 0.8;

/**
 * Opens a connection, ready for requests.
 * @throws Error when it is not open and authenticated within `timeoutMs`; nothing is left behind then.
 */
export async function openConnection(
  security: KafkaSecurity,
  address: { readonly host: string; readonly port: number },
  timeoutMs: number,
): Promise<KafkaConnection> {
  const sockets: Socket[] = [];
  const { clientId, tls, sasl, logger } = security;
  const connectionPool = new ConnectionPool({
    clientId,
    logger,
    ssl: tls?.() ?? null,
    sasl: sasl ?? null,
    host: address.host,
    port: address.port,
    socketFactory: (target) => {
      const socket = createSocket(target);
      sockets.push(socket);
      return socket;
    },
    connectionTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    enforceRequestTimeout: false,
  });
  const broker = new Broker({ connectionPool, logger, authenticationTimeout: timeoutMs });

  const { promise: timedOut, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
  const connecting = broker.connect();
  connecting.catch(() => {}); // when the timer wins, nobody else looks at how it ends
  try {
    await Promise.race([connecting, timedOut]);
    const [socket] = sockets;
    if (sockets.length !== 1 || socket === undefined || socket.destroyed) {
      throw new Error('the connection was closed while it was opened');
    }
    return new KafkaConnection(socket, { clientId, sessionMs: sessionOf(connectionPool) });
  } catch (error) {
    for (const socket of sockets) socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    // After its first answer the queue wakes every millisecond, for ever, to look for throttled requests.
    for (const { requestQueue } of connectionPool.pool) requestQueue.destroy();
  }
}

/** How long what was authenticated is good, in milliseconds (KIP-368). A broker closes a connection that is used for longer. */
function sessionOf({ pool }: ConnectionPool): number {
  const lifetimeMs = Number(pool[0]?.sessionLifetime ?? 0);
  return lifetimeMs === 0 ? Number.POSITIVE_INFINITY : lifetimeMs;
}

/** An open connection that carries one request at a time, so that an answer can only belong to that request. */
export class KafkaConnection {
  /**
   * Settles once the socket is destroyed, whoever closed it. Without TLS nothing written to it is sent after that; with
   * TLS the kernel still sends what it has, so that an abandoned request may be executed later (promise P6).
   */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #clientId: string;
  readonly #goodUntil: number;
  #correlationId = 0;
  #waiting: { resolve: (payload: Buffer) => void; reject: (reason: Error) => void } | undefined;
  #received: Buffer | undefined;

  constructor(
    socket: Socket,
    { clientId, sessionMs }: { readonly clientId: string; readonly sessionMs: number },
  ) {
    this.#socket = socket;
    this.#clientId = clientId;
    this.#goodUntil = performance.now() + sessionMs * SESSION_USED_SHARE;
    // kafkajs's listeners would go on reading; from here on the bytes are ours.
    for (const event of ['data', 'end', 'error', 'timeout'] as const) socket.removeAllListeners(event);
    let reason = 'the connection was closed';
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('end', () => this.destroy());
    socket.on('error', (error) => {
      reason = error.message;
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#waiting?.reject(new Error(reason));
        this.#waiting = undefined;
        resolve();
      });
    });
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  /** Whether it is open, and what was authenticated on it is good for a while. */
  get isUsable(): boolean {
    return this.isOpen && performance.now() < this.#goodUntil;
  }

  /**
   * Writes one request before it returns, and resolves with the bytes of its answer behind the correlation id.
   * Rejects when the connection closes before the answer; the request may have been executed then.
   */
  exchange(encode: (header: RequestHeader) => Buffer): Promise<Buffer> {
    if (this.#waiting !== undefined) throw new Error('a request is already in flight on this connection');
    this.#correlationId = (this.#correlationId + 1) & 0x7fffffff;
    const request = encode({ correlationId: this.#correlationId, clientId: this.#clientId });
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  /** Closes at once. Bytes that have not left yet are dropped, rather than delivered behind our back. */
  destroy(): void {
    if (this.#socket.destroyed) return;
    try {
      this.#socket.resetAndDestroy();
    } catch {
      this.#socket.destroy(); // a socket that is not plain TCP has no reset
    }
  }

  #read(chunk: Buffer): void {
    const bytes = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk]);
    this.#received = bytes;
    if (bytes.length < 8) return;
    const length = bytes.readInt32BE(0);
    const correlationId = bytes.readInt32BE(4);
    const isOurs = this.#waiting !== undefined && correlationId === this.#correlationId;
    if (!isOurs || length < 4 || length > ANSWER_BYTES_MAX || bytes.length > length + 4) {
      this.#socket.destroy(new Error('an answer that belongs to no request'));
      return;
    }
    if (bytes.length < length + 4) return;
    this.#received = undefined;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(bytes.subarray(8));
  }
}
