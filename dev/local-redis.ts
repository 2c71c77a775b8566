import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RedisOptions as AnyRedisOptions, Redis } from 'ioredis';
import { type Child, type ChildExit, startChild } from './child.ts';
import { temporaryFolder } from './folders.ts';
import { freePort } from './free-port.ts';
import type { Progress } from './progress.ts';
import { untilReady } from './readiness.ts';
import { redisBinary } from './redis-binary.ts';

const READY_TIMEOUT_MS = 20_000;
const STOP_GRACE_MS = 5000;

/** Without one whose type contradicts itself under exactOptionalPropertyTypes. */
type ConnectionOptions = Omit<AnyRedisOptions, 'replyMapping'>;

export interface RedisOptions {
  /** For the log and what Redis writes; left out, it is temporary and goes when this process ends. */
  readonly folder?: string;
  /** Left out: a free one. */
  readonly port?: number;
  readonly progress?: Progress;
  /** Lines for redis.conf, stronger than what is set here: `replicaof 127.0.0.1 7000`, `cluster-enabled yes`. */
  readonly config?: readonly string[];
  /** Arguments after the configuration file: `--sentinel`. */
  readonly args?: readonly string[];
  /** How to reach a server that `config` gave TLS or users. */
  readonly connection?: ConnectionOptions;
}

/** A Redis of our own on 127.0.0.1. */
export interface LocalRedis {
  /** As REDIS_URL wants it. */
  readonly url: string;
  readonly port: number;
  readonly logFile: string;
  /** The process that runs now or ran last. */
  readonly child: Child;
  /** Starts a stopped or killed server again, on the same port; it keeps no data. */
  start(): Promise<void>;
  stop(): Promise<ChildExit>;
  /** SIGKILL. */
  kill(): Promise<ChildExit>;
  /** SIGSTOP: connections stay open and nothing is answered. */
  pause(): void;
  resume(): void;
}

/** Ready when this settles. */
export async function startRedis(options: RedisOptions = {}): Promise<LocalRedis> {
  const { progress = () => {}, args = [] } = options;
  const binary = await redisBinary(progress);
  const folder = options.folder ?? temporaryFolder('redis');
  const port = options.port ?? (await freePort());
  const logFile = join(folder, 'redis.log');
  const configFile = join(folder, 'redis.conf');
  mkdirSync(folder, { recursive: true });
  rmSync(logFile, { force: true });
  // Written once: Sentinel and Cluster keep what they learn in there.
  writeFileSync(configFile, configLines(folder, port, options.config));

  let child: Child | undefined;
  const current = () => {
    if (child === undefined) throw new Error('Redis has not been started');
    return child;
  };
  const redis: LocalRedis = {
    url: `redis://127.0.0.1:${port}`,
    port,
    logFile,
    get child() {
      return current();
    },
    async start() {
      if (child !== undefined && !child.hasEnded()) return;
      const starting = startChild({ command: binary, args: [configFile, ...args], output: { logFile } });
      child = starting;
      await untilReady({
        name: 'Redis',
        child: starting,
        logFile,
        timeoutMs: READY_TIMEOUT_MS,
        progress,
        answers: async () =>
          (await askRedis(port, 'process_id', options.connection)) === String(starting.pid),
      });
    },
    stop: () => current().stop(STOP_GRACE_MS),
    kill: () => current().kill(),
    pause: () => current().pause(),
    resume: () => current().resume(),
  };
  await redis.start();
  return redis;
}

function configLines(folder: string, port: number, extra: readonly string[] = []): string {
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${JSON.stringify(folder)}`,
    'daemonize no',
    // Nothing is stored in Redis.
    'save ""',
    'appendonly no',
    ...extra,
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * A line of the answering server's INFO, or undefined when there is none. An open port proves nothing: somebody else's
 * Redis may listen there.
 */
export async function askRedis(
  port: number,
  field: 'process_id' | 'run_id',
  connection: ConnectionOptions = {},
): Promise<string | undefined> {
  const client = new Redis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    enableReadyCheck: false,
    connectTimeout: 1000,
    commandTimeout: 1000,
    disconnectTimeout: 100,
    retryStrategy: () => null,
    ...connection,
  });
  // Said once more by the rejection of connect or info.
  client.on('error', () => {});
  try {
    await client.connect();
    const info = await client.info('server');
    return new RegExp(`^${field}:(\\w+)`, 'm').exec(info)?.[1];
  } catch {
    // Nobody listens, or whoever does speaks something else.
    return undefined;
  } finally {
    client.disconnect();
  }
}
