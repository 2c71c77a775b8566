import { connect, createServer } from 'node:net';
import { StartError } from './start-error.ts';

/**
 * Ports on 127.0.0.1. They lie below the ranges from which Linux and macOS take the ports of outgoing connections:
 * while a broker is down, a client that keeps dialling its port would otherwise get that very port sooner or later,
 * connect to itself, and the broker could not come back.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 25_999;

/** Each process starts in a block of its own, so that test files that run side by side do not pick the same port. */
const PORTS_PER_PROCESS = 20;

let nextPort = FIRST_PORT + ((process.pid * PORTS_PER_PROCESS) % (LAST_PORT + 1 - FIRST_PORT));

/** A port that nobody listens on. This process hands out none twice, unless all have been handed out. */
export async function freePort(): Promise<number> {
  for (let tried = FIRST_PORT; tried <= LAST_PORT; tried += 1) {
    const port = nextPort;
    nextPort = port === LAST_PORT ? FIRST_PORT : port + 1;
    if (await isFree(port)) return port;
  }
  throw new StartError(`No free port between ${FIRST_PORT} and ${LAST_PORT} on 127.0.0.1`);
}

/** The preferred port, or a free one if somebody else listens there. */
export async function preferredPort(port: number): Promise<number> {
  return (await isFree(port)) ? port : freePort();
}

/**
 * Asks twice: where a listener on all addresses exists, some systems still allow a second one on 127.0.0.1, and
 * connecting alone says nothing about a socket that is bound and does not listen.
 */
async function isFree(port: number): Promise<boolean> {
  return !(await somebodyAnswers(port)) && (await canListen(port));
}

/** Whether a connection to this port is accepted. */
export function somebodyAnswers(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 });
    const answer = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', () => answer(true));
    // A full accept queue answers nothing at all, and is somebody too.
    socket.once('timeout', () => answer(true));
    socket.once('error', () => answer(false));
  });
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)));
  });
}
