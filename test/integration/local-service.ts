import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { startKafka } from '../../dev/local-kafka.ts';
import { startRedis } from '../../dev/local-redis.ts';
import { readConfig } from '../../src/config.ts';
import { startServer } from '../../src/ingest/server.ts';

/** The service in this process, with a real Kafka and a real Redis of its own. */
export interface LocalService {
  readonly url: string;
  readonly brokers: string;
  readonly redisUrl: string;
  close(): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;

/** Ready when this settles. */
export async function startLocalService(settings: NodeJS.ProcessEnv = {}): Promise<LocalService> {
  const [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
  const env = {
    AUTH_MODE: 'none',
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_TOPIC_CREATE: 'true',
    REDIS_URL: redis.url,
    PORT: String(await freePort()),
    ...settings,
  };
  const server = await startServer(readConfig(env), pino({ level: 'silent' }));
  const service = {
    url: server.address,
    brokers: kafka.brokers,
    redisUrl: redis.url,
    close: async () => {
      await server.close();
      await Promise.all([kafka.stop(), redis.stop()]);
    },
  };
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await fetch(`${service.url}/readyz`)).ok) {
    if (performance.now() > deadline) {
      await service.close();
      throw new Error('The service is not ready');
    }
    await sleep(20);
  }
  return service;
}
