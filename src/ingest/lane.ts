import type { RecordSource } from './record-batch.ts';

/**
 * An event on its way through a lane.
 *
 *     pending ── deadline ─────────────► settled as not_stored (or unknown, if an earlier attempt was ambiguous)
 *       │ its lane takes it into its batch
 *     in flight ── ack ────────────────► settled as stored
 *       │   ├── deadline ──────────────► settled as unknown, but kept until the attempt is over
 *       │   └── not acknowledged ──────► back to waiting in the batch, ambiguous unless nothing was appended
 */
export interface Entry {
  /** What becomes the record. */
  readonly event: RecordSource;
  /** Of the key; with the number of partitions it gives the partition. */
  readonly keyHash: number;
  /** The most bytes the record can take. */
  readonly recordBytesMax: number;
  /** What the lane keeps alive for it; the request's first entry in the lane stands for the request's bytes too. */
  readonly heldBytes: number;
  readonly acceptedAt: number;
  readonly deadline: number;
  /** True once an attempt may have appended it: from then on it ends as stored or unknown. */
  isAmbiguous: boolean;
  isSettled: boolean;
}

/** What may go into one batch. */
export interface BatchLimits {
  readonly bytesMax: number;
  readonly recordsMax: number;
}

/**
 * One partition's events, in the order of acceptance: those pending, and at most one batch that is unsettled from
 * its first attempt to its last retry (promise P6). It holds entries and decides nothing: {@link Lanes} settles.
 */
export class Lane {
  readonly partition: number;
  /** The next batch, growing. */
  #pending: Entry[] = [];
  /** How many of `#pending` have left it: cheaper than shifting each. */
  #pendingGone = 0;
  #batch: Entry[] = [];
  #inFlight = false;
  #heldBytes = 0;
  /** No deadline here is earlier, so most looks at the clock need not look at the entries. */
  #earliestDeadline = Number.POSITIVE_INFINITY;
  /** The number of the latest request that has an entry here. */
  joinedBy = 0;
  /** Consecutive attempts without success. */
  failures = 0;
  /** Not before this may the lane be sent. */
  retryAt = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  get inFlight(): boolean {
    return this.#inFlight;
  }

  get isEmpty(): boolean {
    return this.#batch.length === 0 && this.#pendingGone === this.#pending.length;
  }

  /** The bytes of the requests that this lane keeps alive. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** How many entries the unsettled batch holds. */
  get batchSize(): number {
    return this.#batch.length;
  }

  /** When the oldest entry was accepted; `undefined` while there is none. */
  get oldestAcceptedAt(): number | undefined {
    return (this.#batch[0] ?? this.#pending[this.#pendingGone])?.acceptedAt;
  }

  accept(entry: Entry): void {
    this.#pending.push(entry);
    this.#heldBytes += entry.heldBytes;
    if (entry.deadline < this.#earliestDeadline) this.#earliestDeadline = entry.deadline;
  }

  /**
   * The batch to write now: the unsettled one again, or the next. The lane is in flight until {@link landed}.
   * Call {@link expire} first: what is past its deadline must not be sent.
   */
  take({ bytesMax, recordsMax }: BatchLimits): readonly Entry[] {
    if (this.#batch.length === 0) {
      const start = this.#pendingGone;
      let bytes = 0;
      let end = start;
      for (; end < this.#pending.length && end - start < recordsMax; end += 1) {
        bytes += (this.#pending[end] as Entry).recordBytesMax;
        if (bytes > bytesMax && end > start) break;
      }
      this.#batch = this.#pending.slice(start, end);
      this.#pendingGone = end;
      this.#dropGone();
    }
    this.#inFlight = this.#batch.length > 0;
    return this.#batch;
  }

  /** The attempt is over. Removes from the batch, and returns, every entry that `isDone`. */
  landed(isDone: (entry: Entry) => boolean): readonly Entry[] {
    this.#inFlight = false;
    const done: Entry[] = [];
    this.#batch = this.#keep(this.#batch, done, isDone);
    return done;
  }

  /** Too large for one batch: the second half goes back to the head of those pending. */
  split(): void {
    const half = Math.ceil(this.#batch.length / 2);
    this.#pending = [...this.#batch.slice(half), ...this.#pending.slice(this.#pendingGone)];
    this.#pendingGone = 0;
    this.#batch = this.#batch.slice(0, half);
  }

  /**
   * What has reached its deadline: `ended` is removed; `inFlight`, not settled yet, stays until the attempt is over.
   */
  expire(now: number): { ended: readonly Entry[]; inFlight: readonly Entry[] } {
    if (now < this.#earliestDeadline) return NOTHING_EXPIRED;
    const ended: Entry[] = [];
    const isPast = ({ deadline }: Entry) => deadline <= now;
    const inFlight = this.#inFlight ? this.#batch.filter((entry) => isPast(entry) && !entry.isSettled) : [];
    if (!this.#inFlight) this.#batch = this.#keep(this.#batch, ended, isPast);
    this.#pending = this.#keep(this.#pending.slice(this.#pendingGone), ended, isPast);
    this.#pendingGone = 0;
    this.#earliestDeadline = earliestAfter(now, this.#batch, earliestAfter(now, this.#pending));
    return { ended, inFlight };
  }

  /** Empties the lane. Not while it is in flight. */
  takeAll(): readonly Entry[] {
    const all = [...this.#batch, ...this.#pending.slice(this.#pendingGone)];
    this.#batch = [];
    this.#pending = [];
    this.#pendingGone = 0;
    this.#heldBytes = 0;
    return all;
  }

  #keep(entries: Entry[], removed: Entry[], isRemoved: (entry: Entry) => boolean): Entry[] {
    return entries.filter((entry) => {
      if (!isRemoved(entry)) return true;
      removed.push(entry);
      this.#heldBytes -= entry.heldBytes;
      return false;
    });
  }

  /** Gives memory back once the part that is gone is the larger one, which makes it O(1) an entry. */
  #dropGone(): void {
    if (this.#pendingGone * 2 < this.#pending.length) return;
    this.#pending = this.#pending.slice(this.#pendingGone);
    this.#pendingGone = 0;
  }
}

const NOTHING_EXPIRED = { ended: [], inFlight: [] } as const;

function earliestAfter(now: number, entries: readonly Entry[], known = Number.POSITIVE_INFINITY): number {
  let earliest = known;
  for (const { deadline } of entries) if (deadline > now && deadline < earliest) earliest = deadline;
  return earliest;
}
