import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { brokerAddresses } from '../../src/config.ts';
import { openConnection } from '../../src/ingest/kafka-connection.ts';
import { KafkaProducer, type SendOptions, type SendResult } from '../../src/ingest/kafka-producer.ts';
import type { TopicMetadata } from '../../src/ingest/kafka-protocol.ts';
import { type TopicSettings, TopicWatch } from '../../src/ingest/kafka-topic.ts';
import type { Compression, RecordSource } from '../../src/ingest/record-batch.ts';
import { kafkaClient } from '../../src/kafka/kafka-client.ts';
import { readTopic } from './topic-reader.ts';

const log = pino({ level: 'silent' });
const UNKNOWN_TOPIC_OR_PARTITION = 3;
const NOT_LEADER_OR_FOLLOWER = 6;
/** The broker of a topic that was just created may not know yet that it leads it, or that there is one. */
const TOO_EARLY = new Set<number | undefined>([NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION]);
const MESSAGE_TOO_LARGE = 10;

describe('KafkaProducer on a real broker', () => {
  let kafka: LocalKafka;
  let topicSettings: TopicSettings;
  const open: KafkaProducer[] = [];

  before(async () => {
    kafka = await startKafka();
    topicSettings = await createTopic(kafka, 'events', 3);
  });
  after(async () => {
    await Promise.all(open.map((producer) => producer.close()));
    await kafka.stop();
  });

  async function producerOn(topic: string, compression: Compression = 'none', requestTimeoutMs = 5_000) {
    let metadata: TopicMetadata | undefined;
    const bootstrap = brokerAddresses(kafka.brokers);
    const producer = new KafkaProducer({
      bootstrap,
      security: kafkaClient({ brokers: bootstrap, clientId: 'test', log }).security,
      topic,
      compression,
      requestTimeoutMs,
      onMetadata: (answer) => {
        metadata = answer;
      },
    });
    open.push(producer);
    assert.equal(await producer.refreshMetadata(), undefined);
    assert.ok(metadata);
    return { producer, metadata, leader: metadata.partitions[0]?.leader ?? -1 };
  }

  it('creates the topic as safe as the cluster allows, and reads its settings', () => {
    assert.deepEqual(topicSettings, {
      replicationFactor: 1,
      minInSyncReplicas: 1,
      messageBytesMax: 1_048_588,
    });
  });

  it('learns leaders, and hears of a topic that is not there without creating it', async () => {
    const { metadata } = await producerOn('events');
    assert.deepEqual(
      metadata.partitions.map(({ partition, leader, replicas }) => ({ partition, leader, replicas })),
      [0, 1, 2].map((partition) => ({ partition, leader: 1, replicas: 1 })),
    );
    for (let ask = 0; ask < 2; ask += 1) {
      const absent = await producerOn('absent');
      assert.equal(absent.metadata.errorCode, UNKNOWN_TOPIC_OR_PARTITION);
    }
  });

  it('tells the outcome of each partition: one that does not exist fails, its neighbours are stored', async () => {
    const { producer, leader } = await producerOn('events');
    const result = await producer.send(
      attempt(leader, () => [
        { partition: 0, records: [record('a'), record('b')] },
        { partition: 99, records: [record('c')] },
        { partition: 2, records: [record('d')] },
      ]),
    ).result;
    assert.equal(result.status, 'answered');
    const answers = new Map(result.partitions.map((answer) => [answer.partition, answer]));
    assert.deepEqual(answers.get(0), { partition: 0, errorCode: 0, baseOffset: 0 });
    assert.equal(answers.get(99)?.errorCode, UNKNOWN_TOPIC_OR_PARTITION);
    assert.deepEqual(answers.get(2), { partition: 2, errorCode: 0, baseOffset: 0 });
    const stored = await readTopic(kafka.brokers, 'events');
    assert.deepEqual(
      stored.map(({ partition, offset, key, value }) => [partition, offset, key, value]).toSorted(),
      [
        [0, 0, 'key of a', '{"id":"a"}'],
        [0, 1, 'key of b', '{"id":"b"}'],
        [2, 0, 'key of d', '{"id":"d"}'],
      ],
    );
  });

  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    it(`writes batches that a consumer reads: compression ${compression}`, async () => {
      const topic = `compressed-${compression}`;
      await createTopic(kafka, topic, 1);
      const { producer, leader } = await producerOn(topic, compression);
      const records = Array.from({ length: 500 }, (_, index) => record(`${compression} ${index} é🔑`));
      const send = async () => {
        const result = await producer.send(attempt(leader, () => [{ partition: 0, records }])).result;
        assert.equal(result.status, 'answered');
        return result.partitions[0]?.errorCode;
      };
      let errorCode = await send();
      for (let tries = 0; TOO_EARLY.has(errorCode) && tries < 50; tries += 1) {
        await delay(100);
        errorCode = await send();
      }
      assert.equal(errorCode, 0);
      const stored = await readTopic(kafka.brokers, topic);
      assert.deepEqual(
        stored.map(({ key, value }) => [key, value]),
        records.map(({ sourceId, head, tail }) => [sourceId, head + tail.toString()]),
      );
      assert.ok(
        stored.every(({ timestamp }) => Math.abs(timestamp - Date.now()) < 60_000),
        'the timestamp is that of the log',
      );
    });
  }

  it('hears that a batch is too large', async () => {
    const { producer, leader } = await producerOn('events');
    const records = [{ ...record('large'), tail: Buffer.alloc(1_100_000, 'x') }];
    const result = await producer.send(attempt(leader, () => [{ partition: 1, records }])).result;
    assert.equal(result.status, 'answered');
    assert.equal(result.partitions[0]?.errorCode, MESSAGE_TOO_LARGE);
  });

  it('asks what to send only once the connection can be written to, and sends nothing if nothing is left', async () => {
    const { producer, leader } = await producerOn('events');
    let isTaken = false;
    const { result } = producer.send(
      attempt(leader, () => {
        isTaken = true;
        return [];
      }),
    );
    assert.equal(isTaken, false);
    assert.deepEqual(await result, { status: 'unsent', reason: 'nothing to send' });
    assert.equal(isTaken, true);
  });

  it('P4: a broker that cannot be reached makes it unsent, not lost', async () => {
    const { producer } = await producerOn('events');
    const result = await producer.send(attempt(77, () => assert.fail('nothing may be taken'))).result;
    assert.equal(result.status, 'unsent');
  });

  it('P6: a request without an answer ends as lost, after its connection is closed', async () => {
    const { producer, leader } = await producerOn('events', 'none', 1_000);
    const send = (): Promise<SendResult> =>
      producer.send(attempt(leader, () => [{ partition: 0, records: [record('paused')] }])).result;
    assert.equal((await send()).status, 'answered');
    kafka.pause();
    try {
      await delay(50); // the signal stops a broker's threads one after the other, and one may still answer
      const startedAt = performance.now();
      assert.deepEqual(await send(), { status: 'lost', reason: 'timeout' });
      assert.ok(performance.now() - startedAt < 1_500);
    } finally {
      kafka.resume();
    }
    assert.equal((await send()).status, 'answered', 'the next attempt has a connection of its own');
  });

  it('gives up on a server that accepts and never says a word, within the time it was given', async () => {
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    assert.ok(address && typeof address === 'object');
    const { security } = kafkaClient({ brokers: brokerAddresses(kafka.brokers), clientId: 'test', log });
    const startedAt = performance.now();
    await assert.rejects(
      openConnection(security, { host: '127.0.0.1', port: address.port }, 300),
      /within 300 ms/,
    );
    assert.ok(performance.now() - startedAt < 1_000);
    silent.close();
  });
});

function record(id: string): RecordSource {
  return { sourceId: `key of ${id}`, head: '{', tail: Buffer.from(`"id":"${id}"}`) };
}

async function createTopic(kafka: LocalKafka, topic: string, partitions: number): Promise<TopicSettings> {
  const { promise, resolve } = Promise.withResolvers<TopicSettings>();
  const client = kafkaClient({ brokers: brokerAddresses(kafka.brokers), clientId: 'test', log });
  const watch = new TopicWatch({
    kafka: client.kafka,
    topic,
    createWithPartitions: partitions,
    log,
    onSettings: resolve,
  });
  const settings = await promise;
  watch.close();
  return settings;
}

function attempt(leader: number, take: SendOptions['take']): SendOptions {
  return { leader, channel: 'shared', brokerTimeoutMs: 4_000, take };
}
