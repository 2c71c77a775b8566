import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

export interface WatchedFilesOptions<T> {
  /** What is read together, and means something together. */
  readonly paths: readonly string[];
  /** Of the texts in the order of the paths. @throws Error when they cannot be used; its message is passed on. */
  readonly parse: (texts: readonly string[]) => T;
  readonly onChange: (value: T) => void;
  /** They cannot be read or used any more, and the last good content stays. Once for each such state. */
  readonly onFault: (reason: string) => void;
  readonly intervalMs?: number;
}

/** Looked at rather than watched: a secret that Kubernetes mounts changes by a link beside it. */
const INTERVAL_MS = 5_000;

/** What files say, kept up to date. */
export class WatchedFiles<T> {
  readonly #options: WatchedFilesOptions<T>;
  readonly #timer: NodeJS.Timeout;
  #value: T;
  #texts: readonly string[];
  #isReadable = true;
  #isLooking = false;
  #isClosed = false;

  /** @throws Error when there is no good content to begin with. */
  constructor(options: WatchedFilesOptions<T>) {
    this.#options = options;
    this.#texts = options.paths.map((path) => readFileSync(path, 'utf8'));
    this.#value = options.parse(this.#texts);
    this.#timer = setInterval(() => void this.#look(), options.intervalMs ?? INTERVAL_MS);
    this.#timer.unref();
  }

  get value(): T {
    return this.#value;
  }

  /** Nobody is told of anything any more, nor of what is being read just now. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { paths, parse, onChange, onFault } = this.#options;
    const wasReadable = this.#isReadable;
    try {
      this.#isReadable = false;
      const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
      if (this.#isClosed) return;
      this.#isReadable = true;
      if (wasReadable && texts.every((text, index) => text === this.#texts[index])) return;
      this.#texts = texts;
      this.#value = parse(texts);
      onChange(this.#value);
    } catch (error) {
      if (this.#isClosed) return;
      if (this.#isReadable) onFault((error as Error).message);
      else if (wasReadable) onFault(`it cannot be read (${(error as NodeJS.ErrnoException).code})`);
    } finally {
      this.#isLooking = false;
    }
  }
}
