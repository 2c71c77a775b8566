import type { Outcome } from '../../src/ingest/outcome.ts';
import { keyFor, numberIn, valueFor } from './fault-event.ts';
import type { FoundRecord } from './reader.ts';

/** What the comparison of the answers with the topic shows. Counts of events unless they say otherwise. */
export interface Verdict {
  readonly offered: number;
  readonly stored: number;
  readonly notStored: number;
  readonly refused: number;
  readonly unknown: number;
  readonly unanswered: number;
  /** Answered stored, and not at the place that the answer named. */
  readonly lost: number;
  /** Of those: in no partition at all. */
  readonly absent: number;
  /** Answered not_stored or refused, and in the topic. */
  readonly phantom: number;
  /** First copies of stored events that lie behind a later one of the same source in the same partition. */
  readonly orderBreaks: number;
  /** Records that are no event that was offered, or not with that key and value. */
  readonly corrupt: number;
  /** Copies beyond the first, and how many of them are more than the event had attempts. */
  readonly duplicates: number;
  readonly unexplainedDuplicates: number;
  /** Events that were first written after their deadline. */
  readonly writtenLate: number;
  /** Notified without being in the topic, or twice, or stored and not notified. */
  readonly notifiedWrongly: number;
  /** Of those: without being in the topic, and stored but not notified. */
  readonly notifiedAbsent: number;
  readonly notNotified: number;
  readonly longestAnswerMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const STATUSES = ['unanswered', 'stored', 'not_stored', 'refused', 'unknown'] as const;
const STORED = STATUSES.indexOf('stored');

/** The publisher reads its clock a moment after the ledger does, and counts its deadline from there. */
const CLOCK_SLACK_MS = 50;

/** An answer that names no place, from a publisher that does not know it. */
export const NO_OFFSET = -1;

/** An hour at several thousand a second. */
const EVENTS_MAX = 50_000_000;
const GROW_EVENTS = 65_536;

/**
 * A column of numbers that grows in place. A run has millions of events: as objects they would stop the load for seconds
 * whenever garbage is collected, and the burst behind such a stop is no part of the run.
 */
function column<T extends Uint8Array | Int8Array | Uint16Array | Int32Array | Float64Array>(
  of: new (buffer: ArrayBuffer) => T,
  bytesEach: number,
): T {
  return new of(new ArrayBuffer(0, { maxByteLength: EVENTS_MAX * bytesEach }));
}

/** Every event that was offered, with its answer, to be held against what an independent reader finds. */
export class Ledger {
  /** By the number of the event, which is its place in the order of acceptance. */
  readonly #source = column(Uint16Array, 2);
  /** How many events its request has: they are answered together. */
  readonly #of = column(Uint8Array, 1);
  readonly #acceptedAt = column(Float64Array, 8);
  readonly #timeoutMs = column(Uint16Array, 2);
  readonly #answeredAt = column(Float64Array, 8);
  readonly #status = column(Uint8Array, 1);
  readonly #partition = column(Int8Array, 1);
  readonly #offset = column(Int32Array, 4);
  readonly #attempts = column(Uint8Array, 1);
  readonly #copies = column(Uint8Array, 1);
  readonly #notified = column(Uint8Array, 1);
  readonly #isAtItsPlace = column(Uint8Array, 1);
  readonly #isWrittenLate = column(Uint8Array, 1);
  readonly #columns = [
    this.#source,
    this.#of,
    this.#acceptedAt,
    this.#timeoutMs,
    this.#answeredAt,
    this.#status,
    this.#partition,
    this.#offset,
    this.#attempts,
    this.#copies,
    this.#notified,
    this.#isAtItsPlace,
    this.#isWrittenLate,
  ];
  #length = 0;
  /** For each partition and source the number of the last first copy of a stored event. */
  readonly #latest = new Map<number, number>();
  /** Reasons of what was not stored, with the time of the first and last answer. */
  readonly reasons = new Map<string, { count: number; readonly firstAt: number; lastAt: number }>();
  #corrupt = 0;
  #orderBreaks = 0;
  #unanswered = 0;

  get offered(): number {
    return this.#length;
  }

  get unanswered(): number {
    return this.#unanswered;
  }

  /** An event is about to be offered. Returns its number. */
  offer(source: number, now: number, timeoutMs: number, of = 1): number {
    const number = this.#length;
    if (number === this.#source.length) {
      for (const { buffer, BYTES_PER_ELEMENT } of this.#columns) {
        (buffer as ArrayBuffer).resize((number + GROW_EVENTS) * BYTES_PER_ELEMENT);
      }
    }
    this.#length += 1;
    this.#unanswered += 1;
    this.#source[number] = source;
    this.#of[number] = of;
    this.#acceptedAt[number] = now;
    this.#timeoutMs[number] = timeoutMs;
    this.#answeredAt[number] = Number.NaN;
    this.#partition[number] = -1;
    this.#offset[number] = NO_OFFSET;
    return number;
  }

  /** An attempt carries the event. */
  attempted(number: number, now: number): void {
    this.#check(number);
    const attempts = at(this.#attempts, number) + 1;
    this.#attempts[number] = attempts;
    const deadline = at(this.#acceptedAt, number) + at(this.#timeoutMs, number);
    if (attempts === 1 && now > deadline + CLOCK_SLACK_MS) this.#isWrittenLate[number] = 1;
  }

  answered(number: number, outcome: Outcome, now: number): void {
    this.#check(number);
    if (this.#status[number] !== 0) throw new Error(`event ${number} is answered twice`);
    this.#unanswered -= 1;
    this.#status[number] = STATUSES.indexOf(outcome.status);
    this.#answeredAt[number] = now;
    if (outcome.status !== 'stored') {
      const reason = this.reasons.get(outcome.code) ?? { count: 0, firstAt: now, lastAt: now };
      reason.count += 1;
      reason.lastAt = now;
      this.reasons.set(outcome.code, reason);
      return;
    }
    this.#partition[number] = outcome.partition;
    this.#offset[number] = outcome.offset;
  }

  notified(number: number): void {
    this.#check(number);
    this.#notified[number] = at(this.#notified, number) + 1;
  }

  /** Takes note of a record of the topic; each partition's in the order of its log, once all is answered. */
  found({ partition, offset, key, value }: FoundRecord): void {
    const number = numberIn(value);
    if (number === undefined || number >= this.#length) {
      this.#corrupt += 1;
      return;
    }
    const source = at(this.#source, number);
    if (key !== keyFor(source) || value !== valueFor(number, source)) this.#corrupt += 1;
    const copies = at(this.#copies, number) + 1;
    this.#copies[number] = copies;
    if (this.#partition[number] === partition && this.#offset[number] === offset)
      this.#isAtItsPlace[number] = 1;
    if (copies === 1 && this.#status[number] === STORED) this.#checkOrder(number, source, partition);
  }

  /** How long after `since` each of `partitions` had stored an event again; the last of them. Infinity: not all. */
  storedAgainMs(since: number, partitions: number): number {
    const first = new Map<number, number>();
    for (let number = 0; number < this.#length; number += 1) {
      const answeredAt = at(this.#answeredAt, number);
      if (this.#status[number] !== STORED || answeredAt < since) continue;
      const partition = at(this.#partition, number);
      if (answeredAt < (first.get(partition) ?? Number.POSITIVE_INFINITY)) first.set(partition, answeredAt);
    }
    if (first.size < partitions) return Number.POSITIVE_INFINITY;
    return Math.max(...first.values()) - since;
  }

  /** Events accepted in this span of time, by outcome. */
  outcomesBetween(from: number, until: number): Readonly<Record<(typeof STATUSES)[number], number>> {
    const counts = { unanswered: 0, stored: 0, not_stored: 0, refused: 0, unknown: 0 };
    for (let number = 0; number < this.#length; number += 1) {
      if (this.#isAcceptedIn(number, from, until))
        counts[STATUSES[at(this.#status, number)] ?? 'unanswered'] += 1;
    }
    return counts;
  }

  /** The 99th percentile of the answer times of single events accepted in this span and stored there. */
  p99MsOfSingles(from: number, until: number, isThere: (partition: number) => boolean): number {
    const took = new Times();
    for (let number = 0; number < this.#length; number += 1) {
      if (this.#of[number] !== 1 || this.#status[number] !== STORED) continue;
      if (this.#isAcceptedIn(number, from, until) && isThere(at(this.#partition, number))) {
        took.add(this.#tookMs(number));
      }
    }
    return took.percentile(0.99);
  }

  /** Events that were answered stored in this span of time, whenever they were accepted. */
  storedAnsweredBetween(from: number, until: number): number {
    return this.#count(
      (number) =>
        this.#status[number] === STORED &&
        at(this.#answeredAt, number) >= from &&
        at(this.#answeredAt, number) < until,
    );
  }

  /** Answer times of what was accepted in this span and stored. */
  storedMs(from: number, until: number): { readonly p50Ms: number; readonly p99Ms: number } {
    const took = new Times();
    for (let number = 0; number < this.#length; number += 1) {
      if (this.#status[number] === STORED && this.#isAcceptedIn(number, from, until))
        took.add(this.#tookMs(number));
    }
    return { p50Ms: took.percentile(0.5), p99Ms: took.percentile(0.99) };
  }

  verdict(): Verdict {
    const copies = (number: number) => at(this.#copies, number);
    const notified = (number: number) => at(this.#notified, number);
    const ended = (status: (typeof STATUSES)[number]) => (number: number) =>
      STATUSES[at(this.#status, number)] === status;
    const isStored = ended('stored');
    const isNotStored = ended('not_stored');
    const isRefused = ended('refused');
    const took = new Times();
    let longestAnswerMs = 0;
    let duplicates = 0;
    let unexplainedDuplicates = 0;
    for (let number = 0; number < this.#length; number += 1) {
      duplicates += Math.max(0, copies(number) - 1);
      unexplainedDuplicates += Math.max(0, copies(number) - Math.max(1, at(this.#attempts, number)));
      if (this.#status[number] === 0) continue;
      took.add(this.#tookMs(number));
      longestAnswerMs = Math.max(longestAnswerMs, this.#tookMs(number));
    }
    const isNotifiedAbsent = (number: number) => notified(number) > 0 && copies(number) === 0;
    const isNotNotified = (number: number) => notified(number) === 0 && isStored(number);
    return {
      offered: this.offered,
      stored: this.#count(isStored),
      notStored: this.#count(isNotStored),
      refused: this.#count(isRefused),
      unknown: this.#count(ended('unknown')),
      unanswered: this.#unanswered,
      lost: this.#count((number) => isStored(number) && this.#isAtItsPlace[number] === 0),
      absent: this.#count((number) => isStored(number) && copies(number) === 0),
      phantom: this.#count((number) => (isNotStored(number) || isRefused(number)) && copies(number) > 0),
      orderBreaks: this.#orderBreaks,
      corrupt: this.#corrupt,
      duplicates,
      unexplainedDuplicates,
      writtenLate: this.#count((number) => this.#isWrittenLate[number] === 1),
      notifiedWrongly: this.#count(
        (number) => notified(number) > 1 || isNotifiedAbsent(number) || isNotNotified(number),
      ),
      notifiedAbsent: this.#count(isNotifiedAbsent),
      notNotified: this.#count(isNotNotified),
      longestAnswerMs,
      p50Ms: took.percentile(0.5),
      p99Ms: took.percentile(0.99),
    };
  }

  #checkOrder(number: number, source: number, partition: number): void {
    const key = partition * 65_536 + source;
    if (number < (this.#latest.get(key) ?? -1)) this.#orderBreaks += 1;
    else this.#latest.set(key, number);
  }

  #isAcceptedIn(number: number, from: number, until: number): boolean {
    const acceptedAt = at(this.#acceptedAt, number);
    return acceptedAt >= from && acceptedAt < until;
  }

  #tookMs(number: number): number {
    return at(this.#answeredAt, number) - at(this.#acceptedAt, number);
  }

  #count(is: (number: number) => boolean): number {
    let count = 0;
    for (let number = 0; number < this.#length; number += 1) if (is(number)) count += 1;
    return count;
  }

  #check(number: number): void {
    if (!(number >= 0 && number < this.#length)) throw new Error(`event ${number} was never offered`);
  }
}

function at(numbers: { readonly [index: number]: number }, index: number): number {
  return numbers[index] as number;
}

/** Times to a tenth of a millisecond: counted and not sorted, as there are millions while the load runs on. */
class Times {
  readonly #tenths = new Map<number, number>();
  #count = 0;

  add(ms: number): void {
    const tenth = Math.round(ms * 10);
    this.#tenths.set(tenth, (this.#tenths.get(tenth) ?? 0) + 1);
    this.#count += 1;
  }

  /** NaN when there are none. */
  percentile(share: number): number {
    let below = 0;
    for (const [tenth, count] of [...this.#tenths].toSorted(([a], [b]) => a - b)) {
      below += count;
      if (below > this.#count * share) return tenth / 10;
    }
    return Number.NaN;
  }
}
