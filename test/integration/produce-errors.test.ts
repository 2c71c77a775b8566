import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import kafkajs from 'kafkajs';
import { pino } from 'pino';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { brokerAddresses } from '../../src/config.ts';
import { openConnection } from '../../src/ingest/kafka-connection.ts';
import { decodeProduceAnswer, encodeProduce } from '../../src/ingest/kafka-protocol.ts';
import { produceError } from '../../src/ingest/produce-errors.ts';
import { type Compression, recordBatch } from '../../src/ingest/record-batch.ts';
import { kafkaClient } from '../../src/kafka/kafka-client.ts';
import { quietKafka, readTopic } from './topic-reader.ts';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;

const BROKER_TIMEOUT_MS = 4_000;
const HOUR_MS = 3_600_000;
const CLIENT_ID = 'test';
/** Where things stand in a Produce request, counted from the end of its header. */
const API_VERSION_AT = 6;
const ACKS_AT = 14 + CLIENT_ID.length + 2;
const MAGIC_IN_BATCH = 16;

interface Case {
  readonly code: number;
  readonly how: string;
  /** Of the topic, beside the broker's defaults. */
  readonly config?: Readonly<Record<string, string>>;
  /** In place of a topic of the case's own. */
  readonly topic?: string;
  readonly isDenied?: boolean;
  readonly valueBytes?: number;
  readonly timestampMs?: () => number;
  readonly compression?: Compression;
  /** Spoils the request; `batchAt` is where its record batch begins. */
  readonly spoil?: (request: Buffer, batchAt: number) => void;
}

/**
 * Every refusal that a single real broker can be made to answer. NOT_ENOUGH_REPLICAS takes three (`min-insync-lost` in
 * the fault suite); the others are played by the simulation's Kafka.
 */
const cases: readonly Case[] = [
  {
    code: 2,
    how: 'a byte of the records is changed',
    spoil: (request) => {
      request[request.length - 2] = (request.at(-2) ?? 0) ^ 0xff;
    },
  },
  { code: 10, how: 'the batch is over max.message.bytes', config: { 'max.message.bytes': '500' } },
  { code: 17, how: 'the topic is an internal one', topic: '__consumer_offsets' },
  {
    code: 18,
    how: 'the batch is larger than a segment',
    config: { 'segment.bytes': '1048576', 'max.message.bytes': '4000000' },
    valueBytes: 2_000_000,
  },
  { code: 21, how: 'acks=2', spoil: (request) => void request.writeInt16BE(2, ACKS_AT) },
  { code: 29, how: 'the user may not write to the topic', isDenied: true },
  {
    code: 32,
    how: 'the timestamp lies a day ahead',
    config: { 'message.timestamp.type': 'CreateTime', 'message.timestamp.after.max.ms': String(HOUR_MS) },
    timestampMs: () => Date.now() + 24 * HOUR_MS,
  },
  {
    code: 76,
    how: 'zstd in a version that does not know it',
    compression: 'zstd',
    spoil: (request) => void request.writeInt16BE(6, API_VERSION_AT),
  },
  {
    code: 87,
    how: 'a record format of before 2017',
    spoil: (request, batchAt) => {
      request[batchAt + MAGIC_IN_BATCH] = 1;
    },
  },
];

describe('P4: what a real broker refuses as "not appended" is not in its log', () => {
  let kafka: LocalKafka;

  before(async () => {
    kafka = await startKafka({
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'allow.everyone.if.no.acl.found': 'true',
      },
    });
    await createTopic('control', {});
    assert.equal(await produce({ code: 0, how: 'nothing is wrong' }, 'control'), 0);
    assert.equal((await readTopic(kafka.brokers, 'control')).length, 1, 'and so a consumer group exists');
  });
  after(async () => {
    await kafka.stop();
  });

  for (const refused of cases) {
    const { code, how, config = {}, topic = `refused-${code}`, isDenied = false } = refused;
    const row = produceError(code);
    it(`${code} ${row.name}: ${how}`, async () => {
      assert.equal(row.appended, 'no');
      if (refused.topic === undefined) await createTopic(topic, config);
      const end = await endOf(topic);
      if (isDenied) await setWriting(topic, 'deny');
      const answered = await produce(refused, topic);
      if (isDenied) await setWriting(topic, 'allow');
      assert.equal(answered, code);
      assert.equal(await endOf(topic), end, 'the log has not grown');
    });
  }

  async function produce(of: Case, topic: string): Promise<number> {
    const { valueBytes = 1_000, timestampMs = Date.now, compression = 'none', spoil } = of;
    const [address] = brokerAddresses(kafka.brokers);
    assert.ok(address);
    const bootstrap = [address];
    const { security } = kafkaClient({
      brokers: bootstrap,
      clientId: CLIENT_ID,
      log: pino({ level: 'silent' }),
    });
    const connection = await openConnection(security, address, 3_000);
    const tail = Buffer.alloc(valueBytes, 'x');
    const batch = recordBatch([{ sourceId: 'key', head: '{', tail }], timestampMs(), compression);
    const payload = await connection.exchange((header) => {
      const partitions = [{ partition: 0, batch }];
      const request = encodeProduce(header, { topic, timeoutMs: BROKER_TIMEOUT_MS, partitions });
      spoil?.(request, request.length - batch.byteLength);
      return request;
    });
    connection.destroy();
    return decodeProduceAnswer(payload).partitions[0]?.errorCode ?? Number.NaN;
  }

  const withAdmin = async <T>(work: (admin: kafkajs.Admin) => Promise<T>): Promise<T> => {
    const admin = quietKafka(kafka.brokers).admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  };

  function createTopic(topic: string, config: Readonly<Record<string, string>>): Promise<unknown> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    return withAdmin((admin) =>
      admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 1, configEntries }] }),
    );
  }

  async function endOf(topic: string): Promise<string | undefined> {
    const offsets = await withAdmin((admin) => admin.fetchTopicOffsets(topic));
    return offsets.find(({ partition }) => partition === 0)?.high;
  }

  async function setWriting(topic: string, to: 'deny' | 'allow'): Promise<void> {
    const entry = {
      resourceType: AclResourceTypes.TOPIC,
      resourceName: topic,
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: 'User:ANONYMOUS',
      host: '*',
      operation: AclOperationTypes.WRITE,
      permissionType: AclPermissionTypes.DENY,
    };
    await withAdmin<unknown>((admin) =>
      to === 'deny' ? admin.createAcls({ acl: [entry] }) : admin.deleteAcls({ filters: [entry] }),
    );
  }
});
