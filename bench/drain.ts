import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import kafkajs from 'kafkajs';
import { pino } from 'pino';
import { type Child, startChild } from '../dev/child.ts';
import { freePort } from '../dev/free-port.ts';
import { startKafka } from '../dev/local-kafka.ts';
import { startPostgres } from '../dev/local-postgres.ts';
import { cpuSecondsOf, memoryOf } from '../dev/process-counters.ts';
import { secondsSince } from '../dev/progress.ts';
import { StartError } from '../dev/start-error.ts';
import { openStore, type Store } from '../src/store/postgres.ts';

/**
 * `npm run bench:drain`: how fast the event processor puts a topic that is full into an empty store, with nothing else
 * going on. PostgreSQL is as durable as it is by default.
 */

const TOPIC = 'events';
const PARTITIONS = 6;
const SOURCES = 1_000;
const SENT_AT_ONCE = 2_400;
const POLL_MS = 250;
/** Since its last event was stored. */
const STALLED_MS = 60_000;
const CLONE_FOLDER = join(import.meta.dirname, '..');

const startedAt = performance.now();
const { events: given } = parseArgs({
  options: { events: { type: 'string', default: '1000000' } },
}).values;
const total = Number(given);
if (!Number.isInteger(total) || total < 1) throw new StartError('--events takes a number above 0');

const [kafka, postgres] = await Promise.all([
  startKafka({ progress: say, jvmFlags: ['-Xmx512m'] }),
  startPostgres({ progress: say }),
]);
const store = openStore({
  url: postgres.url,
  tls: undefined,
  applicationName: 'bench',
  connectionsMax: 1,
  statementTimeoutMs: 60_000,
  log: pino({ level: 'silent' }),
});
let processor: Child | undefined;
try {
  await fillTopic();
  say(`the topic holds ${total} events; starting the processor`);
  processor = startChild({
    command: process.execPath,
    args: ['--disable-warning=TimeoutNegativeWarning', join('src', 'processor', 'server.ts')],
    cwd: CLONE_FOLDER,
    env: {
      ...process.env,
      KAFKA_BROKERS: kafka.brokers,
      KAFKA_TOPIC: TOPIC,
      POSTGRES_URL: postgres.url,
      MANAGEMENT_PORT: String(await freePort()),
      LOG_LEVEL: 'warn',
    },
    output: { logFile: join(kafka.folder, 'processor.log') },
  });
  await drain(processor);
} finally {
  await processor?.kill();
  await store.close();
  await Promise.all([kafka.kill(), postgres.kill()]);
}

async function drain({ pid }: Child): Promise<void> {
  let stored = 0;
  let firstAt: number | undefined;
  let changedAt = performance.now();
  let cpuAtFirst = 0;
  let storedAtFirst = 0;
  while (stored < total) {
    await delay(POLL_MS);
    const now = await positionsSum(store);
    if (now > stored) changedAt = performance.now();
    if (now > 0 && firstAt === undefined) {
      firstAt = changedAt;
      cpuAtFirst = cpuSecondsOf(pid);
      storedAtFirst = now;
    }
    if (Math.floor(now / 100_000) > Math.floor(stored / 100_000)) say(`${now} stored`);
    stored = now;
    if (performance.now() - changedAt > STALLED_MS) throw new StartError(`it stands still at ${stored}`);
  }
  const seconds = (changedAt - (firstAt ?? 0)) / 1_000;
  const cpuSeconds = cpuSecondsOf(pid) - cpuAtFirst;
  const counted = stored - storedAtFirst;
  const [rows] = await store.query<{ rows: number; identities: number }>(
    'select count(*)::integer as rows, count(distinct (source_type, source_id, id))::integer as identities from dual_stream.events',
  );
  if (rows?.rows !== total || rows.identities !== total)
    throw new StartError(`the store holds ${rows?.rows} rows of ${rows?.identities} events, not ${total}`);
  process.stdout.write(
    [
      `events                    ${total}, each stored once`,
      `events per second         ${Math.round(counted / seconds)}`,
      `CPU of the processor      ${((cpuSeconds / counted) * 1e6).toFixed(1)} us per event, ${(cpuSeconds / seconds).toFixed(2)} of a core`,
      `memory of the processor   ${Math.round(memoryOf(pid).residentBytesMax / 1e6)} MB at most`,
      '',
    ].join('\n'),
  );
}

/** How many records are stored: no position begins above 0 here. */
async function positionsSum({ query }: Store): Promise<number> {
  try {
    const [row] = await query<{ sum: number }>(
      'select coalesce(sum(next), 0)::integer as sum from dual_stream.positions',
    );
    return row?.sum ?? 0;
  } catch {
    return 0; // the tables are not there yet
  }
}

async function fillTopic(): Promise<void> {
  const client = new kafkajs.Kafka({
    brokers: kafka.brokers.split(','),
    logLevel: kafkajs.logLevel.NOTHING,
  });
  const admin = client.admin();
  await admin.connect();
  await admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic: TOPIC, numPartitions: PARTITIONS }],
  });
  await admin.disconnect();
  const producer = client.producer({
    createPartitioner:
      () =>
      ({ message }) =>
        message.partition ?? 0,
  });
  await producer.connect();
  for (let sent = 0; sent < total; sent += SENT_AT_ONCE) {
    const count = Math.min(SENT_AT_ONCE, total - sent);
    const messages = Array.from({ length: count }, (_, index) => messageAt(sent + index));
    await producer.send({ topic: TOPIC, messages });
  }
  await producer.disconnect();
}

/** An event of about 300 bytes, as those of the other benchmarks. */
function messageAt(index: number) {
  const source = index % SOURCES;
  const id = `0198f3a2-6c1e-7b52-9d0e-${index.toString(16).padStart(12, '0')}`;
  const data = { repo: 'octocat/hello-world', index, text: 'x'.repeat(110) };
  return {
    partition: source % PARTITIONS,
    key: `source-${source}`,
    value: JSON.stringify({
      id,
      type: 'repo.starred',
      source_type: 'user',
      source_id: `source-${source}`,
      time: '2026-11-23T12:00:00.000Z',
      data,
    }),
  };
}

function say(what: string): void {
  process.stderr.write(`bench: ${String(secondsSince(startedAt)).padStart(4)} s  ${what}\n`);
}
