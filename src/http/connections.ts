import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** How long a client may take to read the last answer on its connection. */
const LINGER_MS = 1_000;

/** Room for requests whose answers have not left (promise P3), in bytes. */
export interface RequestRoom {
  take(bytes: number): boolean;
  giveBack(bytes: number): void;
}

/** One connection, for those who count on it what its requests keep. */
export interface Connection {
  readonly socket: Duplex;
  /** Answers leave in the order of the requests, so the latest request has the last answer. */
  latest: ServerResponse | undefined;
  /** What its requests count in the budget. */
  countedBytes: number;
  /** The part of it that is kept for what was taken in and is not settled, also when the connection is closed. */
  keptBytes: number;
  isClosed: boolean;
  /** Nothing that comes is served any more. */
  isOver: boolean;
}

/**
 * What is under way on each connection. An answer waits for those before it, and keeps its request in memory: Node
 * takes in a hundred requests and more behind one that waits for Kafka. So a request counts until its answer has left.
 * If its connection is closed before, it counts until there is an answer: it is in memory as long as its events wait.
 */
export class Connections {
  readonly #room: RequestRoom;
  readonly #known = new WeakMap<object, Connection>();

  constructor(room: RequestRoom) {
    this.#room = room;
  }

  /**
   * Leaves the end of a connection to {@link end}. Node destroys the socket behind a last answer; with requests unread
   * that resets the connection, and the client loses answers that it has not read yet (RFC 9112, 9.6).
   */
  opened(socket: Socket): void {
    socket.destroySoon = () => this.end(socket);
    // A reset is an end like any other. Node takes its own listener away from a socket that asks for a tunnel.
    socket.on('error', () => {});
  }

  /** A request came in. `undefined`: its connection is over, and it must be ignored. */
  began(request: IncomingMessage, response: ServerResponse): Connection | undefined {
    const connection = this.#of(request.socket);
    if (connection.isOver) return undefined;
    connection.latest = response;
    return connection;
  }

  /** Counts for a request, or for its answer that will be large. `false`: there is no room. */
  count(connection: Connection, bytes: number): boolean {
    // One that is closed has given all back, and keeps no answer.
    if (connection.socket.destroyed) return true;
    if (!this.#room.take(bytes)) return false;
    connection.countedBytes += bytes;
    return true;
  }

  /** The answer to a request has left that counted this much. */
  answered(connection: Connection, bytes: number): void {
    if (connection.isClosed) return;
    connection.countedBytes -= bytes;
    this.#room.giveBack(bytes);
  }

  /** A request with so many bytes is kept until {@link letGo}. `false`: its connection is closed. */
  keep(connection: Connection, bytes: number): boolean {
    if (!connection.isClosed) connection.keptBytes += bytes;
    return !connection.isClosed;
  }

  letGo(connection: Connection, bytes: number): void {
    connection.keptBytes -= bytes;
    if (connection.isClosed) this.#room.giveBack(bytes);
  }

  latestOn(socket: Duplex): ServerResponse | undefined {
    return this.#known.get(socket)?.latest;
  }

  isOver(socket: Duplex): boolean {
    return this.#known.get(socket)?.isOver === true;
  }

  /** No request that comes after this is served. The answer to the latest one says so, when its turn has come. */
  stopServing(socket: Duplex): void {
    const connection = this.#of(socket);
    if (connection.isOver) return;
    connection.isOver = true;
    // A listener of our own takes the bytes away from Node's parser: what is not read as HTTP makes no objects.
    socket.removeAllListeners('data');
    socket.on('data', () => {});
  }

  /** Closes a connection behind its last answer, once the client had time to read it. What comes is thrown away. */
  end(socket: Duplex): void {
    this.stopServing(socket);
    socket.end();
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
  }

  #of(socket: Duplex): Connection {
    const known = this.#known.get(socket);
    if (known !== undefined) return known;
    const connection: Connection = {
      socket,
      latest: undefined,
      countedBytes: 0,
      keptBytes: 0,
      isClosed: false,
      isOver: false,
    };
    this.#known.set(socket, connection);
    socket.once('close', () => {
      connection.isClosed = true;
      this.#room.giveBack(connection.countedBytes - connection.keptBytes);
    });
    return connection;
  }
}
