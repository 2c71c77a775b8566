import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import Schema from 'typebox/schema';
import { parse } from 'yaml';
import { pythonOfExamples } from '../../dev/python-tools.ts';
import { waitUntil } from '../dev/wait-until.ts';
import { checkTypes, type RunningExample, runExample, unpackExamples } from './examples.ts';
import { type LocalService, startLocalService } from './local-service.ts';
import { subscribeTo } from './redis-subscriber.ts';
import { readTopic, type StoredRecord } from './topic-reader.ts';

const PATIENCE_MS = 40_000;
const examples = unpackExamples('docs/consuming.md');

describe('the consumers that docs/consuming.md shows', { concurrency: true }, () => {
  let service: LocalService;
  let python = '';
  before(async () => {
    python = await pythonOfExamples(() => {});
    service = await startLocalService({ KAFKA_COMPRESSION: 'zstd', REDIS_AGGREGATE_CHANNELS: 'true' });
  });
  after(() => service?.close());

  /** Posts events and returns their records, as another consumer reads them. */
  async function post(...events: readonly object[]): Promise<StoredRecord[]> {
    const places: { partition: number; offset: number }[] = [];
    for (const event of events) {
      const response = await fetch(`${service.url}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(event),
      });
      assert.equal(response.status, 201);
      places.push((await response.json()) as { partition: number; offset: number });
    }
    const records = await readTopic(service.brokers, 'events');
    return places.map(({ partition, offset }) => {
      const found = records.find((record) => record.partition === partition && record.offset === offset);
      assert.ok(found);
      return found;
    });
  }

  for (const [language, program, ending] of [
    ['JavaScript', () => process.execPath, 'mjs'],
    ['Python', () => python, 'py'],
  ] as const) {
    describe(`in ${language}`, { concurrency: false }, () => {
      const source_id = `branch/${language}`;
      const eventOf = (id: string, data: number) => ({ id, type: 't', source_type: 'shop', source_id, data });
      const lineOf = (what: 'first' | 'copy', { partition, offset, value }: StoredRecord) =>
        `${what} ${partition} ${offset} shop ${source_id} ${JSON.parse(value).id}`;
      const records: StoredRecord[] = [];

      /** Runs the consumer until it has seen the last record, and returns what it said about our source. */
      async function consume(group: string, store: string): Promise<string[]> {
        const running = runExample(examples, [program(), `consumer.${ending}`], {
          KAFKA_BROKERS: service.brokers,
          GROUP: `${group}-${language}`,
          STORE: `${store}-${language}.db`,
        });
        const last = records.at(-1);
        const isLast = (line: string) => line.includes(` ${last?.partition} ${last?.offset} `);
        await seen(running, isLast).finally(running.stop);
        const { how, complaints } = await running.ended;
        assert.equal(how, 'exit code 0', complaints);
        return running.lines.filter((line) => line.includes(source_id));
      }

      async function rewind(group: string, ...position: readonly (string | number)[]): Promise<void> {
        const args = [`${group}-${language}`, ...position.map(String)];
        const running = runExample(examples, [program(), `rewind.${ending}`, ...args], {
          KAFKA_BROKERS: service.brokers,
        });
        const { how, complaints } = await running.ended;
        assert.equal(how, 'exit code 0', complaints);
      }

      it('receive what was posted in its order, and drop a copy', async () => {
        records.push(...(await post(eventOf('a', 1), eventOf('b', 2), eventOf('a', 3), eventOf('c', 4))));
        const [a, b, copy, c] = records as [StoredRecord, StoredRecord, StoredRecord, StoredRecord];
        const lines = await consume('group', 'store');
        assert.deepEqual(lines, [
          lineOf('first', a),
          lineOf('first', b),
          lineOf('copy', copy),
          lineOf('first', c),
        ]);
        assert.deepEqual(valuesIn(`store-${language}.db`, source_id), [a.value, b.value, c.value]);
      });

      it('go on where they stopped', async () => {
        records.push(...(await post(eventOf('d', 5))));
        assert.deepEqual(await consume('group', 'store'), [lineOf('first', records[4] as StoredRecord)]);
      });

      it('replay from an offset, and drop all that they have', async () => {
        const [, ...fromSecond] = records;
        await rewind('group', 'offset', fromSecond[0]?.partition ?? -1, fromSecond[0]?.offset ?? -1);
        assert.deepEqual(
          await consume('group', 'store'),
          fromSecond.map((record) => lineOf('copy', record)),
        );
        assert.equal(valuesIn(`store-${language}.db`, source_id).length, 4);
      });

      it('replay from a time', async () => {
        const last = records[4] as StoredRecord;
        assert.ok(last.timestamp > (records[3]?.timestamp ?? 0));
        await rewind('replaying', 'time', new Date(last.timestamp).toISOString());
        assert.deepEqual(await consume('replaying', 'replayed'), [lineOf('first', last)]);
      });
    });
  }

  it('a subscriber gets from a notification to the event', async (t) => {
    const settings = {
      KAFKA_BROKERS: service.brokers,
      REDIS_URL: service.redisUrl,
      GROUP: 'beside',
      STORE: 'beside.db',
    };
    const event = { type: 't', source_type: 'desk', source_id: 'a:b', data: { n: 1 } };
    await post({ ...event, id: 'before' });
    const consumer = runExample(examples, [process.execPath, 'consumer.mjs'], settings);
    t.after(consumer.stop);
    await seen(consumer, (line) => line.endsWith(' before'));
    const subscriber = runExample(examples, [process.execPath, 'subscriber.mjs'], settings);
    t.after(subscriber.stop);
    await seen(subscriber, (line) => line.startsWith('listening'));
    const [record] = await post({ ...event, id: 'heard' });
    await seen(subscriber, (line) => line.includes('"heard"'));
    assert.deepEqual(
      subscriber.lines.slice(1).filter((line) => line.includes('"desk"')),
      [`events:desk:a:b ${record?.value}`],
    );
  });

  it('what they get fits openapi/asyncapi.yaml', async (t) => {
    const { channels, components } = parse(
      readFileSync(join(import.meta.dirname, '..', '..', 'openapi', 'asyncapi.yaml'), 'utf8'),
    );
    const { storedEvent, notification } = components.messages;
    const subscriber = await subscribeTo(Number(new URL(service.redisUrl).port), 'PSUBSCRIBE', [
      'events:fit*',
    ]);
    t.after(subscriber.close);
    const least = { type: 't', source_type: 'fit', source_id: 'octo/repo' };
    const stored = await post(least, { ...least, id: 'i', time: '2026-11-24T12:00:00+01:00', data: [1] });
    for (const { key, value } of stored) {
      assert.deepEqual(Schema.Compile(storedEvent.payload).Errors(JSON.parse(value)), [true, []]);
      assert.ok(Schema.Compile(storedEvent.bindings.kafka.key).Check(key));
    }
    await waitUntil(() => subscriber.heard.length >= 4, 'four notifications are heard', PATIENCE_MS);
    for (const { message } of subscriber.heard) {
      assert.deepEqual(Schema.Compile(notification.payload).Errors(JSON.parse(message)), [true, []]);
    }
    const addresses = [channels.source, channels.sourceType].map(({ address }) =>
      address.replace('{source_type}', 'fit').replace('{source_id}', 'octo/repo'),
    );
    assert.deepEqual(
      subscriber.heard.map(({ channel }) => channel),
      [...addresses, ...addresses],
    );
  });

  it('in JavaScript have the types that they state', () => {
    checkTypes(examples, 'consumer.mjs', 'rewind.mjs', 'subscriber.mjs');
  });
});

function seen(running: RunningExample, isIt: (line: string) => boolean): Promise<void> {
  return waitUntil(() => running.lines.some(isIt), 'the example prints what is expected', PATIENCE_MS);
}

/** What a consumer has stored of one source. */
function valuesIn(store: string, sourceId: string): unknown[] {
  const database = new DatabaseSync(join(examples, store), { readOnly: true, timeout: 5000 });
  const rows = database.prepare('SELECT value FROM events WHERE source_id = ? ORDER BY id').all(sourceId);
  database.close();
  return rows.map(({ value }) => value);
}
