import { backoffMs } from './backoff.ts';

/** When each leader may be sent to: not while it cannot be reached, and not while it is over its quota. */
export class Leaders {
  readonly #random: () => number;
  readonly #unreachable = new Map<number, { failures: number; retryAt: number }>();
  /**
   * Until when. The broker would leave a request unread for so long, and the time-out of that request would make it
   * ambiguous for no reason.
   */
  readonly #throttled = new Map<number, number>();

  constructor(random: () => number) {
    this.#random = random;
  }

  get hasUnreachable(): boolean {
    return this.#unreachable.size > 0;
  }

  mayBeSentTo(leader: number, now: number): boolean {
    return (this.#unreachable.get(leader)?.retryAt ?? 0) <= now && !this.isThrottled(leader, now);
  }

  isThrottled(leader: number, now: number): boolean {
    return (this.#throttled.get(leader) ?? 0) > now;
  }

  /** It could not be connected to. */
  notReached(leader: number, now: number): void {
    const failures = (this.#unreachable.get(leader)?.failures ?? 0) + 1;
    this.#unreachable.set(leader, { failures, retryAt: now + backoffMs(failures, this.#random) });
  }

  /** It answered, and asks to be left alone for `throttleTimeMs`. */
  answered(leader: number, now: number, throttleTimeMs: number): void {
    this.#unreachable.delete(leader);
    const until = now + throttleTimeMs;
    if (until > (this.#throttled.get(leader) ?? now)) this.#throttled.set(leader, until);
  }

  /** Those that lead nothing any more will never be sent to, so nothing would show that they are back. */
  keepOnly(leads: (leader: number) => boolean): void {
    for (const leader of this.#unreachable.keys()) if (!leads(leader)) this.#unreachable.delete(leader);
  }
}
