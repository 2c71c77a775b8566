import type { Clock } from '../../src/clock.ts';

/** Time that passes only when a test says so. */
export class ManualClock implements Clock {
  #now = 0;
  #soon: (() => void)[] = [];
  readonly #intervals = new Set<{ everyMs: number; nextAt: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  every(everyMs: number, callback: () => void): () => void {
    const interval = { everyMs, nextAt: this.#now + everyMs, callback };
    this.#intervals.add(interval);
    return () => this.#intervals.delete(interval);
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  /** Lets `ms` pass, a step at a time, with everything that is due in between, promises included. */
  async advance(ms: number, stepMs = 10): Promise<void> {
    const end = this.#now + ms;
    await this.settle();
    while (this.#now < end) {
      this.#now = Math.min(end, this.#now + stepMs);
      for (const interval of this.#intervals) {
        if (interval.nextAt > this.#now) continue;
        interval.nextAt = this.#now + interval.everyMs;
        interval.callback();
      }
      await this.settle();
    }
  }

  /** Runs what is due now, until nothing is. */
  async settle(): Promise<void> {
    do {
      for (const callback of this.#soon.splice(0)) callback();
      await new Promise(setImmediate);
    } while (this.#soon.length > 0);
  }
}
