import type { Clock } from '../clock.ts';
import type { EventIdentity } from './event-queries.ts';

/** How waiting ended. `left`: whoever waited went away, or the program stops; `failed`: the store cannot be asked. */
export type WaitResult = 'found' | 'absent' | 'left' | 'failed';

export interface AwaitedEventsOptions {
  readonly clock: Clock;
  /** For each identity whether there is such an event; `undefined`: that cannot be found out now. */
  readonly find: (identities: readonly EventIdentity[]) => Promise<readonly boolean[] | undefined>;
  /** Who may wait at the same time. */
  readonly waitingMax: number;
  readonly onResult: (result: WaitResult) => void;
}

const INTERVAL_MS = 20;
/** A store that could not be asked is asked again after this. */
const RETRY_MS = 250;
/** Of one question. */
const IDENTITIES_MAX = 250;
/** An event is absent if the store said so this lately. */
const FRESH_MS = 1_000;

interface Waiter {
  readonly until: number;
  readonly end: (result: WaitResult) => void;
  readonly fail: (error: unknown) => void;
}

interface AwaitedEvent {
  readonly identity: EventIdentity;
  readonly waiters: Set<Waiter>;
}

/**
 * Events that are waited for, as who hears of one may ask for it before the store has it. All who wait share one poll, so
 * that a thousand of them cost the store little more than one; nobody is asked while nobody waits.
 */
export class AwaitedEvents {
  readonly #options: AwaitedEventsOptions;
  readonly #awaited = new Map<string, AwaitedEvent>();
  #waiting = 0;
  #stopPolling: (() => void) | undefined;
  #isAsking = false;
  #isClosed = false;
  /** When the store was last asked that answered for all. */
  #answeredAt = Number.NEGATIVE_INFINITY;
  #askAgainAt = Number.NEGATIVE_INFINITY;

  constructor(options: AwaitedEventsOptions) {
    this.#options = options;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Waits until the event is there, for so long at most. `busy`: as many wait as may. Rejects only if `find` does. */
  wait(identity: EventIdentity, ms: number, gone: AbortSignal): Promise<WaitResult | 'busy'> {
    const { clock, waitingMax, onResult } = this.#options;
    if (this.#isClosed || gone.aborted) {
      onResult('left');
      return Promise.resolve('left');
    }
    if (this.#waiting >= waitingMax) return Promise.resolve('busy');
    return new Promise((resolve, reject) => {
      const key = JSON.stringify([identity.sourceType, identity.sourceId, identity.id]);
      const event = this.#awaited.get(key) ?? { identity, waiters: new Set() };
      const end = (settle: () => void) => {
        gone.removeEventListener('abort', leave);
        event.waiters.delete(waiter);
        if (event.waiters.size === 0) this.#awaited.delete(key);
        this.#waiting -= 1;
        if (this.#waiting === 0) this.#rest();
        settle();
      };
      const waiter: Waiter = {
        until: clock.now() + ms,
        end: (result) =>
          end(() => {
            onResult(result);
            resolve(result);
          }),
        fail: (error) => end(() => reject(error)),
      };
      const leave = () => waiter.end('left');
      gone.addEventListener('abort', leave);
      event.waiters.add(waiter);
      this.#awaited.set(key, event);
      this.#waiting += 1;
      this.#stopPolling ??= clock.every(INTERVAL_MS, () => this.#tick());
    });
  }

  /** Ends all waiting; nobody waits any more. May be called twice. */
  close(): void {
    this.#isClosed = true;
    for (const waiter of this.#waiters()) waiter.end('left');
  }

  #waiters(): Waiter[] {
    return [...this.#awaited.values()].flatMap(({ waiters }) => Array.from(waiters));
  }

  #rest(): void {
    this.#stopPolling?.();
    this.#stopPolling = undefined;
  }

  #tick(): void {
    const now = this.#options.clock.now();
    const result = this.#answeredAt >= now - FRESH_MS ? 'absent' : 'failed';
    for (const waiter of this.#waiters()) if (waiter.until <= now) waiter.end(result);
    if (this.#isAsking || this.#waiting === 0 || now < this.#askAgainAt) return;
    this.#isAsking = true;
    this.#ask(now)
      .catch((error: unknown) => {
        for (const waiter of this.#waiters()) waiter.fail(error);
      })
      .finally(() => {
        this.#isAsking = false;
      });
  }

  async #ask(now: number): Promise<void> {
    const events = [...this.#awaited.values()];
    for (let start = 0; start < events.length; start += IDENTITIES_MAX) {
      const some = events.slice(start, start + IDENTITIES_MAX);
      const areThere = await this.#options.find(some.map(({ identity }) => identity));
      if (areThere === undefined) {
        this.#askAgainAt = now + RETRY_MS;
        return;
      }
      some.forEach(({ waiters }, index) => {
        if (areThere[index]) for (const waiter of waiters) waiter.end('found');
      });
    }
    this.#answeredAt = now;
  }
}
