import type { ConnectionOptions } from 'node:tls';
import pg, { type ClientConfig, type QueryResultRow } from 'pg';
import type { Logger } from 'pino';

/** Waiting for a connection, and for the first answer on it. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A session that stopped in the middle of a transaction, with its locks, is ended by PostgreSQL. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** What the server does not end in its time, because it is stopped or the network is gone, we give up. */
const BEYOND_STATEMENT_MS = 5_000;

const ignoreError = () => {};

/** Runs one statement and resolves with its rows; or several without parameters, and resolves with none. */
export type Query = <Row extends QueryResultRow>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** Nothing is sent once it is given up: while it waited for a connection, those who asked may have left. */
export type GivableQuery = <Row extends QueryResultRow>(
  text: string,
  values?: readonly unknown[],
  givenUp?: AbortSignal,
) => Promise<Row[]>;

export interface Store {
  readonly query: GivableQuery;
  /** Runs statements as one transaction: all of them, or, when one or `work` fails, none. */
  transaction<Result>(work: (query: Query) => Promise<Result>): Promise<Result>;
  /** Lets what is under way end. May be called twice. */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly url: string;
  /** Asked for each connection, as certificates are renewed; `undefined`: no TLS. */
  readonly tls: (() => ConnectionOptions) | undefined;
  /** Name of this program in PostgreSQL's own views. */
  readonly applicationName: string;
  readonly connectionsMax: number;
  /** One statement, at most. */
  readonly statementTimeoutMs: number;
  readonly log: Logger;
  /** Whether PostgreSQL answers, whenever that changes. */
  readonly onState?: (isUp: boolean) => void;
}

/** The PostgreSQL that keeps the events. It connects when it is asked, so that it may be down at any time. */
export function openStore(options: StoreOptions): Store {
  const { url, tls, applicationName, connectionsMax, statementTimeoutMs, log, onState } = options;
  const pool = new pg.Pool({
    connectionString: url,
    application_name: applicationName,
    max: connectionsMax,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + BEYOND_STATEMENT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    keepAlive: true,
    Client: class extends pg.Client {
      constructor(config?: ClientConfig) {
        super({ ...config, ssl: tls === undefined ? false : tls() });
      }
    },
  });
  // Of a connection that nobody uses: the next one who needs it gets another.
  pool.on('error', (error) => log.debug({ reason: error.message }, 'a connection to PostgreSQL was lost'));
  let closed: Promise<void> | undefined;

  let wasUp: boolean | undefined;
  const found = (isUp: boolean) => {
    if (isUp !== wasUp) onState?.(isUp);
    wasUp = isUp;
  };

  const withClient = async <Result>(work: (query: Query) => Promise<Result>): Promise<Result> => {
    const client = await pool.connect().catch((error: Error) => {
      found(false);
      throw error;
    });
    // While it is in use its end is told by the query that fails; without a listener it would end the process too.
    client.on('error', ignoreError);
    let fault: Error | undefined;
    try {
      return await work(async <Row extends QueryResultRow>(text: string, values?: readonly unknown[]) => {
        const { rows } = await client.query<Row>(text, values as unknown[] | undefined);
        found(true);
        return rows ?? []; // of several statements there are none
      });
    } catch (error) {
      fault = error as Error;
      if (isUnavailable(fault)) found(false);
      throw error;
    } finally {
      client.off('error', ignoreError);
      // A connection on which something failed may be in any state, and is not used again.
      client.release(fault);
    }
  };

  return {
    async query<Row extends QueryResultRow>(
      text: string,
      values?: readonly unknown[],
      givenUp?: AbortSignal,
    ) {
      givenUp?.throwIfAborted();
      const rows = await withClient(async (query) =>
        givenUp?.aborted ? undefined : query<Row>(text, values),
      );
      if (rows === undefined) throw givenUp?.reason;
      return rows;
    },
    transaction: (work) =>
      withClient(async (query) => {
        await query('begin');
        const result = await work(query);
        await query('commit');
        return result;
      }),
    close: () => (closed ??= pool.end()),
  };
}

/** What PostgreSQL says when it is not there for us, by class (PostgreSQL, appendix A): all other errors are answers. */
const UNAVAILABLE = /^(08|25P03|53|57)/;

/** Whether a query failed because PostgreSQL cannot be used now: with an error of it that says so, or with none of its own. */
export function isUnavailable(error: Error): boolean {
  return !(error instanceof pg.DatabaseError) || UNAVAILABLE.test(error.code ?? '');
}
