import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { zstdDecompressSync } from 'node:zlib';
import kafkajs, { type Admin, type Kafka } from 'kafkajs';

const { CompressionCodecs, CompressionTypes, Kafka: KafkaClient, logLevel } = kafkajs;

// kafkajs reads zstd only with a codec given to it.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: () => Promise.reject(new Error('this codec only reads')),
  decompress: (buffer: Buffer) => Promise.resolve(zstdDecompressSync(buffer)),
});

export interface StoredRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly value: string;
  readonly timestamp: number;
  readonly headers: Readonly<Record<string, string>>;
}

export function quietKafka(brokers: string): Kafka {
  return new KafkaClient({ brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry: { retries: 5 } });
}

/** Everything that the topic holds now, read from its beginning by a consumer. */
export async function readTopic(brokers: string, topic: string): Promise<StoredRecord[]> {
  const kafka = quietKafka(brokers);
  const admin = kafka.admin();
  await admin.connect();
  const ends = (await offsetsOf(admin, topic)).map(({ partition, high }) => ({
    partition,
    end: Number(high),
  }));
  await admin.disconnect();
  const records: StoredRecord[] = [];
  const missing = new Map(ends.filter(({ end }) => end > 0).map(({ partition, end }) => [partition, end]));
  if (missing.size === 0) return records;

  const consumer = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 50 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const { promise, resolve } = Promise.withResolvers<void>();
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      const offset = Number(message.offset);
      records.push({
        partition,
        offset,
        key: message.key?.toString() ?? '',
        value: message.value?.toString() ?? '',
        timestamp: Number(message.timestamp),
        headers: Object.fromEntries(
          Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
        ),
      });
      if (offset + 1 >= (missing.get(partition) ?? 0)) missing.delete(partition);
      if (missing.size === 0) resolve();
    },
  });
  await promise;
  await consumer.disconnect();
  return records;
}

/** Asked again for a while: a topic that was just created may not have all its leaders yet. */
async function offsetsOf(admin: Admin, topic: string, attempts = 20): ReturnType<Admin['fetchTopicOffsets']> {
  try {
    return await admin.fetchTopicOffsets(topic);
  } catch (error) {
    if (attempts === 1) throw error;
    await delay(100);
    return offsetsOf(admin, topic, attempts - 1);
  }
}
