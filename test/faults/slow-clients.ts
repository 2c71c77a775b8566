import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Clients that send a byte now and then, in a process of their own, so that they take no time from the load that is
 * measured: `node slow-clients.ts HOST PORT CONNECTIONS headers|bodies`. What is slow are the bodies, or of every second
 * one the headers. Says `open` when all are; SIGTERM ends it, and it says how often it was refused.
 */

const BYTE_EVERY_MS = 4_000;
const OPENED_AT_ONCE = 25;
const TICK_MS = 20;
const HEAD =
  'POST /v1/events HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n';

class SlowClients {
  readonly #host: string;
  readonly #port: number;
  readonly #count: number;
  readonly #slow: 'headers' | 'bodies';
  readonly #sockets = new Set<Socket>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Connections that the service has closed. */
  refused = 0;

  constructor(host: string, port: number, count: number, slow: 'headers' | 'bodies') {
    this.#host = host;
    this.#port = port;
    this.#count = count;
    this.#slow = slow;
  }

  async open(): Promise<void> {
    while (this.#sockets.size < this.#count) {
      for (let index = 0; index < OPENED_AT_ONCE; index += 1) this.#openOne(this.#sockets.size);
      // oxlint-disable-next-line no-await-in-loop -- a few at a time
      await delay(10);
    }
    // Each has its turn; a timer for each would be many.
    let at = 0;
    const perTick = Math.ceil(this.#count / (BYTE_EVERY_MS / TICK_MS));
    this.#timer = setInterval(() => {
      const all = Array.from(this.#sockets);
      for (let index = 0; index < perTick; index += 1) all[(at + index) % all.length]?.write('x');
      at += perTick;
    }, TICK_MS);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  #openOne(number: number): void {
    const socket = connect(this.#port, this.#host);
    this.#sockets.add(socket);
    // What is slow never ends.
    socket.write(this.#slow === 'headers' && number % 2 === 0 ? `${HEAD}X-Slow: ` : `${HEAD}\r\n`);
    socket.resume();
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#isClosed) return;
      this.refused += 1;
      setTimeout(() => this.#openOne(number), 100);
    });
  }
}

const [host = '', port = '', count = '', slow] = process.argv.slice(2);
const clients = new SlowClients(host, Number(port), Number(count), slow === 'headers' ? slow : 'bodies');
process.on('SIGTERM', () => {
  clients.close();
  process.stdout.write(`${clients.refused}\n`, () => process.exit(0));
});
await clients.open();
process.stdout.write('open\n');
