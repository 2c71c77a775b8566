import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { type AdmissionOptions, admission } from '../http/admission.ts';
import type { BufferBudget } from '../http/buffer-budget.ts';
import { httpServer } from '../http/http-server.ts';
import { managementRoutes, type ProbeOptions, probeRoutes, problemPages } from '../http/probe-routes.ts';
import { ProblemDocument } from '../http/problem.ts';
import { discardBody } from '../http/receive-body.ts';
import type { TlsMaterial } from '../tls-files.ts';
import { type EventRouteOptions, eventRoute, WAIT_MAX_S } from './event-route.ts';
import { type ListRouteOptions, listRoute } from './list-route.ts';
import type { QueryMetrics } from './metrics.ts';
import { type QueryDependencies, queryReadiness, queryReadyzSchema } from './readiness.ts';
import { PARAMETER_LENGTH_MAX } from './source-parameters.ts';
import { ReadEvent, specification } from './specification.ts';
import { CACHE_CONTROL } from './tagged-answer.ts';

/** One question to the store, at most: PostgreSQL ends a statement a little earlier. */
export const QUESTION_TIMEOUT_MS = 5_500;
/** Until an answer is there: two questions before a wait, and two behind it. */
const ANSWER_TIMEOUT_MS = 4 * QUESTION_TIMEOUT_MS + WAIT_MAX_S * 1_000;

/** All that HTTP needs from the rest: values and functions, no clients. */
export interface AppOptions
  extends Pick<AdmissionOptions, 'authentication' | 'rateLimiter'>,
    Pick<EventRouteOptions, 'readEvent' | 'awaitEvent'>,
    Pick<ListRouteOptions, 'readPage' | 'cursors' | 'leaveTimeoutMs'> {
  /** Ends what waits for an event: the program stops. */
  readonly stopWaiting: () => void;
  readonly readiness: () => QueryDependencies;
  /** Not ready any more, because the program is about to stop. */
  readonly isLeaving: () => boolean;
  readonly budget: BufferBudget;
  readonly metrics: QueryMetrics;
  readonly log: Logger;
  /** Of the API's port. */
  readonly connectionsMax: number;
  readonly retryAfterSeconds: () => number;
  /** Metrics, documents and the details of readiness are left to that, see management-app.ts. */
  readonly hasManagementPort: boolean;
  /** Of the API's port; the management port has none. */
  readonly tls: TlsMaterial | undefined;
}

/** The HTTP server of the query API, ready to listen. Its `swagger()` is the specification. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { connectionsMax, metrics, hasManagementPort } = options;
  metrics.connectionsLimited(connectionsMax);
  const { app, answerProblem, countAnswer, keepRequest, isClosing } = httpServer({
    ...options,
    action: 'read',
    answerTimeoutMs: ANSWER_TIMEOUT_MS,
    parameterLengthMax: PARAMETER_LENGTH_MAX,
    room: options.budget,
    connectionsOpen: (count) => metrics.connectionsOpen(count),
  });
  app.addSchema(ReadEvent).addSchema(ProblemDocument);
  await app.register(swagger, specification);
  // After it is known to be closing, so that these answers are the last of their connections.
  app.addHook('preClose', (done) => {
    options.stopWaiting();
    done();
  });

  await app.register((scope, _options, done) => {
    const http = { answerProblem, countAnswer, keepRequest, isClosing };
    const routeOptions = { ...options, ...http, action: 'read' as const };
    scope.addHook('onRequest', (_request, reply, next) => {
      reply.header('cache-control', CACHE_CONTROL);
      next();
    });
    admission(scope, routeOptions);
    // After it, as what has been read to its end would look like a client that left while it was checked.
    scope.addHook('onRequest', (request, _reply, next) => {
      discardBody(request.raw);
      next();
    });
    eventRoute(scope, routeOptions);
    listRoute(scope, routeOptions);
    done();
  });
  probeRoutes(app, { ...probeOptions(options), showsDependencies: !hasManagementPort });
  problemPages(app, answerProblem, PARAMETER_LENGTH_MAX);
  if (!hasManagementPort) await managementRoutes(app, { metrics, hasDocument: true, canTryOut: true });

  await app.ready();
  return app;
}

/** What its probes answer, on whichever port they are. */
export function probeOptions({
  readiness,
  isLeaving,
}: Pick<AppOptions, 'readiness' | 'isLeaving'>): ProbeOptions {
  return { readiness: () => queryReadiness(readiness()), isLeaving, readyzSchema: queryReadyzSchema };
}
