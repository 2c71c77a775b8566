import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { EventInput } from '../event.ts';
import { type AdmissionOptions, admission, nameOf } from '../http/admission.ts';
import type { BufferBudget } from '../http/buffer-budget.ts';
import { bodyDecoder } from '../http/content-coding.ts';
import { httpServer } from '../http/http-server.ts';
import { managementRoutes, type ProbeOptions, probeRoutes, problemPages } from '../http/probe-routes.ts';
import { ProblemDocument } from '../http/problem.ts';
import { requestSpans } from '../http/request-trace.ts';
import type { TlsMaterial } from '../tls-files.ts';
import type { Tracing } from '../tracing.ts';
import { batchRoute } from './batch-route.ts';
import { BatchAnswer } from './batch-schema.ts';
import type { PublishRequest } from './dual-publisher.ts';
import { eventsRoute } from './events-route.ts';
import type { IngestMetrics } from './metrics.ts';
import { type IngestDependencies, ingestReadiness, ingestReadyzSchema } from './readiness.ts';
import { specification } from './specification.ts';

/** All that HTTP needs from the rest: values and functions, no clients. */
export interface AppOptions extends Pick<AdmissionOptions, 'authentication' | 'rateLimiter'> {
  readonly readiness: () => IngestDependencies;
  /** Not ready any more, because the service is about to stop. */
  readonly isLeaving: () => boolean;
  /** Publishes, and closes the hold that comes with the request. */
  readonly publish: (request: PublishRequest) => void;
  readonly retryAfterSeconds: () => number;
  readonly budget: BufferBudget;
  readonly metrics: IngestMetrics;
  readonly log: Logger;
  readonly limits: {
    readonly bodyBytesMax: number;
    /** One event as it is stored; may change while the service runs. */
    readonly eventBytesMax: () => number;
    readonly batchEventsMax: number;
    readonly publishTimeoutMs: number;
    /** Of the API's port. */
    readonly connectionsMax: number;
  };
  /** Metrics, documents and the details of readiness are left to that, see management-app.ts. */
  readonly hasManagementPort: boolean;
  /** Of the API's port; the management port has none. */
  readonly tls: TlsMaterial | undefined;
  /** `undefined`: nobody collects spans. */
  readonly tracing: Tracing | undefined;
}

/** The HTTP server of the service, ready to listen. Its `swagger()` is the specification. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { limits, metrics, hasManagementPort } = options;
  metrics.connectionsLimited(limits.connectionsMax);
  const { app, answerProblem, countAnswer, countFailures, keepRequest, isClosing } = httpServer({
    ...options,
    ...limits,
    action: 'write',
    answerTimeoutMs: limits.publishTimeoutMs,
    room: options.budget,
    connectionsOpen: (count) => metrics.connectionsOpen(count),
  });
  app.addSchema(EventInput).addSchema(ProblemDocument).addSchema(BatchAnswer);
  await app.register(swagger, specification);

  await app.register((scope, _options, done) => {
    const decodeBody = bodyDecoder(limits.bodyBytesMax);
    const { rateLimiter } = options;
    const countReceived = (request: FastifyRequest, bytes: number) =>
      rateLimiter?.received(nameOf(request), bytes);
    const http = { answerProblem, countAnswer, countFailures, keepRequest, isClosing, countReceived };
    const routeOptions = { ...options, ...limits, ...http, decodeBody, action: 'write' as const };
    requestSpans(scope, options.tracing);
    admission(scope, routeOptions);
    eventsRoute(scope, routeOptions);
    batchRoute(scope, routeOptions);
    done();
  });
  probeRoutes(app, { ...probeOptions(options), showsDependencies: !hasManagementPort });
  problemPages(app, answerProblem);
  if (!hasManagementPort) await managementRoutes(app, { metrics, hasDocument: true, canTryOut: true });

  await app.ready();
  return app;
}

/** What its probes answer, on whichever port they are. */
export function probeOptions({
  readiness,
  isLeaving,
}: Pick<AppOptions, 'readiness' | 'isLeaving'>): ProbeOptions {
  return { readiness: () => ingestReadiness(readiness()), isLeaving, readyzSchema: ingestReadyzSchema };
}
