/** Does something again and again until it is closed: every so often, and at once when that is asked for. One at a time. */
export class Repeated {
  readonly #everyMs: number;
  readonly #work: () => Promise<void>;
  readonly #ended: Promise<void>;
  #wake: () => void = () => {};
  #isWanted = false;
  #isClosed = false;

  /** @param work never rejects */
  constructor(everyMs: number, work: () => Promise<void>) {
    this.#everyMs = everyMs;
    this.#work = work;
    this.#ended = this.#run();
  }

  /** If it is under way, once more behind it. */
  soon(): void {
    this.#isWanted = true;
    this.#wake();
  }

  /** Resolves when it is not under way any more. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    return this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const { promise: due, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      if (this.#isWanted) resolve();
      const timer = setTimeout(resolve, this.#everyMs);
      await due;
      clearTimeout(timer);
      this.#isWanted = false;
      if (!this.#isClosed) await this.#work();
    }
  }
}
