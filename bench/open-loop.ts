/**
 * When requests are to be sent, fixed before the first one is. Latency counts from these times, not from when a request
 * could be sent: otherwise a server that stalls would delay the very requests that would show it (coordinated omission).
 */
export class OpenLoopSchedule {
  readonly #startAt: number;
  readonly #intervalMs: number;
  readonly #requests: number;

  /** `startAt` and all other times are those of performance.now(). */
  constructor(options: {
    readonly startAt: number;
    readonly requestsPerSecond: number;
    readonly durationMs: number;
  }) {
    this.#startAt = options.startAt;
    this.#intervalMs = 1_000 / options.requestsPerSecond;
    this.#requests = Math.ceil(options.durationMs / this.#intervalMs);
  }

  /** When request number `index`, from 0, is to be sent. */
  intendedAt(index: number): number {
    return this.#startAt + index * this.#intervalMs;
  }

  /** How many requests are to have been sent by then. */
  dueAt(now: number): number {
    if (now < this.#startAt) return 0;
    return Math.min(this.#requests, Math.floor((now - this.#startAt) / this.#intervalMs) + 1);
  }
}
