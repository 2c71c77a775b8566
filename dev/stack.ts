import { join } from 'node:path';
import type { ChildExit } from './child.ts';
import { dockerAnswers, removeLeftContainers, startKafkaContainer, startRedisContainer } from './docker.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { preferredPort } from './free-port.ts';
import { startKafka } from './local-kafka.ts';
import { startPostgres } from './local-postgres.ts';
import { startRedis } from './local-redis.ts';
import type { Progress } from './progress.ts';
import { MissingProgramError } from './start-error.ts';

/** Not the usual ones, so that what is installed is not in the way. */
const KAFKA_PORT = 29_092;
const REDIS_PORT = 26_379;
const POSTGRES_PORT = 26_432;

/** What `npm run up` keeps between runs: the data of Kafka and PostgreSQL, and logs. */
export const UP_FOLDER = join(LOCAL_FOLDER, 'up');

/** A Kafka, a Redis or a PostgreSQL that was started here, ready. */
export interface StackPart {
  readonly name: 'Kafka' | 'Redis' | 'PostgreSQL';
  /** As KAFKA_BROKERS, REDIS_URL or POSTGRES_URL wants it. */
  readonly address: string;
  /** How it runs, for the terminal. */
  readonly how: string;
  /** Settles when it ends, by itself or because it was stopped. */
  readonly exit: Promise<ChildExit>;
  stop(): Promise<unknown>;
}

export interface StackOptions {
  readonly hasDocker: boolean;
  readonly progress: Progress;
}

/** Finds out how to start things; to be called while no other `up` runs in this clone. */
export async function prepareStack(progress: Progress): Promise<StackOptions> {
  const hasDocker = await dockerAnswers();
  if (hasDocker) await removeLeftContainers();
  return { hasDocker, progress };
}

/** In Docker where an engine answers and has the image, otherwise on Java. */
export async function startKafkaPart({ hasDocker, progress }: StackOptions): Promise<StackPart> {
  const options = { port: await preferredPort(KAFKA_PORT), progress };
  const container = hasDocker
    ? await startKafkaContainer({ ...options, folder: join(UP_FOLDER, 'kafka-in-docker') })
    : undefined;
  if (container !== undefined) {
    return {
      ...container,
      name: 'Kafka',
      address: `127.0.0.1:${container.port}`,
      how: `container ${container.name}`,
    };
  }
  const kafka = await startKafka({ ...options, folder: join(UP_FOLDER, 'kafka') }).catch((error) =>
    nameOtherWays(error, 'KAFKA_BROKERS', hasDocker),
  );
  const child = kafka.nodes[0]?.child;
  if (child === undefined) throw new Error('A Kafka without a node');
  return {
    name: 'Kafka',
    address: kafka.brokers,
    how: `process ${child.pid}, data in .local/up/kafka`,
    exit: child.exit,
    stop: () => kafka.stop(),
  };
}

/** In Docker where an engine answers and has the image, otherwise a redis-server. */
export async function startRedisPart({ hasDocker, progress }: StackOptions): Promise<StackPart> {
  const options = { port: await preferredPort(REDIS_PORT), progress };
  const container = hasDocker
    ? await startRedisContainer({ ...options, folder: join(UP_FOLDER, 'redis-in-docker') })
    : undefined;
  if (container !== undefined) {
    const address = `redis://127.0.0.1:${container.port}`;
    return { ...container, name: 'Redis', address, how: `container ${container.name}` };
  }
  const redis = await startRedis({ ...options, folder: join(UP_FOLDER, 'redis') }).catch((error) =>
    nameOtherWays(error, 'REDIS_URL', hasDocker),
  );
  return {
    name: 'Redis',
    address: redis.url,
    how: `process ${redis.child.pid}`,
    exit: redis.child.exit,
    stop: () => redis.stop(),
  };
}

/** From this machine or from Maven Central. */
export async function startPostgresPart({ progress }: StackOptions): Promise<StackPart> {
  const postgres = await startPostgres({
    port: await preferredPort(POSTGRES_PORT),
    folder: join(UP_FOLDER, 'postgres'),
    progress,
  });
  return {
    name: 'PostgreSQL',
    address: postgres.url,
    how: `process ${postgres.child.pid}`,
    exit: postgres.child.exit,
    stop: () => postgres.stop(),
  };
}

/** A program that is missing need not be installed: there are other ways. */
function nameOtherWays(error: unknown, setting: string, hasDocker: boolean): never {
  if (!(error instanceof MissingProgramError)) throw error;
  const docker = hasDocker ? '' : 'start a Docker engine, or ';
  throw new MissingProgramError(`${error.message}; or ${docker}set ${setting}`, { cause: error });
}
