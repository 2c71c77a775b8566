import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisNotifier, type RedisNotifierOptions } from '../../src/ingest/redis-notifier.ts';

interface LogLine {
  readonly level: 'info' | 'warn';
  readonly text: string;
}

/** A notifier, and all that it has counted, logged and said about its state. */
export interface RecordedNotifier {
  readonly notifier: RedisNotifier;
  readonly counts: { sent: number; failed: number; dropped: number };
  readonly log: LogLine[];
  readonly states: boolean[];
  /** Notifications accounted for so far. */
  settled(): number;
  /** Notifies of events `first`, `first` + 1, ... of one source. */
  notify(count: number, first?: number, sourceId?: string): void;
}

type Recorded = Omit<RedisNotifierOptions, 'log' | 'metrics' | 'onState'>;

export function recordedNotifier(options: Recorded): RecordedNotifier {
  const counts = { sent: 0, failed: 0, dropped: 0 };
  const log: LogLine[] = [];
  const states: boolean[] = [];
  const write =
    (level: LogLine['level']) =>
    (...args: unknown[]) => {
      log.push({ level, text: JSON.stringify(args) });
    };
  const notifier = new RedisNotifier({
    ...options,
    log: { info: write('info'), warn: write('warn') },
    metrics: {
      notified(result, count) {
        assert.ok(count > 0, 'nothing is counted as nothing');
        counts[result] += count;
      },
      redisPublishTook(seconds) {
        assert.ok(seconds >= 0);
      },
    },
    onState: (isUp) => states.push(isUp),
  });
  return {
    notifier,
    counts,
    log,
    states,
    settled: () => counts.sent + counts.failed + counts.dropped,
    notify(count, first = 0, sourceId = 'octocat') {
      for (let n = first; n < first + count; n += 1) {
        notifier.notify({ id: String(n), type: 'test', sourceType: 'user', sourceId }, performance.now());
      }
    },
  };
}

/** Waits for something that happens by itself. */
export async function until(condition: () => boolean, what: string, timeoutMs = 5000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`not within ${timeoutMs} ms: ${what}`);
    // oxlint-disable-next-line no-await-in-loop -- that is what waiting is
    await sleep(2);
  }
}
