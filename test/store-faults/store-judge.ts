import type { Assertion } from '../faults/judge.ts';
import type { SeenRow } from './tail-reader.ts';
import { firstCopies, type LostRange, type Place, type TopicContents } from './topic-contents.ts';

/** A row of the store, as it is at the end. */
export interface StoredRow extends Place, SeenRow {
  readonly seq: number;
}

/** What a scenario did to the store or the topic itself, and is no fault of the processor. */
export interface Interventions {
  readonly lost: readonly LostRange[];
  /** Values of seq whose rows were deleted. */
  readonly deleted: ReadonlySet<number>;
  /** The highest seq at the time of each replay: what is read again comes behind what was read first. */
  readonly replayedBehind: readonly number[];
}

/** What the comparison of the store with the topic shows. */
export interface StoreVerdict {
  readonly records: number;
  /** Different events in the topic. */
  readonly events: number;
  /** Records of an event beyond its first one, and those of them that say something else. */
  readonly copies: number;
  readonly conflicts: number;
  readonly unreadable: number;
  readonly rows: number;
  /** Events of the topic that have no row, and rows of no event of the topic. */
  readonly missing: number;
  readonly invented: number;
  /** Rows beyond the first of an event. */
  readonly twice: number;
  /** Rows that name another record than a first copy, and that hold other bytes than the record they name. */
  readonly notTheFirst: number;
  readonly otherBytes: number;
  /** Rows whose seq is higher than that of a row behind it in the log of its partition. */
  readonly orderBreaks: number;
  /** Rows that the reader of the tail passed over; that it saw and that are gone; that are not as it saw them. */
  readonly passedOver: number;
  readonly vanished: number;
  readonly changed: number;
}

/** Holds the rows, in the order of their seq, and what was seen of them, against the topic. */
export function compare(
  contents: TopicContents,
  rows: readonly StoredRow[],
  seen: ReadonlyMap<number, SeenRow>,
  { lost, deleted, replayedBehind }: Interventions,
): StoreVerdict {
  const events = contents.events(lost);
  const stored = new Set<string>();
  const highest = new Map<string, number>();
  const counts = { invented: 0, twice: 0, notTheFirst: 0, otherBytes: 0, orderBreaks: 0 };
  const ofTail = { passedOver: 0, vanished: 0, changed: 0 };
  for (const row of rows) {
    if (stored.has(row.identity)) counts.twice += 1;
    stored.add(row.identity);
    const copies = events.get(row.identity);
    if (copies === undefined) counts.invented += 1;
    else {
      const isHere = (place: Place) => place.partition === row.partition && place.offset === row.offset;
      if (!firstCopies(copies).some(isHere)) counts.notTheFirst += 1;
      if (copies.find(isHere)?.digest !== row.digest) counts.otherBytes += 1;
    }
    const reading = replayedBehind.filter((seq) => row.seq > seq).length;
    const log = `${reading} ${row.partition}`;
    if (row.offset < (highest.get(log) ?? -1)) counts.orderBreaks += 1;
    highest.set(log, Math.max(row.offset, highest.get(log) ?? -1));

    const then = seen.get(row.seq);
    if (then === undefined) ofTail.passedOver += 1;
    else if (then.identity !== row.identity || then.digest !== row.digest) ofTail.changed += 1;
  }
  const present = new Set(rows.map(({ seq }) => seq));
  for (const seq of seen.keys()) if (!present.has(seq) && !deleted.has(seq)) ofTail.vanished += 1;

  let copiesCount = 0;
  let conflicts = 0;
  for (const copies of events.values()) {
    copiesCount += copies.length - 1;
    conflicts += copies.filter(({ digest }) => digest !== copies[0]?.digest).length;
  }
  return {
    records: contents.records,
    events: events.size,
    copies: copiesCount,
    conflicts,
    unreadable: contents.unreadable(lost).length,
    rows: rows.length,
    missing: [...events.keys()].filter((identity) => !stored.has(identity)).length,
    ...counts,
    ...ofTail,
  };
}

/** What every scenario is judged by. */
export function judgeStore(verdict: StoreVerdict): Assertion[] {
  const { rows, events } = verdict;
  return [
    { name: 'rows', isTrue: rows === events, found: `${rows} of ${events} events` },
    none('missing', verdict.missing),
    none('invented', verdict.invented),
    none('twice', verdict.twice),
    none('not the first copy', verdict.notTheFirst),
    none('other bytes', verdict.otherBytes),
    none('order breaks', verdict.orderBreaks),
    none('passed over by the tail', verdict.passedOver),
    none('seen and gone', verdict.vanished),
    none('changed since seen', verdict.changed),
  ];
}

export function none(name: string, found: number): Assertion {
  return { name, isTrue: found === 0, found: String(found) };
}
