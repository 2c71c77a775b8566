import { pino } from 'pino';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import type { AppOptions } from '../../src/query/app.ts';
import { Cursors } from '../../src/query/cursor.ts';
import { QueryMetrics } from '../../src/query/metrics.ts';

const MiB = 1024 * 1024;

export const EPOCH = '7b6b0c7e-6f0e-4b7e-9d55-0f3f5f9f0a11';

/** What the HTTP part of the query API needs from the rest, for a test that says what is read; all else unless it says so. */
export function queryOptions(options: Partial<AppOptions> = {}): AppOptions {
  const cursors = new Cursors({ epoch: EPOCH, cursorKey: Buffer.alloc(32, 7) });
  return {
    readEvent: async () => 'absent',
    readPage: async () => ({ epoch: EPOCH, values: [], before: undefined, after: 0n }),
    awaitEvent: async () => 'absent',
    stopWaiting: () => {},
    cursors: () => cursors,
    authentication: undefined,
    rateLimiter: undefined,
    tls: undefined,
    retryAfterSeconds: () => 7,
    budget: new BufferBudget({ bytesMax: 64 * MiB, eventsMax: 0 }),
    metrics: new QueryMetrics(),
    log: pino({ enabled: false }),
    connectionsMax: 1_000,
    readiness: () => ({ postgres: 'up' }),
    isLeaving: () => false,
    hasManagementPort: false,
    ...options,
  };
}
