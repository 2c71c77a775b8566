import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

export interface WatchedFileOptions<T> {
  readonly path: string;
  /** @throws Error when the text cannot be used; its message is passed on. */
  readonly parse: (text: string) => T;
  readonly onChange: (value: T) => void;
  /** The file cannot be read or used any more, and the last good content stays. Once for each such state. */
  readonly onFault: (reason: string) => void;
  readonly intervalMs?: number;
}

/** Looked at rather than watched: a secret that Kubernetes mounts changes by a link beside it. */
const INTERVAL_MS = 5_000;

/** What a file says, kept up to date. */
export class WatchedFile<T> {
  readonly #options: WatchedFileOptions<T>;
  readonly #timer: NodeJS.Timeout;
  #value: T;
  #text: string;
  #isReadable = true;
  #isLooking = false;

  /** @throws Error when there is no good content to begin with. */
  constructor(options: WatchedFileOptions<T>) {
    this.#options = options;
    this.#text = readFileSync(options.path, 'utf8');
    this.#value = options.parse(this.#text);
    this.#timer = setInterval(() => void this.#look(), options.intervalMs ?? INTERVAL_MS);
    this.#timer.unref();
  }

  get value(): T {
    return this.#value;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { path, parse, onChange, onFault } = this.#options;
    const wasReadable = this.#isReadable;
    try {
      this.#isReadable = false;
      const text = await readFile(path, 'utf8');
      this.#isReadable = true;
      if (text === this.#text && wasReadable) return;
      this.#text = text;
      this.#value = parse(text);
      onChange(this.#value);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (this.#isReadable) onFault(message);
      else if (wasReadable) onFault(`it cannot be read (${code})`);
    } finally {
      this.#isLooking = false;
    }
  }
}
