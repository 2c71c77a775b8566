import { setTimeout as delay } from 'node:timers/promises';
import { describeExit } from '../../dev/child.ts';
import { ms } from '../faults/judge.ts';
import { SESSION_TIMEOUT_MS } from './processor-process.ts';
import type { StoreScenario, StoreStage } from './scenario.ts';

const CALM_MS = 3_000;
/** A session, and the time in which all that are left join again, three times as long; then some. */
const STANDSTILL_MS_MAX = 4 * SESSION_TIMEOUT_MS + 8_000;
const DOWN_MS_MAX = 1_000;
const RUN_MS_MAX = 2_500;

const ROLLING_ROUNDS = 10;
/** SHUTDOWN_TIMEOUT_MS, as it is by default. */
const STOP_MS_MAX = 20_000;

/** Long enough to be in the middle of something that gets no answer. */
const HANGING_MS = 1_500;

/** What PostgreSQL lets a session hold its locks for that does nothing, and until it notices. */
const LOCK_MS_MAX = 11_000;
/** Longer than that, and than the session in the group. */
const PAUSE_MS = 14_000;
const PAUSED_KILLS = 3;
const PAUSE_TRIES_MAX = 300;

export const processorKill: StoreScenario = {
  name: 'processor-kill',
  summary: 'SIGKILL of one of two processors in turn, at random moments; started again at once (50, --kills)',
  processors: 2,
  run: killInTurn,
};

export const loneProcessorKill: StoreScenario = {
  name: 'lone-processor-kill',
  summary: 'the same with one processor alone (50, --kills)',
  processors: 1,
  run: killInTurn,
};

async function killInTurn(stage: StoreStage): Promise<void> {
  const { processors, tail, kills = 50, random, tell, assert, row } = stage;
  await delay(CALM_MS);
  const killedAt: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const processor = processors[kill % processors.length];
    if (processor === undefined) throw new Error('no processor');
    await delay(random() * RUN_MS_MAX);
    killedAt.push(performance.now());
    await processor.kill();
    tell(`${kill + 1}/${kills} killed ${processor.name}`);
    await delay(random() * DOWN_MS_MAX);
    processor.launch();
    // Each third one is followed by the next, whatever the group is at.
    if (kill % 3 !== 2) await stage.untilStoring();
  }
  const lastMs = await stage.untilStoring();
  tell(`all partitions are stored again after ${ms(lastMs)}`);
  await Promise.all(processors.map((processor) => processor.start()));
  await delay(CALM_MS);

  const standstillsMs = killedAt.map((at, index) =>
    tail.longestGapMs(at, killedAt[index + 1] ?? performance.now()),
  );
  const longestMs = Math.max(...standstillsMs);
  row('standstill median, longest', `${ms(median(standstillsMs))}, ${ms(longestMs)}`);
  assert('longest standstill', longestMs <= STANDSTILL_MS_MAX, ms(longestMs));
}

export const rolling: StoreScenario = {
  name: 'rolling',
  summary: 'SIGTERM to one of two processors in turn, and started again when it has ended (10, --kills)',
  processors: 2,
  async run({ processors, tail, kills = ROLLING_ROUNDS, tell, assert, row }) {
    await delay(CALM_MS);
    const from = performance.now();
    const exits: string[] = [];
    const tookMs: number[] = [];
    for (let round = 0; round < kills; round += 1) {
      const processor = processors[round % processors.length];
      if (processor === undefined) throw new Error('no processor');
      const stoppedAt = performance.now();
      exits.push(describeExit(await processor.stop()));
      tookMs.push(performance.now() - stoppedAt);
      tell(
        `${round + 1}/${kills} stopped ${processor.name}: ${exits.at(-1)} after ${ms(tookMs.at(-1) ?? 0)}`,
      );
      await processor.start();
      await delay(CALM_MS / 2);
    }
    await delay(CALM_MS);
    const longestMs = Math.max(...tookMs);
    const standstillMs = tail.longestGapMs(from, performance.now());
    row('time to end median', ms(median(tookMs)));
    row('longest standstill', ms(standstillMs));
    assert('longest time to end', longestMs < STOP_MS_MAX, ms(longestMs));
    assert(
      'exit codes',
      exits.every((exit) => exit === 'exit code 0'),
      exits.join(', '),
    );
  },
};

export const termWithout: StoreScenario = {
  name: 'term-without',
  summary: 'SIGTERM to a processor while PostgreSQL or Kafka is stopped or says nothing: it ends in its time',
  processors: 1,
  async run(stage) {
    const { processors, postgres, kafka, tell, assert } = stage;
    const [processor] = processors;
    if (processor === undefined) throw new Error('no processor');
    const ways: readonly (readonly [string, () => unknown, () => unknown])[] = [
      ['PostgreSQL paused', () => postgres.pause(), () => postgres.resume()],
      ['PostgreSQL killed', () => postgres.kill(), () => postgres.start()],
      ['Kafka paused', () => kafka.pause(), () => kafka.resume()],
    ];
    for (const [what, fault, heal] of ways) {
      await delay(CALM_MS);
      await fault();
      await delay(HANGING_MS);
      const stoppedAt = performance.now();
      const exit = describeExit(await processor.stop());
      const tookMs = performance.now() - stoppedAt;
      tell(`${what}: ${exit} after ${ms(tookMs)}`);
      assert(what, exit !== 'SIGKILL' && tookMs < STOP_MS_MAX + HANGING_MS, `${exit} after ${ms(tookMs)}`);
      await heal();
      await processor.start();
      await stage.untilStoring();
    }
  },
};

export const processorPaused: StoreScenario = {
  name: 'processor-paused',
  summary:
    'SIGSTOP of one of two processors in the middle of a transaction, until others have its partitions, then SIGCONT (3, --kills)',
  processors: 2,
  isCountedWhole: true,
  async run(stage) {
    const { processors, tail, kills = PAUSED_KILLS, random, tell, assert, row } = stage;
    await delay(CALM_MS);
    const locksMs: number[] = [];
    const standstillsMs: number[] = [];
    for (let round = 0; round < kills; round += 1) {
      const processor = processors[round % processors.length];
      if (processor === undefined) throw new Error('no processor');
      const pausedAt = performance.now();
      let tries = 0;
      let isInside = false;
      while (!isInside && tries < PAUSE_TRIES_MAX) {
        tries += 1;
        processor.child.pause();
        await delay(150);
        // The others' transactions are short, so that this one is the paused one's.
        isInside = (await idleInTransactionMs(stage)) >= 100;
        if (!isInside) {
          processor.child.resume();
          await delay(50 + random() * 100);
        }
      }
      tell(`paused ${processor.name}${isInside ? ' in a transaction' : ''}, at the ${tries}. try`);
      const resumeAt = performance.now() + PAUSE_MS;
      let longestMs = 0;
      while (performance.now() < resumeAt) {
        longestMs = Math.max(longestMs, await idleInTransactionMs(stage));
        await delay(100);
      }
      locksMs.push(longestMs);
      processor.child.resume();
      tell(`${processor.name} goes on; its transaction stood for ${ms(longestMs)}`);
      const tookMs = await stage.untilStoring();
      tell(`all partitions are stored after ${ms(tookMs)}`);
      standstillsMs.push(tail.longestGapMs(pausedAt, performance.now()));
      await delay(CALM_MS);
    }
    row('longest standstill', ms(Math.max(...standstillsMs)));
    assert(
      'paused in a transaction',
      locksMs.every((lockMs) => lockMs > SESSION_TIMEOUT_MS),
      locksMs.map(ms).join(', '),
    );
    assert(
      'no lock for longer',
      locksMs.every((lockMs) => lockMs <= LOCK_MS_MAX),
      ms(Math.max(...locksMs)),
    );
  },
};

/** For how long the processor's session that does nothing in a transaction has done nothing, at most. */
async function idleInTransactionMs({ sql }: StoreStage): Promise<number> {
  const [row] = await sql<{ ms: number | null }>(
    `select (extract(epoch from max(now() - state_change)) * 1000)::float8 as ms from pg_stat_activity
      where application_name = 'dual-stream-processor' and state like 'idle in transaction%'`,
  );
  return row?.ms ?? 0;
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
