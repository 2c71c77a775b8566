import { ApiMetrics } from '../api-metrics.ts';
import { LATENCY_SECONDS } from '../metrics.ts';
import type { WaitResult } from './awaited-events.ts';

/** Every metric of the query API. */
export class QueryMetrics extends ApiMetrics {
  readonly #storeQueries = this.histogram({
    name: 'dual_stream_store_query_duration_seconds',
    help: 'Time that one question to PostgreSQL took, waiting for a connection included.',
    buckets: LATENCY_SECONDS,
  });
  readonly #waits = this.counter({
    name: 'dual_stream_query_waits_total',
    help: 'Requests that waited for an event: found; absent (not there in time); left (the client went away, or the program stopped); failed (PostgreSQL could not be asked).',
    labelNames: ['result'] as const,
  });

  constructor() {
    super();
    // A counter that has not counted yet is still worth seeing: a rate over it needs a first value.
    for (const result of ['found', 'absent', 'left', 'failed'] satisfies WaitResult[])
      this.#waits.inc({ result }, 0);
  }

  /** Reads at each scrape how many wait. */
  observeWaiting(waiting: () => number): void {
    this.readGauge('dual_stream_query_waiting', 'Requests that wait for an event.', waiting);
  }

  storeAsked(seconds: number): void {
    this.#storeQueries.observe(seconds);
  }

  waited(result: WaitResult): void {
    this.#waits.inc({ result });
  }
}
