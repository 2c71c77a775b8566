import { connect, type Socket } from 'node:net';
import type { PreparedRequest } from './prepared-request.ts';

/** All connections read into it: what arrives is used before anything else can. */
const RECEIVED = Buffer.allocUnsafe(256 * 1024);
const HEAD_END = '\r\n\r\n';
const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i;
const STATUS_AT = 'HTTP/1.1 '.length;
const RECONNECT_MS = 50;

/** A keep-alive connection with one request at a time. It reads no more of an answer than its status and its end. */
export class LoadConnection {
  readonly request: Pick<PreparedRequest, 'bytes' | 'events' | 'number'>;
  /** For whoever sends: when the request that is under way was to be sent, and its first number. */
  intendedAt = 0;
  number = 0;
  readonly #port: number;
  readonly #answered: (connection: LoadConnection, status: number | 'lost') => void;
  #socket: Socket | undefined;
  #isWaiting = false;
  #isClosed = false;
  #status = 0;
  /** What has arrived of a head that is not complete. */
  #head = '';
  #bodyBytesLeft = 0;

  constructor(options: {
    readonly port: number;
    readonly request: Pick<PreparedRequest, 'bytes' | 'events' | 'number'>;
    /** Called when it is free again, connected or not. */
    readonly answered: (connection: LoadConnection, status: number | 'lost') => void;
  }) {
    this.request = options.request;
    this.#port = options.port;
    this.#answered = options.answered;
  }

  /** Settles when it is open, and rejects when it never was. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port: this.#port,
        noDelay: true,
        onread: {
          buffer: RECEIVED,
          callback: (length) => {
            this.#receive(RECEIVED.subarray(0, length));
            return true;
          },
        },
      });
      this.#socket = socket;
      socket.once('connect', resolve);
      // 'close' follows, and says what it means for the request.
      socket.on('error', reject);
      socket.on('close', () => this.#lost());
    });
  }

  send(): void {
    this.#isWaiting = true;
    this.#socket?.write(this.request.bytes);
  }

  close(): void {
    this.#isClosed = true;
    this.#socket?.destroy();
  }

  #receive(bytes: Buffer): void {
    let bodyAt = 0;
    if (this.#bodyBytesLeft === 0) {
      const before = this.#head.length;
      this.#head += bytes.toString('latin1');
      const headEnd = this.#head.indexOf(HEAD_END);
      if (headEnd < 0) return;
      const length = CONTENT_LENGTH.exec(this.#head)?.[1];
      if (length === undefined) throw new Error(`an answer without a length: ${this.#head.slice(0, 200)}`);
      this.#status = Number(this.#head.slice(STATUS_AT, STATUS_AT + 3));
      this.#head = '';
      this.#bodyBytesLeft = Number(length);
      bodyAt = headEnd + HEAD_END.length - before;
    }
    this.#bodyBytesLeft -= bytes.length - bodyAt;
    if (this.#bodyBytesLeft > 0) return;
    if (this.#bodyBytesLeft < 0) throw new Error('more came than the answer');
    this.#isWaiting = false;
    this.#answered(this, this.#status);
  }

  #lost(): void {
    if (this.#isClosed) return;
    this.#head = '';
    this.#bodyBytesLeft = 0;
    setTimeout(() => {
      void this.open().then(
        () => {
          if (!this.#isWaiting) return;
          this.#isWaiting = false;
          this.#answered(this, 'lost');
        },
        () => {}, // closed as well, and tried again
      );
    }, RECONNECT_MS);
  }
}
