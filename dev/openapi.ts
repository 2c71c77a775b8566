import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { stringify } from 'yaml';
import { BufferBudget } from '../src/http/buffer-budget.ts';
import { buildApp } from '../src/ingest/app.ts';
import { IngestMetrics } from '../src/ingest/metrics.ts';
import { buildApp as buildQueryApp } from '../src/query/app.ts';
import { QueryMetrics } from '../src/query/metrics.ts';

/** What both programs get that only write down what they would answer. */
const NOTHING = {
  authentication: undefined,
  tls: undefined,
  rateLimiter: undefined,
  budget: new BufferBudget({ bytesMax: 0, eventsMax: 0 }),
  log: pino({ enabled: false }),
  retryAfterSeconds: () => 0,
  isLeaving: () => false,
  hasManagementPort: false,
};

/** The text of openapi/openapi.yaml, written from the schemas of the routes. */
export async function openapiYaml(): Promise<string> {
  const app = await buildApp({
    ...NOTHING,
    publish: () => {},
    tracing: undefined,
    metrics: new IngestMetrics(),
    limits: {
      bodyBytesMax: 0,
      batchEventsMax: 0,
      eventBytesMax: () => 0,
      publishTimeoutMs: 0,
      connectionsMax: 0,
    },
    readiness: () => ({ kafka: 'connecting', redis: 'connecting' }),
  });
  return written(app);
}

/** The text of openapi/query.yaml. */
export async function queryYaml(): Promise<string> {
  const app = await buildQueryApp({
    ...NOTHING,
    readEvent: async () => 'absent',
    readPage: async () => 'busy',
    awaitEvent: async () => 'absent',
    stopWaiting: () => {},
    cursors: () => undefined,
    metrics: new QueryMetrics(),
    connectionsMax: 0,
    readiness: () => ({ postgres: 'connecting' }),
  });
  return written(app);
}

async function written(app: FastifyInstance): Promise<string> {
  const document = app.swagger();
  await app.close();
  return `# Generated from the schemas of the routes by \`npm run generate\`. Do not edit.\n${stringify(document, { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' })}`;
}
