import { setTimeout as delay } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { hashKey, partitionOf } from '../../src/ingest/partitioner.ts';
import type { Numbered } from './fault-event.ts';
import { NO_OFFSET } from './ledger.ts';
import { PUBLISH_TIMEOUT_MS, type Subject, type SubjectOptions } from './subject.ts';

const LINGER_MS = 5;

interface Waiting {
  readonly event: Numbered;
  readonly partition: number;
  readonly settle: (outcome: Outcome) => void;
}

/** How a service would use kafkajs by its manual: everything of five milliseconds in one sendBatch. */
export async function startPlainKafkajs(
  { addresses, topic, partitions, ledger }: SubjectOptions,
  { isIdempotent }: { readonly isIdempotent: boolean },
): Promise<Subject> {
  const kafka = new kafkajs.Kafka({
    brokers: addresses.map(({ host, port }) => `${host}:${port}`),
    logLevel: kafkajs.logLevel.NOTHING,
    requestTimeout: 5_000,
    connectionTimeout: 2_000,
  });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    topics: [{ topic, numPartitions: partitions, replicationFactor: 3 }],
    waitForLeaders: true,
  });
  await admin.disconnect();
  const producer = kafka.producer({ idempotent: isIdempotent, allowAutoTopicCreation: false });
  await producer.connect();

  const kafkaErrors = new Map<string, number>();
  let waiting: Waiting[] = [];
  const flush = async () => {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    const messages = batch.map(({ event, partition }) => ({
      partition,
      key: event.sourceId,
      value: Buffer.concat([Buffer.from(event.head), event.tail]),
    }));
    try {
      const places = await producer.sendBatch({ acks: -1, topicMessages: [{ topic, messages }] });
      const next = new Map(places.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]));
      for (const { event, partition, settle } of batch) {
        const offset = next.get(partition) ?? NO_OFFSET;
        if (offset !== NO_OFFSET) next.set(partition, offset + 1);
        ledger.notified(event.number);
        settle({ status: 'stored', partition, offset });
      }
    } catch (error) {
      const reason = error instanceof Error ? error.name : String(error);
      kafkaErrors.set(reason, (kafkaErrors.get(reason) ?? 0) + 1);
      for (const { settle } of batch) settle({ status: 'unknown', code: 'outcome-unknown' });
    }
  };
  const timer = setInterval(() => void flush(), LINGER_MS);

  return {
    publish(events, settled) {
      const outcomes: Outcome[] = [];
      let missing = events.length;
      const settle = (index: number, outcome: Outcome) => {
        if (outcomes[index] !== undefined) return;
        outcomes[index] = outcome;
        missing -= 1;
        if (missing === 0) settled(outcomes);
      };
      setTimeout(() => {
        events.forEach((_, index) => {
          settle(index, { status: 'unknown', code: 'outcome-unknown' });
        });
      }, PUBLISH_TIMEOUT_MS).unref();
      events.forEach((event, index) => {
        const partition = partitionOf(hashKey(event.sourceId), partitions);
        waiting.push({ event, partition, settle: (outcome) => settle(index, outcome) });
      });
    },
    partitionCount: () => partitions,
    kafkaErrors,
    storedLate: () => 0,
    close: async () => {
      clearInterval(timer);
      await Promise.race([producer.disconnect(), delay(5_000, undefined, { ref: false })]);
    },
  };
}
