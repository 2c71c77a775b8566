import { Redis } from 'ioredis';
import kafkajs from 'kafkajs';

/**
 * Shows both streams as events come in: `npm run listen`, beside `npm run up`. KAFKA_BROKERS, KAFKA_TOPIC and REDIS_URL say
 * where; left out, it is where `npm run up` and `docker compose up` have them. REDIS_MODE=off leaves Redis out. For a look, and no example of a consumer: it
 * commits nothing and shows only what comes from now on.
 */

const { KAFKA_BROKERS = '127.0.0.1:29092', KAFKA_TOPIC = 'events' } = process.env;
const { REDIS_URL = 'redis://127.0.0.1:26379', REDIS_MODE } = process.env;
const GROUP = `dual-stream-listen-${process.pid}`;

const kafka = new kafkajs.Kafka({
  brokers: KAFKA_BROKERS.split(','),
  logLevel: kafkajs.logLevel.NOTHING,
  retry: { retries: 2 },
});
const consumer = kafka.consumer({ groupId: GROUP, maxWaitTimeInMs: 500 });
const redis =
  REDIS_MODE === 'off' ? undefined : new Redis(REDIS_URL, { lazyConnect: true, maxRetriesPerRequest: 1 });
let isStopping = false;

async function listen(): Promise<void> {
  if (redis !== undefined) {
    let reason = '';
    redis.on('error', ({ message }) => (reason = message));
    await redis.connect().catch(() => fail(`Redis at ${withoutPassword(REDIS_URL)}: ${reason}`));
    redis.on('pmessage', (_pattern, channel, message) => say('redis', channel, message));
    await redis.psubscribe('events:*');
  }
  await consumer.connect().catch((error: Error) => fail(`Kafka at ${KAFKA_BROKERS}: ${error.message}`));
  await consumer
    .subscribe({ topics: [KAFKA_TOPIC] })
    .catch((error: Error) => fail(`topic ${KAFKA_TOPIC}: ${error.message}`));
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(KAFKA_TOPIC);
  await admin.disconnect();
  const joined = new Promise<void>((resolve) => void consumer.on('consumer.group_join', () => resolve()));
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) =>
      say(
        'kafka',
        `${topic}[${partition}] offset ${message.offset} key ${message.key}`,
        String(message.value),
      ),
  });
  // From now on, whatever comes before the first answer of Kafka to this group.
  for (const { partition, high } of ends) consumer.seek({ topic: KAFKA_TOPIC, partition, offset: high });
  await joined;
  console.log('listening; send an event, Ctrl-C ends this');
}

function say(stream: string, where: string, what: string): void {
  console.log(`${stream}  ${where}  ${what}`);
}

async function stop(exitCode: number): Promise<never> {
  isStopping = true;
  redis?.disconnect();
  await consumer.disconnect().catch(() => {});
  const admin = kafka.admin();
  // The group is of no use any more; where it may not be deleted, Kafka does so in a week.
  await admin
    .connect()
    .then(() => admin.deleteGroups([GROUP]))
    .catch(() => {});
  await admin.disconnect().catch(() => {});
  process.exit(exitCode);
}

function fail(why: string): Promise<never> {
  process.stderr.write(`listen: ${why}\n`);
  return stop(1);
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (!isStopping) void stop(0);
  });
}
await listen();
