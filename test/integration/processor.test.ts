import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import kafkajs, { type Message, type Producer } from 'kafkajs';
import { type Logger, pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalPostgres, startPostgres } from '../../dev/local-postgres.ts';
import { startRedis } from '../../dev/local-redis.ts';
import { setBack } from '../../src/processor/replay.ts';
import { Retention } from '../../src/processor/retention.ts';
import { type Processor, startProcessor } from '../../src/processor/server.ts';
import { migrate } from '../../src/store/migrations.ts';
import { openStore, type Store } from '../../src/store/postgres.ts';
import { readProcessorConfig } from '../../src/store-config.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { startService, until } from './local-service.ts';

const silent = pino({ level: 'silent' });
const PARTITIONS = 3;

interface Row {
  readonly seq: string;
  readonly source_id: string;
  readonly id: string;
  readonly type: string;
  readonly partition: number;
  readonly offset: string;
  readonly value: Buffer;
}

const event = (id: string, { source = 'octocat', data = '1', partition = 0 } = {}): Message => ({
  partition,
  key: source,
  value: `{"id":"${id}","type":"push","source_type":"user","source_id":"${source}","time":"2026-11-23T12:00:00Z","data":${data}}`,
});
const isReady = async ({ address }: Processor) => (await fetch(`${address}/readyz`)).ok;
const metric = async ({ address }: Processor, name: string) => {
  const text = await (await fetch(`${address}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
};
const withoutB = (found: readonly Row[]) => found.filter(({ id }) => id !== 'b');
const partitionsOf = (processor: Processor) => metric(processor, 'dual_stream_processor_partitions');

describe('the event processor on a real Kafka and PostgreSQL', () => {
  let kafka: LocalKafka;
  let postgres: LocalPostgres;
  let client: kafkajs.Kafka;
  let producer: Producer;
  let store: Store;
  const processors: Processor[] = [];
  let topics = 0;
  let topic: string;

  before(async () => {
    [kafka, postgres] = await Promise.all([startKafka(), startPostgres()]);
    client = new kafkajs.Kafka({ brokers: kafka.brokers.split(','), logLevel: kafkajs.logLevel.NOTHING });
    producer = client.producer({
      createPartitioner:
        () =>
        ({ message }) =>
          message.partition ?? 0,
    });
    await producer.connect();
    store = openStore({
      url: postgres.url,
      tls: undefined,
      applicationName: 'test',
      connectionsMax: 2,
      statementTimeoutMs: 10_000,
      log: silent,
    });
    await migrate(store);
  });
  afterEach(async () => {
    for (const processor of processors.splice(0)) await processor.close();
    await store.query('truncate dual_stream.events');
  });
  after(async () => {
    await producer.disconnect();
    await store.close();
    await Promise.all([kafka.stop(), postgres.stop()]);
  });

  async function newTopic(): Promise<void> {
    topics += 1;
    topic = `events-${topics}`;
    const admin = client.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }], waitForLeaders: true });
    await admin.disconnect();
  }

  async function start(settings: NodeJS.ProcessEnv = {}, log: Logger = silent): Promise<Processor> {
    const config = readProcessorConfig({
      KAFKA_BROKERS: kafka.brokers,
      KAFKA_TOPIC: topic,
      KAFKA_TOPIC_CREATE: 'true',
      KAFKA_GROUP_ID: `processor-${topic}`,
      POSTGRES_URL: postgres.url,
      MANAGEMENT_PORT: String(await freePort()),
      ...settings,
    });
    const processor = await startProcessor(config, log);
    processors.push(processor);
    return processor;
  }

  const send = (...messages: readonly Message[]) => producer.send({ topic, messages: [...messages] });
  const rows = () => store.query<Row>('select * from dual_stream.events order by seq');
  const untilStored = (count: number) => until(async () => (await rows()).length >= count, 30_000);
  const deadLetters = async (count = 1): Promise<Message[]> => {
    const consumer = client.consumer({ groupId: `dead-letters-${topic}` });
    const found: Message[] = [];
    await consumer.connect();
    await consumer.subscribe({ topics: [`${topic}.dead-letters`], fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void found.push(message) });
    await until(() => found.length >= count);
    await consumer.disconnect();
    return found;
  };

  it('stores the bytes of each record, in the order of its partition', async () => {
    await newTopic();
    const data = '{"big":12345678901234567890,  "text":"ä\\u00e4🎈", "list":[1.50, 1e3]}';
    await send(
      ...Array.from({ length: 300 }, (_, index) =>
        event(`e${index}`, { source: `s${index % 7}`, partition: index % PARTITIONS, data }),
      ),
    );
    const processor = await start();
    await untilStored(300);
    const found = await rows();
    assert.equal(found.length, 300);
    for (const { id, source_id, value } of found) {
      assert.equal(value.toString(), String(event(id, { source: source_id, data }).value));
    }
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const offsets = found.filter((row) => row.partition === partition).map(({ offset }) => Number(offset));
      assert.deepEqual(offsets, [...Array(100).keys()]);
    }
    assert.equal(await metric(processor, 'dual_stream_processor_events_total{result="stored"}'), 300);
    await until(async () => (await metric(processor, 'dual_stream_processor_partitions')) === PARTITIONS);
    await until(async () => (await metric(processor, 'dual_stream_processor_lag_records')) === 0);
  });

  it('keeps the first copy, and counts the others and those that say something else', async () => {
    await newTopic();
    await send(event('a'), event('b'), event('a'), event('a', { data: '2' }));
    const processor = await start();
    await untilStored(2);
    await send(event('b', { data: '3' }), event('c'));
    await untilStored(3);
    assert.deepEqual(
      (await rows()).map(({ id, offset, value }) => [id, offset, JSON.parse(value.toString()).data]),
      [
        ['a', '0', 1],
        ['b', '1', 1],
        ['c', '5', 1],
      ],
    );
    assert.equal(await metric(processor, 'dual_stream_processor_events_total{result="copy"}'), 3);
    assert.equal(await metric(processor, 'dual_stream_processor_events_total{result="conflict"}'), 2);
  });

  it('puts aside what is no event, with the reason and where it was', async () => {
    await newTopic();
    await send(
      event('a'),
      {
        partition: 0,
        key: 'k',
        value: 'no event',
        headers: { trace: 'x' },
      },
      event('b'),
    );
    await start();
    await untilStored(2);
    const [letter, ...more] = await deadLetters();
    assert.equal(more.length, 0);
    assert.equal(String(letter?.value), 'no event');
    assert.equal(String(letter?.key), 'k');
    assert.deepEqual(
      Object.fromEntries(Object.entries(letter?.headers ?? {}).map(([name, text]) => [name, String(text)])),
      {
        trace: 'x',
        'dual_stream.reason': 'malformed-json',
        'dual_stream.topic': topic,
        'dual_stream.partition': '0',
        'dual_stream.offset': '1',
        'dual_stream.timestamp': letter?.headers?.['dual_stream.timestamp']?.toString(),
      },
    );
  });

  it('puts aside what is too large for the topic of dead letters without its value', async () => {
    await newTopic();
    const admin = client.admin();
    await admin.connect();
    await admin.createTopics({
      topics: [
        {
          topic: `${topic}.dead-letters`,
          numPartitions: 1,
          configEntries: [{ name: 'max.message.bytes', value: '2000' }],
        },
      ],
      waitForLeaders: true,
    });
    await admin.disconnect();
    const large = 'x'.repeat(5_000);
    const small = { partition: 0, key: 'k', value: 'no event' };
    await send(small, { partition: 0, key: 'k', value: large }, small, event('a'));
    await start();
    await untilStored(1);
    assert.deepEqual(
      (await deadLetters(3)).map(({ value, headers }) => [
        value === null ? null : String(value),
        String(headers?.['dual_stream.offset']),
        headers?.['dual_stream.value'] && String(headers['dual_stream.value']),
      ]),
      [
        ['no event', '0', undefined],
        [null, '1', 'too large'],
        ['no event', '2', undefined],
      ],
    );
  });

  it('goes on where the store is, and not where the group is', async () => {
    await newTopic();
    await send(event('a'), event('b'), event('c'));
    await (await start()).close();
    await store.query('delete from dual_stream.events');
    await store.query('delete from dual_stream.positions where topic = $1', [topic]);
    const admin = client.admin();
    await admin.connect();
    await admin.setOffsets({
      groupId: `processor-${topic}`,
      topic,
      partitions: [{ partition: 0, offset: '2' }],
    });
    await admin.disconnect();
    await start();
    await untilStored(3);
    assert.deepEqual(
      (await rows()).map(({ id }) => id),
      ['a', 'b', 'c'],
    );
  });

  it('reads again what a replay asks for, also where nothing new arrives, and leaves what is there', async () => {
    await newTopic();
    await send(event('a'), event('b'), event('c'));
    await start();
    await untilStored(3);
    const asTheyWere = await rows();
    await store.query("delete from dual_stream.events where id = 'b'");
    const [log] = await store.query<{ cluster: string }>(
      'select cluster from dual_stream.positions where topic = $1',
      [topic],
    );
    assert.ok(log);
    const of = { cluster: log.cluster, topic };
    assert.deepEqual(await setBack(store.query, of, new Map([[0, 1]])), new Map([[0, 3]]));
    assert.deepEqual(await setBack(store.query, of, new Map([[0, 50]])), new Map(), 'never ahead');
    await untilStored(3);
    const now = await rows();
    assert.deepEqual(withoutB(now), withoutB(asTheyWere));
    assert.deepEqual(
      now.map(({ id }) => id),
      ['a', 'c', 'b'],
    );
  });

  it('waits for PostgreSQL, and goes on by itself', async () => {
    await newTopic();
    const processor = await start();
    await send(event('a'));
    await untilStored(1);
    assert.ok(await isReady(processor));
    await postgres.kill();
    await send(event('b'));
    await until(async () => !(await isReady(processor)), 30_000);
    await postgres.start();
    await untilStored(2);
    await until(() => isReady(processor));
    assert.deepEqual(
      (await rows()).map(({ id }) => id),
      ['a', 'b'],
    );
  });

  it('starts before PostgreSQL does', async () => {
    await newTopic();
    await send(event('a'));
    await postgres.stop();
    const processor = await start();
    assert.equal((await fetch(`${processor.address}/livez`)).status, 200);
    assert.equal((await fetch(`${processor.address}/readyz`)).status, 503);
    await postgres.start();
    await untilStored(1);
  });

  it('shares the partitions with another one, and takes them over when that leaves', async () => {
    await newTopic();
    const [first, second] = [await start(), await start()];
    await until(async () => {
      const counts = [await partitionsOf(first), await partitionsOf(second)].toSorted();
      return counts[0] === 1 && counts[1] === 2;
    }, 30_000);
    await send(...[0, 1, 2].map((partition) => event(`a${partition}`, { partition })));
    await untilStored(3);
    await processors.shift()?.close();
    await until(async () => (await partitionsOf(second)) === PARTITIONS, 30_000);
    await send(...[0, 1, 2].map((partition) => event(`b${partition}`, { partition })));
    await untilStored(6);
    assert.equal((await rows()).length, 6);
  });

  it('stores no event that is older than the store keeps them, and removes those that become so', async () => {
    await newTopic();
    const hourAgo = String(Date.now() - 3_600_000 - 60_000);
    await send({ ...event('old'), timestamp: hourAgo }, event('new'));
    const processor = await start({ STORE_RETENTION_HOURS: '1' });
    await untilStored(1);
    await until(
      async () => (await metric(processor, 'dual_stream_processor_events_total{result="expired"}')) === 1,
    );
    assert.deepEqual(
      (await rows()).map(({ id }) => id),
      ['new'],
    );
    await store.query("update dual_stream.events set recorded_at = now() - interval '61 minutes'");
    let removed = 0;
    const retention = new Retention({
      clock: new ManualClock(),
      store,
      hours: 1,
      log: silent,
      onRemoved: (count) => {
        removed += count;
      },
    });
    await retention.remove();
    retention.close();
    assert.equal(removed, 1);
    assert.deepEqual(await rows(), []);
  });

  for (const compression of ['gzip', 'zstd']) {
    it(`stores what the service took, compressed by ${compression}`, async () => {
      await newTopic();
      const redis = await startRedis();
      const service = await startService(kafka, redis, {
        KAFKA_TOPIC: topic,
        KAFKA_COMPRESSION: compression,
      });
      try {
        await start();
        const body = '{"type":"push","source_type":"repo","source_id":"owner/repo","data":{"a" : 1.0}}';
        const answer = await fetch(`${service.address}/v1/events`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        });
        const { id } = (await answer.json()) as { id: string };
        await untilStored(1);
        const [row] = await rows();
        assert.equal(row?.id, id);
        assert.match(String(row?.value), /"data":\{"a" : 1\.0\}/);
      } finally {
        await service.close();
        await redis.stop();
      }
    });
  }

  it('writes nothing of what it reads to its log and its metrics, whatever fails', async () => {
    await newTopic();
    const canary = 'canary-5c0ffee';
    const lines: string[] = [];
    const log = pino({ level: 'trace' }, { write: (line) => void lines.push(line) });
    const processor = await start({}, log);
    const sendOnce = (id: string) =>
      send(
        event(`${canary}-${id}`, { source: canary, data: `"${canary}"` }),
        event(`${canary}-same`, { source: canary, data: `"${canary}-${id}"` }),
        { partition: 0, key: canary, value: canary, headers: { [canary]: canary } },
      );
    await sendOnce('a');
    await untilStored(2);
    await postgres.kill();
    await sendOnce('b');
    await until(() => lines.some((line) => line.includes('events cannot be stored')));
    await postgres.start();
    await untilStored(3);
    await store.query('alter table dual_stream.events add constraint refused check (id !~ $$-c$$) not valid');
    await sendOnce('c');
    await until(async () => Number(await metric(processor, 'dual_stream_processor_failures_total')) > 3);
    await store.query('alter table dual_stream.events drop constraint refused');
    await untilStored(4);
    const metrics = await (await fetch(`${processor.address}/metrics`)).text();
    assert.ok(lines.length > 5, lines.join(''));
    assert.deepEqual(
      lines.filter((line) => line.includes(canary)),
      [],
    );
    assert.ok(!metrics.includes(canary));
  });

  it('refuses a store that a later version made', async () => {
    await newTopic();
    await (await start()).close();
    await store.query('insert into dual_stream.migrations (version) values (999)');
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
    const processor = await start({}, log);
    await until(() => lines.some((line) => line.includes('version 999')));
    assert.ok(!(await isReady(processor)));
    await store.query('delete from dual_stream.migrations where version = 999');
  });
});
