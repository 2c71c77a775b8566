import type { QueryResultRow } from 'pg';
import type { LocalKafka } from '../../dev/local-kafka.ts';
import type { LocalPostgres } from '../../dev/local-postgres.ts';
import type { EventLoad } from './event-load.ts';
import type { ProcessorProcess } from './processor-process.ts';
import type { TailReader } from './tail-reader.ts';
import type { LostRange } from './topic-contents.ts';

/** What is broken between a topic and the event store. */
export interface StoreScenario {
  readonly name: string;
  readonly summary: string;
  /** Left out: one. */
  readonly brokers?: 1 | 3;
  readonly processors: 1 | 2;
  /** Where it differs from the command's; 0: the scenario sends events itself. */
  readonly eventsPerSecond?: number;
  /** No processor starts a second time, so that what they have counted at the end is all of it. */
  readonly isCountedWhole?: boolean;
  /** Runs under load. It leaves every broker, PostgreSQL and every processor running. */
  run(stage: StoreStage): Promise<void>;
}

export interface StoreStage {
  readonly kafka: LocalKafka;
  readonly topic: string;
  readonly postgres: LocalPostgres;
  readonly processors: readonly ProcessorProcess[];
  readonly load: EventLoad;
  readonly tail: TailReader;
  /** A temporary folder. */
  readonly folder: string;
  readonly eventsPerSecond: number;
  /** How often; `undefined`, here and below: what the scenario does by itself. */
  readonly kills: number | undefined;
  readonly seconds: number | undefined;
  readonly random: () => number;
  /** A line of what happens now. */
  tell(what: string): void;
  /** Counts as one more assertion. */
  assert(name: string, isTrue: boolean, found: string): void;
  /** One more row of the table. */
  row(name: string, value: string): void;
  /** Rows of a statement on the store. */
  sql<Row extends QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Where the store is, by partition. */
  positions(): Promise<ReadonlyMap<number, number>>;
  /** Waits until something more has been stored of each partition. Returns how long that took; for ever: too long. */
  untilStoring(timeoutMs?: number): Promise<number>;
  /** Waits until the store has all that is in the topic now. Returns as above. */
  untilCaughtUp(): Promise<number>;
  /** Takes down what the topic holds now, for the end. */
  readTopic(): Promise<void>;
  /** These records were removed before they could be stored. */
  lose(range: LostRange): void;
  /** The rows with these values of seq were deleted, and all is read again behind that one. */
  replayed(deleted: readonly number[], behind: number): void;
}
