import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import kafkajs from 'kafkajs';
import type { EventInput } from '../src/event.ts';
import { channelOf } from '../src/notification.ts';
import { type Stored, stockApp } from './stock-app.ts';

/**
 * What a team would write by hand: one `producer.send` for each request, acks=all, and a `publish` for each event once
 * it is stored, which the answer does not wait for. Libraries as they come; nothing is done to make it slow.
 */

const { KAFKA_BROKERS = '', KAFKA_TOPIC = '', REDIS_URL = '', PORT } = process.env;

const kafka = new kafkajs.Kafka({
  clientId: 'naive',
  brokers: KAFKA_BROKERS.split(','),
  logLevel: kafkajs.logLevel.ERROR,
});
const producer = kafka.producer({
  allowAutoTopicCreation: false,
  createPartitioner: kafkajs.Partitioners.DefaultPartitioner, // the default, named so that it does not warn
});
const redis = new Redis(REDIS_URL);

async function store(inputs: readonly EventInput[]): Promise<readonly Stored[]> {
  const events = inputs.map(complete);
  const places = await producer.send({
    topic: KAFKA_TOPIC,
    acks: -1,
    messages: events.map((event) => ({ key: event.source_id, value: JSON.stringify(event) })),
  });
  for (const { id, type, source_type, source_id } of events) {
    redis
      .publish(channelOf(source_type, source_id), JSON.stringify({ id, type, source_id }))
      .catch((error: unknown) => console.error('not notified', error));
  }
  // kafkajs tells the first offset of each partition, and not which event went where.
  const [place] = events.length === 1 ? places : [];
  return events.map(({ id }) => ({
    id,
    status: 'stored',
    partition: place?.partition,
    offset: place?.baseOffset === undefined ? undefined : Number(place.baseOffset),
  }));
}

function complete(event: EventInput) {
  return { ...event, id: event.id ?? randomUUID(), time: event.time ?? new Date().toISOString() };
}

await producer.connect();
const app = stockApp(store);
await app.listen({ host: '127.0.0.1', port: Number(PORT) });

process.once('SIGTERM', async () => {
  await app.close();
  await producer.disconnect();
  redis.disconnect();
});
