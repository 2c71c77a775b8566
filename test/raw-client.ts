import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Speaks HTTP/1.1 by hand, so that a test can send what no client would. */
export class RawClient {
  readonly #socket: Socket;
  #received = '';
  #changed: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('error', () => {}); // a reset is an end like any other
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#changed();
    });
    socket.on('end', () => this.#changed());
    socket.on('close', () => this.#changed());
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  write(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  /** Ends this side; answers can still be read. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Breaks the connection off, as a process that dies does. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /**
   * The next final answer; `undefined`: the connection was closed, or went silent for `patienceMs`. `isToHead`: it has
   * no body, whatever length it states.
   */
  async answer(patienceMs = 3_000, isToHead = false): Promise<RawAnswer | undefined> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const answer = this.#take(isToHead);
      if (answer !== undefined) return answer;
      const leftMs = deadline - performance.now();
      if (this.#socket.readableEnded || this.#socket.destroyed || leftMs <= 0) return undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Whether the server ends the connection within `patienceMs`, without sending anything more. */
  async isClosed(patienceMs = 3_000): Promise<boolean> {
    const startedAt = performance.now();
    if ((await this.answer(patienceMs)) !== undefined) return false;
    return performance.now() - startedAt < patienceMs && this.#received === '';
  }

  #take(isToHead: boolean): RawAnswer | undefined {
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd < 0) return undefined;
    const [statusLine = '', ...lines] = this.#received.slice(0, headEnd).split('\r\n');
    const headers = new Map(
      lines.map((line) => [line.split(':')[0]?.toLowerCase() ?? '', line.slice(line.indexOf(':') + 2)]),
    );
    const end = headEnd + 4 + (isToHead ? 0 : Number(headers.get('content-length') ?? 0));
    if (this.#received.length < end) return undefined;
    const body = this.#received.slice(headEnd + 4, end);
    this.#received = this.#received.slice(end);
    const status = Number(statusLine.split(' ')[1]);
    return status === 100 ? this.#take(isToHead) : { status, headers, body };
  }
}
