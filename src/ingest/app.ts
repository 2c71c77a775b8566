import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { EventInput } from '../event.ts';
import type { Metrics } from '../metrics.ts';
import type { TlsMaterial } from '../tls-files.ts';
import type { Tracing } from '../tracing.ts';
import { type AdmissionOptions, admission, nameOf } from './admission.ts';
import { batchRoute } from './batch-route.ts';
import { BatchAnswer } from './batch-schema.ts';
import type { BufferBudget } from './buffer-budget.ts';
import { bodyDecoder } from './content-coding.ts';
import type { PublishRequest } from './dual-publisher.ts';
import { eventsRoute } from './events-route.ts';
import { httpServer } from './http-server.ts';
import { managementRoutes, type ProbeOptions, probeRoutes, problemPages } from './probe-routes.ts';
import { ProblemDocument } from './problem.ts';
import { specification } from './specification.ts';
import { requestSpans } from './trace-context.ts';

/** All that HTTP needs from the rest: values and functions, no clients. */
export interface AppOptions extends ProbeOptions, Pick<AdmissionOptions, 'authentication' | 'rateLimiter'> {
  /** Publishes, and closes the hold that comes with the request. */
  readonly publish: (request: PublishRequest) => void;
  readonly retryAfterSeconds: () => number;
  readonly budget: BufferBudget;
  readonly metrics: Metrics;
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
  /** Metrics, documents and the details of readiness are left to {@link buildManagementApp}. */
  readonly hasManagementPort: boolean;
  /** Of the API's port; the management port has none. */
  readonly tls: TlsMaterial | undefined;
  /** `undefined`: nobody collects spans. */
  readonly tracing: Tracing | undefined;
}

/** Enough for probes, scrapers and readers of the documents; they are not to wait behind the API's connections. */
const MANAGEMENT_CONNECTIONS_MAX = 100;

/** The HTTP server of the service, ready to listen. Its `swagger()` is the specification. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { limits, metrics, hasManagementPort } = options;
  metrics.connectionsLimited(limits.connectionsMax);
  const { app, answerProblem, countAnswer, countFailures, keepRequest, isClosing } = httpServer({
    ...options,
    ...limits,
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
    const routeOptions = { ...options, ...limits, ...http, decodeBody };
    requestSpans(scope, options.tracing);
    admission(scope, routeOptions);
    eventsRoute(scope, routeOptions);
    batchRoute(scope, routeOptions);
    done();
  });
  probeRoutes(app, { ...options, showsDependencies: !hasManagementPort });
  problemPages(app, answerProblem);
  if (!hasManagementPort) await managementRoutes(app, { metrics, canTryOut: true });

  await app.ready();
  return app;
}

/** The HTTP server of the management port, ready to listen. `document` is the specification of the service. */
export async function buildManagementApp(options: AppOptions, document: object): Promise<FastifyInstance> {
  const { limits, metrics } = options;
  const { app, answerProblem } = httpServer({
    ...options,
    ...limits,
    tls: undefined,
    connectionsMax: MANAGEMENT_CONNECTIONS_MAX,
    connectionsOpen: () => {},
    // A probe is answered at once, also when the buffer is full.
    room: { take: () => true, giveBack: () => {} },
  });
  app.addSchema(ProblemDocument);
  await app.register(swagger, { mode: 'static', specification: { document: document as never } }); // it is typed for OpenAPI 3.0

  probeRoutes(app, { ...options, showsDependencies: true });
  problemPages(app, answerProblem);
  await managementRoutes(app, { metrics, canTryOut: false });

  await app.ready();
  return app;
}
