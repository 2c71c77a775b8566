import { pino } from 'pino';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import type { AppOptions } from '../../src/ingest/app.ts';
import { IngestMetrics } from '../../src/ingest/metrics.ts';

const MiB = 1024 * 1024;

/** What the HTTP part needs from the rest, for a test that says how events are published; all else unless it says so. */
export function appOptions(options: Pick<AppOptions, 'publish'> & Partial<AppOptions>): AppOptions {
  return {
    authentication: undefined,
    rateLimiter: undefined,
    tls: undefined,
    tracing: undefined,
    retryAfterSeconds: () => 7,
    budget: new BufferBudget({ bytesMax: 64 * MiB, eventsMax: 1_000 }),
    metrics: new IngestMetrics(),
    log: pino({ enabled: false }),
    limits: {
      bodyBytesMax: MiB,
      batchEventsMax: 1_000,
      eventBytesMax: () => 900_000,
      publishTimeoutMs: 15_000,
      connectionsMax: 1_000,
    },
    readiness: () => ({ kafka: 'available', redis: 'up' }),
    isLeaving: () => false,
    hasManagementPort: false,
    ...options,
  };
}
