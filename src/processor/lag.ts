import type { EventProcessor, LogRange } from './event-processor.ts';
import type { Lag } from './metrics.ts';
import type { EventRecord } from './record-reader.ts';

/** Knows of each partition the time of the last record that was stored. */
export class LastStored {
  readonly #recordedAtMs = new Map<number, number>();
  /** Since when partitions are behind. */
  readonly #behindSinceMs = new Map<number, number>();

  /** The partitions are given out anew. */
  forget(): void {
    this.#recordedAtMs.clear();
    this.#behindSinceMs.clear();
  }

  stored(events: readonly EventRecord[]): void {
    const last = events.at(-1);
    if (last !== undefined) this.#recordedAtMs.set(last.partition, last.recordedAtMs);
  }

  /** How far the partitions of this process are behind what Kafka has, as far as it is known where they are. */
  lagOf(
    { assigned, reached }: Pick<EventProcessor, 'assigned' | 'reached'>,
    ranges: ReadonlyMap<number, LogRange>,
    nowMs: number,
  ): Lag {
    let records = 0;
    let seconds = 0;
    for (const partition of assigned) {
      const high = ranges.get(partition)?.high;
      const position = reached.get(partition);
      if (high === undefined || position === undefined) continue;
      if (position >= high) {
        this.#behindSinceMs.delete(partition);
        continue;
      }
      const behind = high - position;
      records += behind;
      if (!this.#behindSinceMs.has(partition)) this.#behindSinceMs.set(partition, nowMs);
      const lastMs = this.#recordedAtMs.get(partition) ?? this.#behindSinceMs.get(partition) ?? nowMs;
      seconds = Math.max(seconds, (nowMs - lastMs) / 1_000);
    }
    return { records, seconds, partitions: assigned.size };
  }
}
