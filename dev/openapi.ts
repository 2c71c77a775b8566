import pino from 'pino';
import { stringify } from 'yaml';
import { BufferBudget } from '../src/http/buffer-budget.ts';
import { buildApp } from '../src/ingest/app.ts';
import { IngestMetrics } from '../src/ingest/metrics.ts';

/** The text of openapi/openapi.yaml, written from the schemas of the routes. */
export async function openapiYaml(): Promise<string> {
  const app = await buildApp({
    publish: () => {},
    authentication: undefined,
    tls: undefined,
    tracing: undefined,
    rateLimiter: undefined,
    budget: new BufferBudget({ bytesMax: 0, eventsMax: 0 }),
    metrics: new IngestMetrics(),
    log: pino({ enabled: false }),
    limits: {
      bodyBytesMax: 0,
      batchEventsMax: 0,
      eventBytesMax: () => 0,
      publishTimeoutMs: 0,
      connectionsMax: 0,
    },
    retryAfterSeconds: () => 0,
    readiness: () => ({ kafka: 'connecting', redis: 'connecting' }),
    isLeaving: () => false,
    hasManagementPort: false,
  });
  const document = app.swagger();
  await app.close();
  return `# Generated from the schemas of the routes by \`npm run generate\`. Do not edit.\n${stringify(document, { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' })}`;
}
