import { setTimeout as delay } from 'node:timers/promises';
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Metrics } from '../metrics.ts';
import { httpServer } from './http-server.ts';
import { managementRoutes, type ProbeOptions, probeRoutes, problemPages } from './probe-routes.ts';
import { ProblemDocument } from './problem.ts';

/** Enough for probes, scrapers and readers of the documents; they are not to wait behind the API's connections. */
const MANAGEMENT_CONNECTIONS_MAX = 100;
const ANSWER_TIMEOUT_MS = 10_000;

export interface ManagementOptions extends ProbeOptions {
  readonly metrics: Metrics;
  readonly log: Logger;
  /** The specification of the program's API, if it has one. */
  readonly document: object | undefined;
}

/** The HTTP server of a management port, ready to listen: probes, metrics and documents, for whoever reaches it. */
export async function managementApp(options: ManagementOptions): Promise<FastifyInstance> {
  const { metrics, document } = options;
  const { app, answerProblem } = httpServer({
    ...options,
    action: 'read',
    tls: undefined,
    answerTimeoutMs: ANSWER_TIMEOUT_MS,
    retryAfterSeconds: () => 1,
    connectionsMax: MANAGEMENT_CONNECTIONS_MAX,
    connectionsOpen: () => {},
    // A probe is answered at once, also when the buffer is full.
    room: { take: () => true, giveBack: () => {} },
  });
  app.addSchema(ProblemDocument);
  if (document !== undefined)
    await app.register(swagger, { mode: 'static', specification: { document: document as never } }); // it is typed for OpenAPI 3.0

  probeRoutes(app, { ...options, showsDependencies: true });
  problemPages(app, answerProblem);
  await managementRoutes(app, { metrics, hasDocument: document !== undefined, canTryOut: false });

  await app.ready();
  return app;
}

/**
 * Has an app listen at a port of HOST. Returns where, e.g. `http://127.0.0.1:9090`.
 * @throws Error when it cannot
 */
export function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  // For localhost Fastify would open a server for each of its addresses, all but the first without our limits.
  return app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port });
}

/** Has an API and its management listen where the settings say; where there is no port for the latter, the log says what that means. */
export async function listenWithManagement(
  app: FastifyInstance,
  management: FastifyInstance | undefined,
  {
    config: { HOST, PORT, MANAGEMENT_PORT },
    log,
  }: {
    readonly config: { readonly HOST: string; readonly PORT: number; readonly MANAGEMENT_PORT?: number };
    readonly log: Logger;
  },
): Promise<string> {
  const address = await listen(app, HOST, PORT);
  if (management && MANAGEMENT_PORT) await listen(management, HOST, MANAGEMENT_PORT);
  else log.warn('MANAGEMENT_PORT is not set: /metrics, /docs and the details of /readyz are public on PORT');
  return address;
}

/** Closes it within a time: Node waits a minute for somebody who stops in the middle of a request. */
export async function closeManagement(app: FastifyInstance, ms: number): Promise<void> {
  await Promise.race([app.close(), delay(Math.max(0, ms), undefined, { ref: false })]);
  app.server.closeAllConnections();
}
