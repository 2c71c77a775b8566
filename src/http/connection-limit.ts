import type { Server } from 'node:http';
import type { Socket } from 'node:net';

export interface ConnectionLimit {
  /** Connections that may be open. */
  readonly connectionsMax: number;
  /** Told how many are open, whenever that changes. */
  readonly connectionsOpen: (count: number) => void;
}

/** Connections over the limit that may wait for their client to read why; more are closed without a word. */
const REFUSED_CONNECTIONS_MAX = 100;

/**
 * Hands a connection to HTTP only while there is room for it: each one costs memory also when it does nothing, and all
 * of them share the bound of promise P3 with the buffer. Nothing is read as HTTP from one that is refused.
 */
export function limitConnections(
  server: Server,
  { connectionsMax, connectionsOpen }: ConnectionLimit,
  refuse: (socket: Socket) => void,
): void {
  let open = 0;
  let refused = 0;
  const serve = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (open < connectionsMax) {
      connectionsOpen(++open);
      socket.once('close', () => connectionsOpen(--open));
      for (const listener of serve) listener.call(server, socket);
    } else if (refused < REFUSED_CONNECTIONS_MAX) {
      refused += 1;
      socket.once('close', () => {
        refused -= 1;
      });
      socket.on('error', () => {}); // a reset is an end like any other
      socket.resume(); // what comes is thrown away, so that the end is noticed
      refuse(socket);
    } else {
      socket.destroy();
    }
  });
}
