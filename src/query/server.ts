import type { Server as HttpsServer } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { systemClock as clock } from '../clock.ts';
import { BufferBudget } from '../http/buffer-budget.ts';
import { closeManagement, listenWithManagement, managementApp } from '../http/management-app.ts';
import { RateLimiter } from '../http/rate-limits.ts';
import { runProgram } from '../program.ts';
import { SCHEMA_VERSION, versionOf } from '../store/migrations.ts';
import { openStore, type Query } from '../store/postgres.ts';
import { type QueryConfig, readQueryConfig } from '../store-config.ts';
import { buildApp, probeOptions, QUESTION_TIMEOUT_MS } from './app.ts';
import { AwaitedEvents } from './awaited-events.ts';
import { BoundedStore } from './bounded-store.ts';
import { openCredentials } from './credentials.ts';
import { Cursors, type StoreIdentity } from './cursor.ts';
import { areStored, storeIdentity } from './event-queries.ts';
import { QueryMetrics } from './metrics.ts';
import { storeFaultLog } from './store-fault.ts';
import { StoreWatch } from './store-watch.ts';
import { StoredEvents } from './stored-events.ts';

const STATEMENT_TIMEOUT_MS = 5_000;
/** Of what is asked in the background, often and about little. */
const BACKGROUND_TIMEOUT_MS = 2_000;
/** Requests for each connection, those that it answers and those that wait for it. */
const QUESTIONS_PER_CONNECTION = 20;
/** Who may wait for an event. Each costs what a request does, which is counted, and little else. */
const WAITING_MAX = 1_000;
const RETRY_AFTER_S = 2;

export interface QueryServer {
  /** Where it listens, e.g. `http://127.0.0.1:8081`. */
  readonly address: string;
  /** Not ready any more, but serving on: load balancers are given time to notice. */
  leave(): void;
  /** Answers what has come in, and stops. Returns whether all of it was answered in time. */
  close(): Promise<boolean>;
}

/**
 * Builds the query API, top to bottom, and starts it. It listens at once and keeps trying to reach PostgreSQL.
 * @throws ConfigError when a file that a setting leads to cannot be used, and Error when an address cannot be listened on;
 * nothing is left running then.
 */
export async function startQuery(config: QueryConfig, log: Logger): Promise<QueryServer> {
  const metrics = new QueryMetrics();
  const credentials = openCredentials(config, {
    log,
    metrics,
    onHttpChange: (material) => (app.server as HttpsServer).setSecureContext(material),
  });
  const { authentication, postgres: postgresFiles } = credentials;
  const budget = new BufferBudget({ bytesMax: config.BUFFER_MAX_BYTES, eventsMax: 0 });
  let isLeaving = false;

  const requestsPerSecond = config.RATE_LIMIT_REQUESTS_PER_SECOND;
  const rateLimiter =
    requestsPerSecond === undefined
      ? undefined
      : new RateLimiter({ requestsPerSecond, bytesPerSecond: undefined }, clock);

  const storeLog = log.child({ part: 'postgres' });
  const storeOptions = {
    url: config.POSTGRES_URL,
    tls: postgresFiles && (() => postgresFiles.value),
    applicationName: 'dual-stream-query',
    log: storeLog,
  };
  const store = openStore({
    ...storeOptions,
    connectionsMax: config.POSTGRES_CONNECTIONS_MAX - 1,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  // A connection of its own: whether PostgreSQL answers is not to be found out behind requests that wait.
  const background = openStore({
    ...storeOptions,
    connectionsMax: 1,
    statementTimeoutMs: BACKGROUND_TIMEOUT_MS,
  });
  metrics.ready('postgres', false);
  let cursors: Cursors | undefined;
  const watch = new StoreWatch({
    clock,
    look: () => identityOf(background.query),
    onState(state, reason) {
      metrics.ready('postgres', state === 'up');
      if (state === 'up') storeLog.info('PostgreSQL answers');
      else if (state === 'no-tables')
        storeLog.error('PostgreSQL has no tables of this version: the event processor makes them');
      else storeLog.error({ reason }, 'PostgreSQL does not answer: requests are refused until it does');
    },
    onStore: (identity) => {
      cursors = new Cursors(identity);
    },
  });
  const bounds = {
    isUp: () => watch.state === 'up',
    onFault: storeFaultLog(storeLog),
    onAsked: (seconds: number) => metrics.storeAsked(seconds),
  };
  const asked = new BoundedStore({
    ...bounds,
    query: store.query,
    underWayMax: config.POSTGRES_CONNECTIONS_MAX * QUESTIONS_PER_CONNECTION,
    timeoutMs: QUESTION_TIMEOUT_MS,
  });
  const polled = new BoundedStore({
    ...bounds,
    query: background.query,
    underWayMax: 1,
    timeoutMs: BACKGROUND_TIMEOUT_MS,
  });
  const events = new StoredEvents(asked, budget);
  const awaited = new AwaitedEvents({
    clock,
    find: async (identities) => {
      const areThere = await polled.ask((query) => areStored(query, identities));
      return typeof areThere === 'string' ? undefined : areThere;
    },
    waitingMax: WAITING_MAX,
    onResult: (result) => metrics.waited(result),
  });
  metrics.observeWaiting(() => awaited.waiting);

  const appOptions = {
    readEvent: events.event.bind(events),
    readPage: events.page.bind(events),
    awaitEvent: awaited.wait.bind(awaited),
    stopWaiting: () => awaited.close(),
    cursors: () => cursors,
    authentication,
    rateLimiter,
    budget,
    metrics,
    log,
    connectionsMax: config.CONNECTIONS_MAX,
    retryAfterSeconds: () => RETRY_AFTER_S,
    readiness: () => ({
      postgres: watch.state,
      ...(authentication && { authentication: authentication.state }),
    }),
    isLeaving: () => isLeaving,
    tls: credentials.http?.value,
    hasManagementPort: config.MANAGEMENT_PORT !== undefined,
  };
  const app = await buildApp(appOptions);
  const management =
    config.MANAGEMENT_PORT === undefined
      ? undefined
      : await managementApp({ ...probeOptions(appOptions), metrics, log, document: app.swagger() });

  const close = async (): Promise<boolean> => {
    isLeaving = true;
    const giveUpAt = clock.now() + config.SHUTDOWN_TIMEOUT_MS;
    const timeUp = delay(config.SHUTDOWN_TIMEOUT_MS, 'late' as const, { ref: false });
    const isAnswered = (await Promise.race([app.close(), timeUp])) !== 'late';
    watch.close();
    if (management) await closeManagement(management, giveUpAt - clock.now());
    rateLimiter?.close();
    credentials.close();
    // A server that does not answer lets no connection end.
    await Promise.race([Promise.all([store.close(), background.close()]), timeUp]);
    return isAnswered;
  };
  try {
    const address = await listenWithManagement(app, management, { config, log });
    return { address, leave: () => (isLeaving = true), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function identityOf(query: Query): Promise<StoreIdentity | 'no-tables'> {
  return (await versionOf(query)) === SCHEMA_VERSION ? storeIdentity(query) : 'no-tables';
}

if (import.meta.main) {
  await runProgram({
    name: 'dual-stream query',
    env: process.env,
    read: readQueryConfig,
    start: async (config, log) => {
      const server = await startQuery(config, log);
      const close = async () => ((await server.close()) ? undefined : { requests: 'not answered' });
      return { leave: () => server.leave(), close };
    },
  });
}
