import { connect, type Socket } from 'node:net';
import { type HttpAnswer, HttpAnswers } from './http-answers.ts';

const RECONNECT_MS = 50;

/**
 * Called once: with the answer; `lost`, when the connection was before it came; `unserved`, when an answer before it
 * said `Connection: close`: what comes behind that is not processed (RFC 9112, 9.6).
 */
export type Answered = (answer: HttpAnswer | 'lost' | 'unserved') => void;

/**
 * A keep-alive connection that sends without waiting for answers (HTTP/1.1 pipelining), and connects again whenever
 * it is lost. Answers come in the order of the requests.
 */
export class HttpConnection {
  readonly #host: string;
  readonly #port: number;
  readonly #waiting: Answered[] = [];
  /** Index of the first in `#waiting` that is not answered: shifting a long array for each answer is slow. */
  #answered = 0;
  /** Requests of this turn, which go out in one write. */
  #unsent = '';
  #socket: Socket | undefined;
  #isOpen = false;
  #isClosed = false;
  #retry: NodeJS.Timeout | undefined;

  constructor({ host, port }: { readonly host: string; readonly port: number }) {
    this.#host = host;
    this.#port = port;
    this.#connect();
  }

  /** Whether a request can be sent now. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends a whole request in ASCII. The connection must be open. */
  send(request: string, answered: Answered): void {
    if (!this.#isOpen) throw new Error('the connection is not open');
    this.#waiting.push(answered);
    if (this.#unsent === '') queueMicrotask(() => this.#flush());
    this.#unsent += request;
  }

  /** What waits for an answer counts as lost. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#socket?.destroy();
    this.#over('lost');
  }

  #flush(): void {
    if (this.#isOpen) this.#socket?.write(this.#unsent, 'latin1');
    this.#unsent = '';
  }

  #connect(): void {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    const answers = new HttpAnswers();
    this.#socket = socket;
    socket.on('connect', () => {
      this.#isOpen = true;
    });
    // What cannot be read as an answer ends the run: nothing that follows could be trusted.
    socket.on('data', (chunk: Buffer) => {
      for (const answer of answers.receive(chunk)) {
        this.#takeNext()?.(answer);
        if (!answer.isLast) continue;
        this.#over('unserved');
        socket.destroy();
        return;
      }
    });
    // Said once more by 'close'.
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#isClosed) return;
      this.#over('lost');
      this.#retry = setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }

  #takeNext(): Answered | undefined {
    const next = this.#waiting[this.#answered];
    this.#answered += 1;
    if (this.#answered === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#answered = 0;
    } else if (this.#answered >= 1_024) {
      this.#waiting.splice(0, this.#answered);
      this.#answered = 0;
    }
    return next;
  }

  #over(how: 'lost' | 'unserved'): void {
    this.#isOpen = false;
    const left = this.#waiting.splice(0).slice(this.#answered);
    this.#answered = 0;
    for (const answered of left) answered(how);
  }
}
