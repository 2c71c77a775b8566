import { connect } from 'node:net';
import { numbersIn } from './prepared-request.ts';

/** Measures how long after its answer an event's notification arrives at a subscriber in this process. */
export class NotificationClock {
  readonly #port: number;
  readonly #answeredAt = new Map<number, number>();
  readonly #arrivedAt = new Map<number, number>();
  readonly #delaysMs: number[] = [];
  #close = () => {};

  constructor(redisPort: number) {
    this.#port = redisPort;
  }

  /** Of every pair so far. Negative: the notification came first. */
  get delaysMs(): readonly number[] {
    return this.#delaysMs;
  }

  /** Answered, and not notified so far. */
  get missing(): number {
    return this.#answeredAt.size;
  }

  /** Settles when it is subscribed to every channel of the service. */
  subscribe(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    let received = Buffer.alloc(0);
    this.#close = () => socket.destroy();
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      resolve(); // the first is the answer to the subscription
      const now = performance.now();
      received = Buffer.concat([received, chunk]);
      const { numbers, restAt } = numbersIn(received);
      received = received.subarray(restAt);
      for (const number of numbers) this.#arrived(number, now);
    });
    socket.write('PSUBSCRIBE events:*\r\n');
    return promise;
  }

  answered(number: number, at: number): void {
    const arrivedAt = this.#arrivedAt.get(number);
    if (arrivedAt === undefined) {
      this.#answeredAt.set(number, at);
      return;
    }
    this.#arrivedAt.delete(number);
    this.#delaysMs.push(arrivedAt - at);
  }

  close(): void {
    this.#close();
  }

  #arrived(number: number, at: number): void {
    const answeredAt = this.#answeredAt.get(number);
    if (answeredAt === undefined) {
      this.#arrivedAt.set(number, at);
      return;
    }
    this.#answeredAt.delete(number);
    this.#delaysMs.push(at - answeredAt);
  }
}
