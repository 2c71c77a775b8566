import { BucketCounts } from '../bucket-counts.ts';
import { LATENCY_SECONDS, Metrics } from '../metrics.ts';
import type { WriteCounts } from './event-writer.ts';

const AGE_SECONDS = [...LATENCY_SECONDS, 60, 300, 900, 3_600, 21_600, 86_400];

/** How far behind Kafka the partitions of this process are. */
export interface Lag {
  readonly records: number;
  /** Of the partition that is furthest behind: how long ago the last record came that is stored, or since when it is behind; 0: none is. */
  readonly seconds: number;
  readonly partitions: number;
}

/** Every metric of the event processor. */
export class ProcessorMetrics extends Metrics {
  readonly #ages = new BucketCounts(AGE_SECONDS);
  readonly #events = this.counter({
    name: 'dual_stream_processor_events_total',
    help: 'Events read from Kafka: stored; copy (there already, from another record); conflict (a copy that says something else; counted as copy too); expired (older than the store keeps them).',
    labelNames: ['result'] as const,
  });
  readonly #deadLetters = this.counter({
    name: 'dual_stream_processor_dead_letters_total',
    help: 'Records that are no events, by what is wrong with them.',
    labelNames: ['reason'] as const,
  });
  readonly #lost = this.counter({
    name: 'dual_stream_processor_lost_records_total',
    help: 'Records that Kafka removed before they were stored.',
  });
  readonly #failures = this.counter({
    name: 'dual_stream_processor_failures_total',
    help: 'Attempts to store what was read that failed, and were repeated.',
  });
  readonly #removed = this.counter({
    name: 'dual_stream_processor_removed_events_total',
    help: 'Events removed from the store because of their age.',
  });
  readonly #transactions = this.histogram({
    name: 'dual_stream_processor_transaction_duration_seconds',
    help: 'Time that one transaction of events took in PostgreSQL, with waiting for those of other processors.',
    buckets: LATENCY_SECONDS,
  });
  readonly #lagRecords = this.gauge({
    name: 'dual_stream_processor_lag_records',
    help: 'Records of the partitions of this process that are in Kafka and not in the store.',
  });
  readonly #lagSeconds = this.gauge({
    name: 'dual_stream_processor_lag_seconds',
    help: 'Of the partition that is furthest behind, how old the last record is that is stored; 0 where nothing is left.',
  });
  readonly #partitions = this.gauge({
    name: 'dual_stream_processor_partitions',
    help: 'Partitions of this process.',
  });

  constructor() {
    super();
    // A counter that has not counted yet is still worth seeing: a rate over it needs a first value.
    for (const result of ['stored', 'copy', 'conflict', 'expired'] as const) this.#events.inc({ result }, 0);
    this.expose({
      name: 'dual_stream_processor_event_age_seconds',
      help: 'Time from the acknowledgement of Kafka until an event was read into the store; of one that is read again, until then.',
      counts: () => [{ labels: {}, counts: this.#ages }],
    });
  }

  written({ stored, copies, conflicts, expired }: WriteCounts, seconds: number): void {
    this.#events.inc({ result: 'stored' }, stored);
    this.#events.inc({ result: 'copy' }, copies);
    this.#events.inc({ result: 'conflict' }, conflicts);
    this.#events.inc({ result: 'expired' }, expired);
    this.#transactions.observe(seconds);
  }

  eventAge(seconds: number): void {
    this.#ages.observe(seconds);
  }

  deadLetter(reason: string): void {
    this.#deadLetters.inc({ reason });
  }

  lost(records: number): void {
    this.#lost.inc(records);
  }

  failed(): void {
    this.#failures.inc();
  }

  removed(count: number): void {
    this.#removed.inc(count);
  }

  lag({ records, seconds, partitions }: Lag): void {
    this.#lagRecords.set(records);
    this.#lagSeconds.set(seconds);
    this.#partitions.set(partitions);
  }
}
