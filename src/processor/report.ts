import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { ProcessorReport } from './event-processor.ts';
import type { LastStored } from './lag.ts';
import type { ProcessorMetrics } from './metrics.ts';

/** While nothing can be stored, so often a line is logged that says so. */
const REPEATED_MS = 30_000;

export interface ReportOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: ProcessorMetrics;
  readonly lastStored: LastStored;
}

/** Writes down what happens to records. */
export function processorReport({ log, clock, metrics, lastStored }: ReportOptions): ProcessorReport {
  /** Partitions that cannot be stored, and when that was said last. */
  const troubled = new Map<number, number>();
  return {
    processed: (events) => {
      lastStored.stored(events);
      const nowMs = Date.now();
      // Kafka's clock may be ahead of ours.
      for (const { recordedAtMs } of events) metrics.eventAge(Math.max(0, nowMs - recordedAtMs) / 1_000);
    },
    trouble: (partition, fault) => {
      const saidAt = troubled.get(partition);
      if (fault === undefined) {
        troubled.delete(partition);
        if (saidAt !== undefined) log.info({ partition }, 'events are stored again');
        return;
      }
      metrics.failed();
      const now = clock.now();
      if (saidAt !== undefined && now - saidAt < REPEATED_MS) return;
      troubled.set(partition, now);
      log.warn(
        { partition, reason: reasonOf(fault) },
        'events cannot be stored; trying again until they can',
      );
    },
    lost: (partition, from, to) => {
      metrics.lost(to - from);
      log.error({ partition, from, to }, 'Kafka removed records before they were stored');
    },
    truncated: (partition, position, high) =>
      log.warn(
        { partition, position, high },
        'Kafka has fewer records than were stored; the partition is read again from its beginning',
      ),
    empty: (partition, from, to) => log.info({ partition, from, to }, 'no records at these offsets'),
  };
}

/** Never what was being stored: PostgreSQL repeats values in the details of its errors, and not in their messages. */
function reasonOf(fault: Error): string {
  const { code } = fault as NodeJS.ErrnoException;
  return code === undefined ? fault.message : `${fault.message} (${code})`;
}
