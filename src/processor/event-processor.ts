import type { Move, Positions } from '../store/positions.ts';
import { EVENTS_MAX, type PartitionWrite, type WriteOutcome } from './event-writer.ts';
import { type EventRecord, readRecord, type TopicRecord, type UnreadableReason } from './record-reader.ts';

/** What one fetch brought of one partition. */
export interface RecordsOfPartition {
  readonly partition: number;
  /** The offset that was asked for; nothing between it and the first record is missing. */
  readonly from: number;
  /** The offset behind the last record. */
  readonly next: number;
  readonly records: readonly TopicRecord[];
}

/** The one who brings records, while they are being stored. */
export interface Delivery {
  /** Whether the partition may still be ours. Only the store knows for sure. */
  readonly isCurrent: () => boolean;
  /** Tells the group that we are here. Rejects when the partitions are given out anew. */
  readonly heartbeat: () => Promise<void>;
}

/** `stored`: go on behind it. `sought`: the records were not the next ones, and others have been asked for. `left`: it is not ours to store. */
export type TakeOutcome = 'stored' | 'sought' | 'left';

/** The first offset that a partition still has, and the one that its next record will get. */
export interface LogRange {
  readonly low: number;
  readonly high: number;
}

export interface DeadLetter {
  readonly record: TopicRecord;
  readonly reason: UnreadableReason;
}

export interface EventProcessorOptions {
  readonly readPositions: (partition?: number) => Promise<Positions>;
  readonly addPosition: (partition: number, next: number) => Promise<void>;
  /** `false`: it was not where it had to be. */
  readonly movePosition: (move: Move) => Promise<boolean>;
  readonly logRanges: () => Promise<ReadonlyMap<number, LogRange>>;
  /** Has the next fetch of this partition begin there. */
  readonly seek: (partition: number, offset: number) => void;
  readonly write: (write: PartitionWrite) => Promise<WriteOutcome>;
  /** Sends the first of them. Resolves with how many Kafka has then: one at least. */
  readonly sendDeadLetters: (letters: readonly DeadLetter[]) => Promise<number>;
  readonly pause: (ms: number) => Promise<void>;
  readonly report: ProcessorReport;
}

/** What happens, for the log and the metrics. */
export interface ProcessorReport {
  /** Events that are in the store now, or too old for it. */
  processed(events: readonly EventRecord[]): void;
  /** Something failed, and is tried again until it works. `undefined`: it works again. */
  trouble(partition: number, fault: Error | undefined): void;
  /** Records that Kafka does not have any more were never stored. */
  lost(partition: number, from: number, to: number): void;
  /** Kafka has fewer records than were stored: the topic was made anew, or lost some. */
  truncated(partition: number, position: number, high: number): void;
  /** Kafka gives no records for offsets that it says it has, as where transactions end. */
  empty(partition: number, from: number, to: number): void;
}

const RETRY_MS = [100, 250, 500, 1_000, 2_000] as const;
const HEARTBEAT_MS = 1_000;
/** The consumer drops what it fetched before it sought; one batch may have been on its way. */
const SEEKS_BELIEVED = 3;

/**
 * Puts the records of the partitions that this process has into the store, each once, in the order of their partition.
 * Where to go on is what the store says: it moves in the transaction that stores the events. The group only says who
 * should do it. When two believe that a partition is theirs, the first one to move its position was right.
 */
export class EventProcessor {
  readonly #options: EventProcessorOptions;
  /** Where the store is, as far as that is certain. */
  readonly #positions = new Map<number, number>();
  /** Where it was when that was certain last. */
  readonly #reached = new Map<number, number>();
  /** Seeks that had no effect yet: where to, and how often. */
  readonly #sought = new Map<number, { readonly position: number; times: number }>();
  readonly #busy = new Set<number>();
  #assigned: ReadonlySet<number> = new Set();

  constructor(options: EventProcessorOptions) {
    this.#options = options;
  }

  get assigned(): ReadonlySet<number> {
    return this.#assigned;
  }

  /** Where the store was with the partitions that this process has, when that was known last. */
  get reached(): Positions {
    return this.#reached;
  }

  /** The group gave out the partitions anew. Whoever had them before may have moved their positions. */
  assign(partitions: readonly number[]): void {
    this.#assigned = new Set(partitions);
    this.#positions.clear();
    this.#reached.clear();
    this.#sought.clear();
  }

  /**
   * Looks at all positions, and seeks where this process would go on elsewhere: after an assignment, as the offsets that
   * the group keeps are not the store's, and when a replay has set them back. To be called every few seconds.
   */
  async align(): Promise<void> {
    const { readPositions, logRanges, seek } = this.#options;
    const before = new Map(this.#positions);
    const stored = await readPositions();
    // What moves while they are looked at is under way, and as it should be.
    const isUnmoved = (partition: number) =>
      !this.#busy.has(partition) && this.#positions.get(partition) === before.get(partition);
    const isElsewhere = (partition: number) =>
      !before.has(partition) || before.get(partition) !== stored.get(partition);
    const astray = [...this.#assigned].filter((partition) => isUnmoved(partition) && isElsewhere(partition));
    if (astray.length === 0) return;
    const ranges = await logRanges();
    const faults: unknown[] = [];
    for (const partition of astray) {
      if (!isUnmoved(partition)) continue;
      try {
        const position = await this.#place(partition, stored.get(partition), ranges.get(partition));
        if (!this.#busy.has(partition)) seek(partition, position);
      } catch (error) {
        faults.push(error); // of this partition; the others are looked at all the same
      }
    }
    if (faults.length > 0) throw faults[0];
  }

  /** Stores what a fetch brought, however long that takes. Rejects only as `delivery.heartbeat` does. */
  async take(batch: RecordsOfPartition, delivery: Delivery): Promise<TakeOutcome> {
    const { partition } = batch;
    const { report, pause } = this.#options;
    this.#busy.add(partition);
    let outcome: TakeOutcome | 'again' = 'left';
    try {
      const read = readAll(batch.records);
      for (let attempt = 0; delivery.isCurrent(); attempt += 1) {
        try {
          outcome = await whileAlive(delivery, this.#attempt(batch, read));
          report.trouble(partition, undefined);
          if (outcome !== 'again') return outcome;
        } catch (error) {
          outcome = 'left';
          // Whether it was stored is not known; the store will say.
          this.#positions.delete(partition);
          report.trouble(partition, error as Error);
          await pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] as number);
        }
        await delivery.heartbeat();
      }
      return 'left';
    } finally {
      // What was dropped without a seek of its own says nothing about the offsets before the next.
      if (outcome !== 'sought') this.#sought.delete(partition);
      this.#busy.delete(partition);
    }
  }

  async #attempt(batch: RecordsOfPartition, read: ReadRecords): Promise<TakeOutcome | 'again'> {
    const { write, sendDeadLetters, report } = this.#options;
    const { partition } = batch;
    const known = this.#positions.get(partition);
    const position = known === batch.from ? known : await this.#find(partition);
    if (position !== batch.from && !this.#isEmptyBetween(position, batch)) return 'sought';
    while (read.letters.length > 0) read.letters = read.letters.slice(await sendDeadLetters(read.letters));
    for (const part of partsOf(read.events, { partition, from: position, next: batch.next })) {
      if ((await write(part)) === 'moved') {
        this.#positions.delete(partition);
        return 'again';
      }
      this.#set(partition, part.next);
      report.processed(part.events);
    }
    return 'stored';
  }

  /**
   * Seeks to the position, unless Kafka was asked for what is there already and goes on behind it: offsets that hold no
   * records for us, for which it would be asked for ever.
   */
  #isEmptyBetween(position: number, { partition, from }: RecordsOfPartition): boolean {
    const sought = this.#sought.get(partition);
    const times = sought?.position === position ? sought.times + 1 : 1;
    if (from > position && times > SEEKS_BELIEVED) {
      this.#options.report.empty(partition, position, from);
      return true;
    }
    this.#sought.set(partition, { position, times });
    this.#options.seek(partition, position);
    return false;
  }

  /** Where to go on with a partition, from the store, if Kafka still has it. */
  async #find(partition: number): Promise<number> {
    const { readPositions, logRanges } = this.#options;
    // In this order: the end of the log cannot be behind a position that was read before, unless it lost records.
    const position = (await readPositions(partition)).get(partition);
    return this.#place(partition, position, (await logRanges()).get(partition));
  }

  /** Where to go on, by what the store said, and after that Kafka. `undefined`: the store, or Kafka, has none. */
  async #place(partition: number, stored: number | undefined, range: LogRange | undefined): Promise<number> {
    const { readPositions, addPosition, movePosition, report } = this.#options;
    if (range === undefined) throw new Error(`Kafka does not know partition ${partition}`);
    let position = stored;
    const { low, high } = range;
    if (position === undefined) {
      await addPosition(partition, low);
      position = (await readPositions(partition)).get(partition) ?? low;
    }
    if (position < low || position > high) {
      // Reading again from the beginning does no harm, as what is stored already is not stored again.
      if (!(await movePosition({ partition, from: position, next: low })))
        throw new Error(`the position of partition ${partition} is moved by another processor`);
      if (position < low) report.lost(partition, position, low);
      else report.truncated(partition, position, high);
      position = low;
    }
    this.#set(partition, position);
    return position;
  }

  #set(partition: number, position: number): void {
    this.#positions.set(partition, position);
    if (this.#assigned.has(partition)) this.#reached.set(partition, position);
  }
}

interface ReadRecords {
  readonly events: readonly EventRecord[];
  /** Not sent yet. */
  letters: readonly DeadLetter[];
}

/** Few enough for one transaction each: a compressed batch may hold many. */
function* partsOf(events: readonly EventRecord[], { partition, from, next }: Move): Iterable<PartitionWrite> {
  let start = 0;
  let position = from;
  do {
    const end = start + EVENTS_MAX;
    const following = events[end]?.offset ?? next;
    yield { partition, from: position, next: following, events: events.slice(start, end) };
    start = end;
    position = following;
  } while (start < events.length);
}

function readAll(records: readonly TopicRecord[]): ReadRecords {
  const events: EventRecord[] = [];
  const letters: DeadLetter[] = [];
  for (const record of records) {
    const read = readRecord(record);
    if (typeof read === 'string') letters.push({ record, reason: read });
    else events.push(read);
  }
  return { events, letters };
}

/** The group takes the partitions of who is silent, however busy. */
async function whileAlive<Result>({ heartbeat }: Delivery, work: Promise<Result>): Promise<Result> {
  // What it rejects with is said again by the next one, when the work is done.
  const timer = setInterval(() => void heartbeat().catch(() => {}), HEARTBEAT_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
