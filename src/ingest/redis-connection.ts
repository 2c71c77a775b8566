import { Redis, type RedisOptions } from 'ioredis';
import type { Logger } from 'pino';
import {
  allUnpublished,
  type PublishBy,
  publishPairs,
  type Reply,
  SCRIPT_PROBE,
  send,
  type Unpublished,
} from './redis-publish.ts';

/** `down`: at least one attempt has failed, and it keeps trying. */
export type RedisState = 'connecting' | 'up' | 'down' | 'closed';

/** Without a member whose type allows `undefined` where the constructor does not. */
export type ConnectOptions = Omit<RedisOptions, 'replyMapping'>;

/** Where, and as whom. The host is not known beforehand behind Sentinels. */
export interface RedisServer {
  readonly options: ConnectOptions;
  /** For the log: without credentials. */
  readonly name: string;
}

export interface RedisTimes {
  /** How long Redis may take to answer one flush, or one probe, before its connection is given up. */
  readonly answerTimeoutMs: number;
  /** How long connecting may take, from the first packet to the answer of the first probe. */
  readonly connectTimeoutMs: number;
  readonly probeIntervalMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
}

export interface RedisConnectionOptions {
  readonly server: RedisServer;
  readonly times: RedisTimes;
  readonly publishBy: 'PUBLISH' | 'SPUBLISH';
  /** In a Cluster a replica can tell who the masters are, and the slots tell who is asked to publish. */
  readonly mayBeReplica?: boolean;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Called after each change of {@link RedisConnection.state}. */
  readonly onState: () => void;
}

/** A connection that has lasted so long begins its back-off anew when it is lost. */
const STEADY_MS = 5000;

/**
 * Keeps one connection to a Redis that can publish: connects, watches and connects again for as long as it is open.
 *
 * Each connection is an ioredis client of its own, thrown away with its socket at the first sign of trouble. Its
 * queues die with it, so nothing that a stopped Redis left unanswered is held or sent again; a client that
 * reconnects by itself keeps both.
 */
export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  #client: Redis | undefined;
  #state: RedisState = 'connecting';
  #mayScript = false;
  /** What to add to `performance.now()` to get milliseconds on Redis's clock, a little less for the way back. */
  #clockAheadMs: number | undefined;
  #scriptRefusalLogged = false;
  #attempts = 0;
  #upAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #reason = '';

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    void this.#connect();
  }

  get server(): RedisServer {
    return this.#options.server;
  }

  get state(): RedisState {
    return this.#state;
  }

  /** Why it is down, or was last. */
  get reason(): string {
    return this.#reason;
  }

  /** Publishes pairs of channel and message in order. Settles within the answer timeout; never rejects. */
  async publish(pairs: readonly string[]): Promise<Unpublished> {
    const client = this.#client;
    const count = pairs.length / 2;
    if (client === undefined || this.#state !== 'up') return allUnpublished(count, this.#reason);
    const unpublished = await this.#answered(client, publishPairs(client, pairs, this.#publishBy()));
    return unpublished ?? allUnpublished(count, this.#reason);
  }

  /** The answer to one command, or `undefined` if it is refused or does not come in time. Never rejects. */
  async ask(command: readonly string[]): Promise<unknown> {
    const client = this.#client;
    if (client === undefined || this.#state !== 'up') return undefined;
    const replies = await this.#answered(client, send(client, [command]));
    return replies?.[0]?.[1];
  }

  /** Ends it at once. What is not answered is taken as unpublished. May be called twice. */
  close(): void {
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) discard(client);
    this.#become('closed');
  }

  async #connect(): Promise<void> {
    const { server, times } = this.#options;
    const client = new Redis({
      ...server.options,
      // Publishing needs nothing of RESP3, and some proxies do not speak it.
      protocol: 2,
      disableClientInfo: true,
      connectionName: 'dual-stream',
      lazyConnect: true,
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      sentinelRetryStrategy: () => null,
      connectTimeout: times.connectTimeoutMs,
      sentinelCommandTimeout: times.connectTimeoutMs,
    });
    this.#client = client;
    client.on('error', (error) => this.#lose(client, error.message));
    client.on('end', () => this.#lose(client, 'the connection was closed'));
    await this.#answered(client, client.connect(), times.connectTimeoutMs);
    await this.#probe(client);
  }

  /** Asks whether it is alive, still a master, what time it has, and whether it runs scripts; and again later. */
  async #probe(client: Redis): Promise<void> {
    if (client !== this.#client) return;
    const questions = [['PING'], ['ROLE'], ['TIME'], SCRIPT_PROBE];
    if (this.#options.publishBy === 'SPUBLISH') questions.pop();
    const replies = await this.#answered(client, send(client, questions));
    if (replies === undefined || client !== this.#client) return;
    const [ping, role, time, script] = replies;
    const fault = faultOf(ping) ?? (this.#options.mayBeReplica ? undefined : replicaOf(role));
    if (fault !== undefined) {
      this.#lose(client, fault);
      return;
    }
    const redisNow = millisecondsOf(time);
    this.#clockAheadMs = redisNow === undefined ? undefined : redisNow - performance.now();
    this.#mayScript = script?.[0] === null;
    if (script?.[0]) this.#logScriptRefusal(script[0].message);
    if (this.#state !== 'up') this.#upAt = performance.now();
    this.#become('up');
    this.#timer = setTimeout(() => void this.#probe(client), this.#options.times.probeIntervalMs);
  }

  #publishBy(): PublishBy {
    if (!this.#mayScript) return { name: this.#options.publishBy };
    if (this.#clockAheadMs === undefined) return { name: 'script', notAfter: 0 };
    const notAfter = performance.now() + this.#options.times.answerTimeoutMs + this.#clockAheadMs;
    return { name: 'script', notAfter: Math.ceil(notAfter) };
  }

  /** Waits for `work` no longer than it may take. Late, the connection is given up and the answer `undefined`. */
  #answered<T>(
    client: Redis,
    work: Promise<T>,
    timeoutMs = this.#options.times.answerTimeoutMs,
  ): Promise<T | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#lose(client, `no answer within ${timeoutMs} ms`);
        resolve(undefined);
      }, timeoutMs);
      const settle = (value: T | undefined) => {
        clearTimeout(timer);
        resolve(value);
      };
      work.then(settle, (error: Error) => {
        this.#lose(client, error.message);
        settle(undefined);
      });
    });
  }

  /** Gives this client up with its socket, and tries anew after a back-off. Only the first reason counts. */
  #lose(client: Redis, reason: string): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#reason = reason;
    clearTimeout(this.#timer);
    discard(client);
    if (this.#state === 'up' && performance.now() - this.#upAt > STEADY_MS) this.#attempts = 0;
    const { backoffMinMs, backoffMaxMs } = this.#options.times;
    const backoffMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** this.#attempts);
    this.#attempts += 1;
    this.#timer = setTimeout(() => void this.#connect(), backoffMs * (0.5 + Math.random() / 2));
    this.#become('down');
  }

  #become(state: RedisState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    const { log, server, onState } = this.#options;
    if (state === 'up') log.info({ redis: server.name }, 'Redis is up: subscribers are notified');
    // The reason alone, not the error: ioredis hangs the command on it, and AUTH holds the password.
    if (state === 'down') {
      log.warn({ redis: server.name, reason: this.#reason }, 'Redis is down: subscribers are not notified');
    }
    onState();
  }

  #logScriptRefusal(reason: string): void {
    if (this.#scriptRefusalLogged) return;
    this.#scriptRefusalLogged = true;
    const { log, server } = this.#options;
    log.warn(
      { redis: server.name, reason },
      'Redis refuses scripts: each notification is a command of its own',
    );
  }
}

/** Closes the socket at once. What was written and not answered is rejected by ioredis, what it queues is gone. */
function discard(client: Redis): void {
  // Of a socket that is gone already, ioredis would wait two seconds for the end.
  if (client.status === 'end') return;
  client.disconnect();
  client.stream?.destroy();
}

/** A refusal of PING itself shows a living Redis; any other error (loading, busy, not authenticated) is a fault. */
function faultOf(ping: Reply | undefined): string | undefined {
  const error = ping?.[0];
  return error && !/^NOPERM|unknown command/.test(error.message) ? error.message : undefined;
}

/** PUBLISH on a replica answers without an error and reaches nobody, so only its role tells. */
function replicaOf(role: Reply | undefined): string | undefined {
  const answer = role?.[1];
  if (!Array.isArray(answer) || answer[0] === 'master') return undefined;
  return `its role is ${String(answer[0])}, not master`;
}

/** The answer to TIME: seconds, and microseconds of the second. */
function millisecondsOf(time: Reply | undefined): number | undefined {
  const answer = time?.[1];
  if (!Array.isArray(answer)) return undefined;
  const milliseconds = Number(answer[0]) * 1000 + Number(answer[1]) / 1000;
  return milliseconds > 0 ? milliseconds : undefined;
}
