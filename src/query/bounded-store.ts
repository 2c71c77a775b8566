import type { GivableQuery, Query } from '../store/postgres.ts';
import { faultKind, isOwnFault } from './store-fault.ts';

/** Why the store was not asked, or did not answer. */
export type Refusal = 'busy' | 'store-unavailable';

export interface BoundedStoreOptions {
  readonly query: GivableQuery;
  /** Questions that are answered or wait for a connection, at most. */
  readonly underWayMax: number;
  /** One question, at most: waiting for a connection, and the answer. */
  readonly timeoutMs: number;
  /** Whether the store answered lately. If not, nobody waits to find out again. */
  readonly isUp: () => boolean;
  readonly onFault: (kind: string) => void;
  /** Told how long each question took. */
  readonly onAsked: (seconds: number) => void;
}

const GIVEN_UP = { fault: 'timeout', isOwn: false } as const;

/** The store, asked within bounds: it may fail, hang, or be asked more than it can answer. */
export class BoundedStore {
  readonly #options: BoundedStoreOptions;
  #underWay = 0;

  constructor(options: BoundedStoreOptions) {
    this.#options = options;
  }

  /**
   * Asks one question. Rejects only where this program is wrong. One that is given up sends nothing more; `onGivenUp` is
   * told when it is over, as it may be under way and have an answer until then.
   */
  async ask<Answer>(
    question: (query: Query) => Promise<Answer>,
    onGivenUp?: (over: Promise<unknown>) => void,
  ): Promise<Answer | Refusal> {
    const { query, underWayMax, timeoutMs, isUp, onFault, onAsked } = this.#options;
    if (!isUp()) return 'store-unavailable';
    if (this.#underWay >= underWayMax) return 'busy';
    this.#underWay += 1;
    const startedAt = performance.now();
    const givenUp = new AbortController();
    const outcome = question((text, values) => query(text, values, givenUp.signal)).then(
      (answer) => ({ answer }),
      (error: unknown) => ({ fault: faultKind(error), isOwn: isOwnFault(error) }),
    );
    // One that is given up still counts while it has a connection, or waits for one.
    void outcome.then(() => {
      this.#underWay -= 1;
      onAsked((performance.now() - startedAt) / 1_000);
    });
    const timeUp = Promise.withResolvers<typeof GIVEN_UP>();
    const timer = setTimeout(() => timeUp.resolve(GIVEN_UP), timeoutMs);
    const first = await Promise.race([outcome, timeUp.promise]);
    clearTimeout(timer);
    if (first === GIVEN_UP) {
      givenUp.abort();
      onGivenUp?.(outcome);
    }
    if ('answer' in first) return first.answer;
    // Without its message, which may have values in it.
    if (first.isOwn) throw new Error(`PostgreSQL refuses a statement: ${first.fault}`);
    onFault(first.fault);
    return 'store-unavailable';
  }
}
