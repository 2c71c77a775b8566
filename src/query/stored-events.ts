import { type BufferBudget, type Hold, REQUEST_BYTES } from '../http/buffer-budget.ts';
import type { Query } from '../store/postgres.ts';
import type { BoundedStore, Refusal } from './bounded-store.ts';
import {
  type EventIdentity,
  type Look,
  lookAtEvents,
  type Source,
  storedEvent,
  valuesOf,
} from './event-queries.ts';
import { type Page, pageOf } from './page.ts';

/** What a byte costs while it is read: itself, and the two characters that it arrives as. */
const COST_OF_BYTE = 3;
/** An event that is no larger comes with the first answer. */
const SMALL_BYTES = 16 * 1024;
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Several pages are read at the same time, and others wait for their clients. */
const PAGES_IN_BUFFER = 16;

/** Why nothing was read. */
type Unread = Refusal | 'event-too-large-to-read';
type Ask = <Answer>(question: (query: Query) => Promise<Answer>) => Promise<Answer | Refusal>;

/** A page, with what was there of its events when they were read. */
export interface ReadPage extends Pick<Page, 'before' | 'after'> {
  readonly epoch: string;
  /** The newest first. */
  readonly values: readonly Buffer[];
}

/**
 * Reads events from the store. What they take in memory is counted before they come: their sizes are asked for first, as
 * nobody else knows them.
 */
export class StoredEvents {
  readonly #store: Pick<BoundedStore, 'ask'>;
  readonly #budget: BufferBudget;
  readonly #pageBytesMax: number;

  constructor(store: Pick<BoundedStore, 'ask'>, budget: BufferBudget) {
    this.#store = store;
    this.#budget = budget;
    this.#pageBytesMax = Math.min(PAGE_BYTES_MAX, Math.floor(budget.limits.bytesMax / PAGES_IN_BUFFER));
  }

  /** The bytes of an event; `absent`: there is none. */
  event(identity: EventIdentity): Promise<Buffer | 'absent' | Unread> {
    return this.#counting(async (hold, ask) => {
      let bytesMax = SMALL_BYTES;
      while (hold.take(bytesMax * COST_OF_BYTE)) {
        const allowed = bytesMax;
        const found = await ask((query) => storedEvent(query, identity, allowed));
        if (typeof found === 'string') return found;
        if (found === undefined) return 'absent';
        if (found.value !== null) return found.value;
        if (!this.#canEverHold(found.bytes)) return 'event-too-large-to-read';
        hold.giveBack(allowed * COST_OF_BYTE);
        bytesMax = found.bytes;
      }
      return 'busy';
    });
  }

  page(source: Source, look: Look): Promise<ReadPage | Unread> {
    return this.#counting(async (hold, ask) => {
      const seen = await ask((query) => lookAtEvents(query, source, look));
      if (typeof seen === 'string') return seen;
      const { seqs, bytes, before, after } = pageOf(look, seen, this.#pageBytesMax);
      const { epoch } = seen;
      if (seqs.length === 0) return { epoch, values: [], before, after };
      // Only one event alone can be so large, and it is not left out: nobody would know.
      if (!this.#canEverHold(bytes)) return 'event-too-large-to-read';
      if (!hold.take(bytes * COST_OF_BYTE)) return 'busy';
      const values = await ask((query) => valuesOf(query, source, seqs));
      return typeof values === 'string' ? values : { epoch, values, before, after };
    });
  }

  #canEverHold(bytes: number): boolean {
    return REQUEST_BYTES + bytes * COST_OF_BYTE <= this.#budget.limits.bytesMax;
  }

  /** What is counted is kept for a question that was given up until it is over: its answer may be arriving. */
  async #counting<Result>(read: (hold: Hold, ask: Ask) => Promise<Result>): Promise<Result> {
    const hold = this.#budget.open();
    let over: Promise<unknown> = Promise.resolve();
    const ask: Ask = (question) =>
      this.#store.ask(question, (givenUp) => {
        over = givenUp;
      });
    try {
      return await read(hold, ask);
    } finally {
      void over.then(() => hold.close());
    }
  }
}
