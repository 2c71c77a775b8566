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

/** One event offered, by its number, and all that was said and found about it. A run has a million or more. */
interface Line {
  readonly source: number;
  /** How many events its request has: they are answered together. */
  readonly of: number;
  readonly acceptedAt: number;
  readonly deadline: number;
  answeredAt: number;
  status: number;
  partition: number;
  offset: number;
  attempts: number;
  copies: number;
  notified: number;
  isAtItsPlace: boolean;
  isWrittenLate: boolean;
}

/** Every event that was offered, with its answer, to be held against what an independent reader finds. */
export class Ledger {
  readonly #lines: Line[] = [];
  /** For each partition and source the number of the last first copy of a stored event. */
  readonly #latest = new Map<string, number>();
  /** Reasons of what was not stored, with the time of the first and last answer. */
  readonly reasons = new Map<string, { count: number; readonly firstAt: number; lastAt: number }>();
  #corrupt = 0;
  #orderBreaks = 0;
  #unanswered = 0;

  get offered(): number {
    return this.#lines.length;
  }

  get unanswered(): number {
    return this.#unanswered;
  }

  /** An event is about to be offered. Returns its number, which is its place in the order of acceptance. */
  offer(source: number, now: number, timeoutMs: number, of = 1): number {
    this.#unanswered += 1;
    return (
      this.#lines.push({
        source,
        of,
        acceptedAt: now,
        deadline: now + timeoutMs,
        answeredAt: Number.NaN,
        status: 0,
        partition: -1,
        offset: NO_OFFSET,
        attempts: 0,
        copies: 0,
        notified: 0,
        isAtItsPlace: false,
        isWrittenLate: false,
      }) - 1
    );
  }

  /** An attempt carries the event. */
  attempted(number: number, now: number): void {
    const line = this.#line(number);
    line.attempts += 1;
    if (line.attempts === 1 && now > line.deadline + CLOCK_SLACK_MS) line.isWrittenLate = true;
  }

  answered(number: number, outcome: Outcome, now: number): void {
    const line = this.#line(number);
    if (line.status !== 0) throw new Error(`event ${number} is answered twice`);
    this.#unanswered -= 1;
    line.status = STATUSES.indexOf(outcome.status);
    line.answeredAt = now;
    if (outcome.status !== 'stored') {
      const reason = this.reasons.get(outcome.code) ?? { count: 0, firstAt: now, lastAt: now };
      reason.count += 1;
      reason.lastAt = now;
      this.reasons.set(outcome.code, reason);
      return;
    }
    line.partition = outcome.partition;
    line.offset = outcome.offset;
  }

  notified(number: number): void {
    this.#line(number).notified += 1;
  }

  /** Takes note of a record of the topic; each partition's in the order of its log, once all is answered. */
  found({ partition, offset, key, value }: FoundRecord): void {
    const number = numberIn(value);
    const line = number === undefined ? undefined : this.#lines[number];
    if (number === undefined || line === undefined) {
      this.#corrupt += 1;
      return;
    }
    if (key !== keyFor(line.source) || value !== valueFor(number, line.source)) this.#corrupt += 1;
    line.copies += 1;
    if (line.partition === partition && line.offset === offset) line.isAtItsPlace = true;
    if (line.copies === 1 && STATUSES[line.status] === 'stored') this.#checkOrder(number, line, partition);
  }

  /** How long after `since` each of `partitions` had stored an event again; the last of them. Infinity: not all. */
  storedAgainMs(since: number, partitions: number): number {
    const first = new Map<number, number>();
    for (const { status, partition, answeredAt } of this.#lines) {
      if (STATUSES[status] !== 'stored' || answeredAt < since) continue;
      if (answeredAt < (first.get(partition) ?? Number.POSITIVE_INFINITY)) first.set(partition, answeredAt);
    }
    if (first.size < partitions) return Number.POSITIVE_INFINITY;
    return Math.max(...first.values()) - since;
  }

  /** Events accepted in this span of time, by outcome. */
  outcomesBetween(from: number, until: number): Readonly<Record<(typeof STATUSES)[number], number>> {
    const counts = { unanswered: 0, stored: 0, not_stored: 0, refused: 0, unknown: 0 };
    for (const { acceptedAt, status } of this.#lines) {
      if (acceptedAt >= from && acceptedAt < until) counts[STATUSES[status] ?? 'unanswered'] += 1;
    }
    return counts;
  }

  /** The 99th percentile of the answer times of single events accepted in this span and stored there. */
  p99MsOfSingles(from: number, until: number, isThere: (partition: number) => boolean): number {
    const took = this.#lines
      .filter(({ of, acceptedAt }) => of === 1 && acceptedAt >= from && acceptedAt < until)
      .filter(({ status, partition }) => STATUSES[status] === 'stored' && isThere(partition))
      .map(({ acceptedAt, answeredAt }) => answeredAt - acceptedAt)
      .toSorted((a, b) => a - b);
    return took[Math.floor(took.length * 0.99)] ?? Number.NaN;
  }

  /** Events that were answered stored in this span of time, whenever they were accepted. */
  storedAnsweredBetween(from: number, until: number): number {
    let count = 0;
    for (const { status, answeredAt } of this.#lines) {
      if (status === STORED && answeredAt >= from && answeredAt < until) count += 1;
    }
    return count;
  }

  /** Answer times of what was accepted in this span and stored, to a tenth of a millisecond. */
  storedMs(from: number, until: number): { readonly p50Ms: number; readonly p99Ms: number } {
    // Counted and not sorted: the load runs on meanwhile, and must not stand still for seconds in a long run.
    const tenths = new Map<number, number>();
    let count = 0;
    for (const { acceptedAt, answeredAt, status } of this.#lines) {
      if (status !== STORED || acceptedAt < from || acceptedAt >= until) continue;
      const tenth = Math.round((answeredAt - acceptedAt) * 10);
      tenths.set(tenth, (tenths.get(tenth) ?? 0) + 1);
      count += 1;
    }
    const ascending = [...tenths].toSorted(([a], [b]) => a - b);
    const percentile = (share: number) => {
      let below = 0;
      for (const [tenth, n] of ascending) {
        below += n;
        if (below > count * share) return tenth / 10;
      }
      return Number.NaN;
    };
    return { p50Ms: percentile(0.5), p99Ms: percentile(0.99) };
  }

  verdict(): Verdict {
    const count = (is: (line: Line) => boolean) =>
      this.#lines.reduce((sum, line) => sum + Number(is(line)), 0);
    const isStored = ended('stored');
    const isDenied = (line: Line) => ended('not_stored')(line) || ended('refused')(line);
    const sum = (of: (line: Line) => number) => this.#lines.reduce((total, line) => total + of(line), 0);
    const answerMs = this.#lines.map(({ acceptedAt, answeredAt }) => answeredAt - acceptedAt);
    const took = Float64Array.from(answerMs.filter((ms) => ms >= 0)).toSorted();
    return {
      offered: this.offered,
      stored: count(isStored),
      notStored: count(ended('not_stored')),
      refused: count(ended('refused')),
      unknown: count(ended('unknown')),
      unanswered: this.#unanswered,
      lost: count((line) => isStored(line) && !line.isAtItsPlace),
      absent: count((line) => isStored(line) && line.copies === 0),
      phantom: count((line) => isDenied(line) && line.copies > 0),
      orderBreaks: this.#orderBreaks,
      corrupt: this.#corrupt,
      duplicates: sum(({ copies }) => Math.max(0, copies - 1)),
      unexplainedDuplicates: sum(({ copies, attempts }) => Math.max(0, copies - Math.max(1, attempts))),
      writtenLate: count(({ isWrittenLate }) => isWrittenLate),
      notifiedWrongly: count(
        (line) =>
          line.notified > 1 ||
          (line.notified > 0 && line.copies === 0) ||
          (line.notified === 0 && isStored(line)),
      ),
      notifiedAbsent: count((line) => line.notified > 0 && line.copies === 0),
      notNotified: count((line) => line.notified === 0 && isStored(line)),
      longestAnswerMs: took.at(-1) ?? 0,
      p50Ms: took[Math.floor(took.length * 0.5)] ?? 0,
      p99Ms: took[Math.floor(took.length * 0.99)] ?? 0,
    };
  }

  #checkOrder(number: number, { source }: Line, partition: number): void {
    const key = `${partition}/${source}`;
    if (number < (this.#latest.get(key) ?? -1)) this.#orderBreaks += 1;
    else this.#latest.set(key, number);
  }

  #line(number: number): Line {
    const line = this.#lines[number];
    if (line === undefined) throw new Error(`event ${number} was never offered`);
    return line;
  }
}

function ended(status: (typeof STATUSES)[number]): (line: Line) => boolean {
  return (line) => STATUSES[line.status] === status;
}
