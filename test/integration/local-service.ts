import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { startKafka } from '../../dev/local-kafka.ts';
import { startRedis } from '../../dev/local-redis.ts';
import { readConfig } from '../../src/config.ts';
import { type Server, startServer } from '../../src/ingest/server.ts';

/** The service in this process, with a real Kafka and a real Redis of its own. */
export interface LocalService {
  readonly url: string;
  readonly brokers: string;
  readonly redisUrl: string;
  close(): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;

/** Ready when this settles. */
export async function startLocalService(
  settings: NodeJS.ProcessEnv = {},
  log?: Logger,
): Promise<LocalService> {
  const [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
  const stop = () => Promise.all([kafka.stop(), redis.stop()]);
  const server = await startService(kafka, redis, settings, log).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    url: server.address,
    brokers: kafka.brokers,
    redisUrl: redis.url,
    close: async () => {
      await server.close();
      await stop();
    },
  };
}

/** The service on a Kafka and a Redis that are there already, ready when this settles. */
export async function startService(
  kafka: { readonly brokers: string },
  redis: { readonly url: string },
  settings: NodeJS.ProcessEnv = {},
  log = pino({ level: 'silent' }),
): Promise<Server> {
  const env = {
    AUTH_MODE: 'none',
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_TOPIC_CREATE: 'true',
    REDIS_URL: redis.url,
    PORT: String(await freePort()),
    ...settings,
  };
  const server = await startServer(readConfig(env), log);
  try {
    await until(async () => (await fetch(`${server.address}/readyz`)).ok, READY_TIMEOUT_MS);
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < giveUpAt, `still not so after ${timeoutMs} ms: ${condition}`);
    await delay(25);
  }
}
