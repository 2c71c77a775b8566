import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool, type QueryResultRow } from 'pg';
import { describeExit } from '../../dev/child.ts';
import { temporaryFolder } from '../../dev/folders.ts';
import { startKafkaCluster } from '../../dev/local-kafka.ts';
import { startPostgres } from '../../dev/local-postgres.ts';
import { createTopic } from '../../src/kafka/kafka-topics.ts';
import { type Assertion, printTable } from '../faults/judge.ts';
import { readTopicExactly } from '../faults/reader.ts';
import { startEventLoad } from './event-load.ts';
import type { StoreMutant } from './mutants.ts';
import { type ProcessorProcess, processorProcess, SESSION_TIMEOUT_MS } from './processor-process.ts';
import type { StoreScenario, StoreStage } from './scenario.ts';
import { compare, judgeStore, none } from './store-judge.ts';
import { readRows } from './stored-rows.ts';
import { startTailReader } from './tail-reader.ts';
import { endsOf, missingDeadLetters, TOPIC, withAdmin } from './topic.ts';
import { type LostRange, TopicContents } from './topic-contents.ts';
import { POLL_MS, until } from './until.ts';

export interface RunOptions {
  /** `undefined`, here and below: what the scenario wants, or the default. */
  readonly kills: number | undefined;
  readonly seconds: number | undefined;
  readonly eventsPerSecond: number | undefined;
  readonly mutant?: StoreMutant;
  /** Where the processors' logs are kept. */
  readonly logFolder: string | undefined;
  readonly print: (line: string) => void;
}

const PARTITIONS = 6;
const EVENTS_PER_SECOND = 1_000;
const CAUGHT_UP_MS = 120_000;
const STORING_MS = 90_000;

/** Runs one scenario on a Kafka and a PostgreSQL of its own, and judges it. Prints what happens, then one table. */
export async function runScenario(
  scenario: StoreScenario,
  options: RunOptions,
): Promise<readonly Assertion[]> {
  const closing: (() => Promise<unknown>)[] = [];
  try {
    return await runOn(scenario, options, closing);
  } catch (error) {
    options.print(`${scenario.name}: ${error instanceof Error ? error.stack : error}`);
    throw error;
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

async function runOn(
  scenario: StoreScenario,
  options: RunOptions,
  closing: (() => Promise<unknown>)[],
): Promise<readonly Assertion[]> {
  const { mutant, kills, seconds, logFolder, print } = options;
  const startedAt = performance.now();
  const tell = (what: string) => {
    const at = ((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7);
    print(`${at} s  ${what}`);
  };
  const extra: Assertion[] = [];
  const rowsOfTable: (readonly [string, string])[] = [];

  const [kafka, postgres] = await Promise.all([
    startKafkaCluster({
      brokers: scenario.brokers ?? 1,
      properties: {
        'group.min.session.timeout.ms': '1000',
        // A broker that dies is given up sooner than by default.
        'broker.session.timeout.ms': '6000',
        'broker.heartbeat.interval.ms': '1000',
      },
    }),
    startPostgres(),
  ]);
  closing.push(
    () => kafka.kill(),
    () => postgres.kill(),
  );
  await withAdmin(kafka.brokers, (admin) => createTopic(admin, TOPIC, PARTITIONS));

  const folder = temporaryFolder('store-faults');
  const processors: ProcessorProcess[] = [];
  for (let replica = 1; replica <= scenario.processors; replica += 1) {
    const processor = await processorProcess({
      name: `processor ${replica}`,
      brokers: kafka.brokers,
      topic: TOPIC,
      postgresUrl: postgres.url,
      settings: { KAFKA_TOPIC_CREATE: 'true', KAFKA_SESSION_TIMEOUT_MS: String(SESSION_TIMEOUT_MS) },
      mutant: mutant?.name,
      logFile: join(folder, `processor-${replica}.log`),
    });
    processors.push(processor);
    closing.push(async () => {
      await processor.kill();
      if (logFolder !== undefined) keepLog(processor.logFile, logFolder, mutant?.name ?? scenario.name);
    });
  }
  await Promise.all(processors.map((processor) => processor.start()));

  const pool = new Pool({ connectionString: postgres.url, max: 2, connectionTimeoutMillis: 2_000 });
  pool.on('error', () => {}); // of a connection that nobody uses
  const sql = async <Row extends QueryResultRow>(text: string, values: readonly unknown[] = []) =>
    (await pool.query<Row>(text, [...values])).rows;
  const tail = startTailReader(postgres.url);
  closing.push(
    () => pool.end(),
    () => tail.stop(),
  );
  const eventsPerSecond = options.eventsPerSecond ?? scenario.eventsPerSecond ?? EVENTS_PER_SECOND;
  const load = await startEventLoad({
    brokers: kafka.brokers,
    topic: TOPIC,
    partitions: PARTITIONS,
    eventsPerSecond: scenario.eventsPerSecond === 0 ? 0 : eventsPerSecond,
    random: Math.random,
  });

  const contents = new TopicContents();
  const lost: LostRange[] = [];
  const deleted = new Set<number>();
  const replayedBehind: number[] = [];
  const positions = async () => {
    const rows = await sql<{ partition: number; next: string }>(
      'select partition, next from dual_stream.positions order by partition',
    );
    return new Map(rows.map(({ partition, next }) => [partition, Number(next)]));
  };
  const readTopic = async () => {
    await readTopicExactly(kafka.brokers, TOPIC, (record) => contents.add(record));
  };
  const stage: StoreStage = {
    kafka,
    topic: TOPIC,
    postgres,
    processors,
    load,
    tail,
    folder,
    eventsPerSecond,
    kills,
    seconds,
    random: Math.random,
    tell,
    assert: (name, isTrue, found) => extra.push({ name, isTrue, found }),
    row: (name, value) => rowsOfTable.push([name, value]),
    sql,
    positions,
    untilStoring: async (timeoutMs = STORING_MS) => {
      const before = await untilAnswered(positions);
      return until(timeoutMs, async () => {
        const now = await positions();
        return (
          now.size === PARTITIONS &&
          [...now].every(([partition, next]) => next > (before.get(partition) ?? 0))
        );
      });
    },
    untilCaughtUp: () =>
      until(CAUGHT_UP_MS, async () => {
        const [now, ends] = [await positions(), await endsOf(kafka.brokers)];
        return ends.every(({ partition, end }) => end === 0 || now.get(partition) === end);
      }),
    readTopic,
    lose: (range) => lost.push(range),
    replayed: (seqs, behind) => {
      for (const seq of seqs) deleted.add(seq);
      replayedBehind.push(behind);
    },
  };
  try {
    await scenario.run(stage);
  } finally {
    await load.stop();
  }
  tell('the load has ended');
  const caughtUpMs = await stage.untilCaughtUp();
  tell(caughtUpMs === Number.POSITIVE_INFINITY ? 'the store does not catch up' : 'the store has caught up');
  await tail.stop();

  const metrics = await Promise.all(
    processors.map((processor) => processor.metrics().catch(() => new Map())),
  );
  const exits = await Promise.all(processors.map((processor) => processor.stop()));
  await readTopic();
  const rows = await readRows(sql);
  const verdict = compare(contents, rows, tail.seen, { lost, deleted, replayedBehind });
  const counted = (sample: string) =>
    metrics.reduce((sum, samples) => sum + (samples.get(`dual_stream_processor_${sample}`) ?? 0), 0);
  const copies = counted('events_total{result="copy"}');
  const conflicts = counted('events_total{result="conflict"}');
  const faults = processors.flatMap(({ logFile }) => faultsIn(logFile));
  const warnings = processors.flatMap(({ logFile }) => warningsIn(logFile));
  const assertions: Assertion[] = [
    ...judgeStore(verdict),
    none('unreadable, no dead letter', await missingDeadLetters(kafka.brokers, contents.unreadable(lost))),
    {
      name: 'caught up',
      isTrue: caughtUpMs < CAUGHT_UP_MS,
      found: `${Math.round(caughtUpMs)} ms after the load`,
    },
    ...(scenario.isCountedWhole
      ? [
          {
            name: 'copies, conflicts counted',
            isTrue: copies >= verdict.copies && conflicts >= verdict.conflicts,
            found: `${copies} of ${verdict.copies}, ${conflicts} of ${verdict.conflicts}`,
          },
        ]
      : []),
    none('ended by themselves', processors.filter((processor) => processor.hasEndedByItself()).length),
    {
      name: 'end of the processors',
      isTrue: exits.every(({ code }) => code === 0),
      found: exits.map(describeExit).join(', '),
    },
    { name: 'faults in their logs', isTrue: faults.length === 0, found: faults[0] ?? 'none' },
    ...extra,
  ];
  printTable(print, {
    title: `${scenario.name}: ${scenario.summary}`,
    rows: [
      ['records in the topic', String(verdict.records)],
      ['events', String(verdict.events)],
      ['copies, conflicts', `${verdict.copies}, ${verdict.conflicts}`],
      ['unreadable', String(verdict.unreadable)],
      ['duration', `${((performance.now() - startedAt) / 1_000).toFixed(0)} s`],
      ['attempts that failed', String(counted('failures_total'))],
      ['warnings of Node', warnings.join(', ') || 'none'],
      ...rowsOfTable,
    ],
    assertions,
  });
  return assertions;
}

async function untilAnswered<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await ask();
    } catch {
      await delay(POLL_MS);
    }
  }
}

/** Lines that a processor writes only when it has a fault itself. Those of Node begin with a bracket. */
function faultsIn(logFile: string): string[] {
  return linesOf(logFile).filter((line) => !/^[{(]/.test(line) || line.includes('"level":60'));
}

function warningsIn(logFile: string): string[] {
  return linesOf(logFile).filter((line) => line.startsWith('(node:'));
}

function linesOf(logFile: string): string[] {
  return readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}

function keepLog(logFile: string, folder: string, name: string): void {
  mkdirSync(folder, { recursive: true });
  copyFileSync(logFile, join(folder, `${name}-${basename(logFile)}`));
}
