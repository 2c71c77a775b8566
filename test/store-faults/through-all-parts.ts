import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { startRedis } from '../../dev/local-redis.ts';
import { startQuery } from '../../src/query/server.ts';
import { readQueryConfig } from '../../src/store-config.ts';
import { type ExactRecord, readTopicExactly } from '../faults/reader.ts';
import { type ServiceProcess, startServiceProcess } from '../faults/service-process.ts';
import { eventText } from '../json-text.ts';
import type { StoreScenario, StoreStage } from './scenario.ts';

const RUNS = 40;
const EVENTS_MAX = 12;
const LARGE_BYTES = 64 * 1024;

interface Answer {
  readonly status: string;
  readonly id: string;
  readonly partition: number;
  readonly offset: number;
}

/** An event that was answered stored, with what was sent. */
interface Sent extends Answer {
  readonly text: string;
}

/** From a sender's bytes to a reader's: what the service, Kafka, the processor and the query API do to them is nothing. */
export const throughAllParts: StoreScenario = {
  name: 'through-all-parts',
  summary: 'random events over HTTP, single and in batches, each read from the query API as it was sent',
  processors: 1,
  eventsPerSecond: 0,
  isCountedWhole: true,
  async run(stage) {
    const { kafka, topic, postgres, folder, tell, row } = stage;
    const redis = await startRedis({ folder: join(folder, 'redis') });
    let service: ServiceProcess | undefined;
    const query = await startQuery(
      readQueryConfig({
        AUTH_MODE: 'none',
        PORT: String(await freePort()),
        POSTGRES_URL: postgres.url,
      }),
      pino({ level: 'silent' }),
    );
    const sent: Sent[] = [];
    let refused = 0;
    try {
      service = await startServiceProcess({
        brokers: kafka.brokers,
        topic,
        redisUrl: redis.url,
        logFile: join(folder, 'service.log'),
      });
      const { host, port } = service;
      await fc.assert(
        fc.asyncProperty(fc.array(anyText, { minLength: 1, maxLength: EVENTS_MAX }), async (written) => {
          // Ids of one run are unlike those of any other, and an event is never sent twice.
          const run = randomUUID();
          const texts = written.map((text, index) => text.replace('ID', () => `${run}-${index}`));
          const answers = await post(`http://${host}:${port}`, texts);
          const stored = answers.flatMap((answer, index) =>
            answer.status === 'stored' ? [{ ...answer, text: texts[index] ?? '' }] : [],
          );
          refused += answers.length - stored.length;
          for (const event of stored) {
            const { source_type, source_id } = JSON.parse(event.text) as Record<string, string>;
            const bytes = await readBack(query.address, String(source_type), String(source_id), event.id);
            assertSent(bytes, event.text);
          }
          sent.push(...stored);
        }),
        { numRuns: RUNS },
      );
    } finally {
      await service?.stop();
      await query.close();
      await redis.kill();
    }
    tell(`${sent.length} events are stored as they were sent, ${refused} were refused`);
    row('answered stored, refused', `${sent.length}, ${refused}`);
    await compareWithKafka(stage, sent);
  },
};

const largeText = `{"type":"large","source_type":"user","source_id":"ü","data":"${'ü😀\\n '.repeat(LARGE_BYTES / 9)}"}`;

const anyText = fc.oneof(
  { weight: 20, arbitrary: eventText(() => 'ID').map(({ text }) => text) },
  { weight: 1, arbitrary: fc.constant(largeText) },
);

/** One alone, and several as a batch: an array, or lines if no event has a line break. */
async function post(url: string, texts: readonly string[]): Promise<Answer[]> {
  const isSingle = texts.length === 1;
  const isLines = !isSingle && texts.every((text) => !/[\r\n]/.test(text));
  const body = isLines ? texts.join('\n') : isSingle ? texts[0] : `[${texts.join(' ,\n')}]`;
  const response = await fetch(`${url}/v1/events${isSingle ? '' : '/batch'}`, {
    method: 'POST',
    headers: { 'content-type': isLines ? 'application/x-ndjson' : 'application/json' },
    body: body ?? '',
  });
  const answer = (await response.json()) as Answer & { results?: Answer[] };
  if (isSingle) return [{ ...answer, status: response.status === 201 ? 'stored' : 'refused' }];
  assert.equal(answer.results?.length, texts.length, JSON.stringify(answer));
  return answer.results;
}

/** The bytes of an event, by the query API. One request has to do: it waits for what is not stored yet. */
async function readBack(url: string, sourceType: string, sourceId: string, id: string): Promise<Buffer> {
  const path = `/v1/sources/${sourceType}/${encodeURIComponent(sourceId)}/events/${encodeURIComponent(id)}`;
  const answer = await fetch(`${url}${path}?wait=5`);
  assert.equal(answer.status, 200, `${path}: ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

/** What the service assigns is before the sender's bytes. */
function assertSent(bytes: Buffer, text: string): void {
  const { id, time } = JSON.parse(text) as { id?: string; time?: string };
  const added = new RegExp(
    `^\\{${id === undefined ? '"id":"[0-9a-f-]{36}",' : ''}${time === undefined ? '"time":"[0-9TZ:.-]{24}",' : ''}`,
  );
  const value = bytes.toString();
  assert.match(value, added);
  assert.equal(value.replace(added, '{'), text);
  assert.ok(bytes.equals(Buffer.from(value)), 'is no UTF-8');
}

/** Each is where its answer said, and the store has the same bytes. */
async function compareWithKafka({ kafka, topic, sql, assert: count }: StoreStage, sent: readonly Sent[]) {
  const records = new Map<string, ExactRecord>();
  await readTopicExactly(kafka.brokers, topic, (record) =>
    records.set(`${record.partition}/${record.offset}`, record),
  );
  const rows = await sql<{ id: string; partition: number; offset: string; value: Buffer }>(
    'select id, partition, "offset", value from dual_stream.events',
  );
  const stored = new Map(rows.map((row) => [row.id, row]));
  const same = sent.filter(({ id, partition, offset }) => {
    const row = stored.get(id);
    const record = records.get(`${partition}/${offset}`);
    if (row === undefined || !record?.value) return false;
    return row.partition === partition && Number(row.offset) === offset && row.value.equals(record.value);
  });
  count('as Kafka has them', same.length === sent.length, `${same.length} of ${sent.length}`);
}
