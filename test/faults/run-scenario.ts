import { type FaultCluster, startFaultCluster } from './cluster.ts';
import { Ledger, type Verdict } from './ledger.ts';
import { startLoad } from './load.ts';
import type { Mutant } from './mutants.ts';
import { acksOne } from './proxy.ts';
import { readTopic } from './reader.ts';
import type { Scenario } from './scenario.ts';
import { startSubject } from './subject.ts';

export interface RunOptions {
  readonly kills: number;
  readonly seconds: number | undefined;
  readonly eventsPerSecond: number;
  readonly sources: number;
  readonly bufferBytesMax: number;
  readonly mutant?: Mutant;
  readonly print: (line: string) => void;
}

export interface Assertion {
  readonly name: string;
  readonly isTrue: boolean;
  /** What was found, for the table. */
  readonly found: string;
}

const TOPIC = 'events';
const PARTITIONS = 6;
const ANSWER_MS_MAX = 15_500;
const BACK_MS_MAX = 10_000;

/** Runs one scenario on a cluster of its own, under load, and judges it. Prints what happens, then one table. */
export async function runScenario(
  scenario: Scenario,
  options: RunOptions,
): Promise<{ verdict: Verdict; assertions: readonly Assertion[] }> {
  const { mutant, print } = options;
  const cluster = await startFaultCluster({
    ...scenario.cluster,
    ...(mutant?.isAcksOne ? { isProxied: true, alter: acksOne } : {}),
  });
  try {
    return await runOn(cluster, scenario, options);
  } catch (error) {
    print(`${scenario.name}: ${error instanceof Error ? error.stack : error}`);
    throw error;
  } finally {
    await cluster.stop();
  }
}

async function runOn(
  cluster: FaultCluster,
  scenario: Scenario,
  { kills, seconds, eventsPerSecond, sources, bufferBytesMax, mutant, print }: RunOptions,
): Promise<{ verdict: Verdict; assertions: readonly Assertion[] }> {
  const ledger = new Ledger();
  const healedAt: { what: string; at: number }[] = [];
  const extra: Assertion[] = [];
  const ofSubject = {
    addresses: cluster.serviceAddresses,
    topic: TOPIC,
    partitions: PARTITIONS,
    ledger,
    bufferBytesMax,
  };
  const subject = await (mutant?.start?.(ofSubject) ??
    startSubject({ ...ofSubject, wrapSend: mutant?.wrapSend }));
  if (!(await cluster.untilInSync(TOPIC))) throw new Error('the new topic is not in sync');

  const startedAt = performance.now();
  const tell = (what: string) => {
    const at = ((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7);
    print(`${at} s  ${what}`);
  };
  const load = startLoad({ subject, ledger, eventsPerSecond, sources, random: Math.random });
  await scenario.run({
    cluster,
    topic: TOPIC,
    ledger,
    subject,
    kills,
    seconds,
    random: Math.random,
    tell,
    healed: (what) => {
      healedAt.push({ what, at: performance.now() });
      tell(what);
    },
    assert: (name, isTrue, found) => extra.push({ name, isTrue, found }),
  });
  await load.stop();
  const partitionCount = subject.partitionCount();
  await subject.close();
  tell('the load has ended');
  // What is not replicated cannot be read, and would count as lost.
  if (!(await cluster.untilInSync(TOPIC))) throw new Error('the replicas are not in sync at the end');
  const records = await readTopic(cluster.address, TOPIC, (record) => ledger.found(record));

  const verdict = ledger.verdict();
  const backMs = Math.max(0, ...healedAt.map(({ at }) => ledger.storedAgainMs(at, partitionCount)));
  const assertions = [...judge(verdict, scenario, backMs), ...extra];
  printTable(print, {
    title: `${scenario.name}: ${scenario.summary}`,
    rows: [
      ['offered', String(verdict.offered)],
      ['stored', `${verdict.stored} (${percent(verdict.stored / verdict.offered)})`],
      ['not stored', String(verdict.notStored)],
      ['unknown', String(verdict.unknown)],
      ['why not stored or unknown', whyNot(ledger, startedAt)],
      ['acknowledged late', String(subject.storedLate())],
      ['records in the topic', String(records)],
      ['lost, in no partition', String(verdict.absent)],
      ['answer p50, p99', `${ms(verdict.p50Ms)}, ${ms(verdict.p99Ms)}`],
      ['load late, loop delay', `${ms(load.lateMsMax())}, ${ms(load.loopDelayMsMax())}`],
      ['failed attempts', [...subject.kafkaErrors].map(([name, n]) => `${name} ${n}`).join(', ') || 'none'],
    ],
    assertions,
  });
  return { verdict, assertions };
}

function judge(verdict: Verdict, scenario: Scenario, backMs: number): Assertion[] {
  const { storedShareMin, duplicatesShareMax } = scenario;
  const storedShare = verdict.stored / verdict.offered;
  const duplicatesShare = verdict.duplicates / verdict.offered;
  return [
    none('lost', verdict.lost),
    none('phantom', verdict.phantom),
    none('order breaks', verdict.orderBreaks),
    none('corrupt', verdict.corrupt),
    none('unanswered', verdict.unanswered),
    none('unexplained duplicates', verdict.unexplainedDuplicates),
    none('written after the deadline', verdict.writtenLate),
    none('notified wrongly', verdict.notifiedWrongly),
    ...(duplicatesShareMax === undefined
      ? []
      : [
          {
            name: 'duplicates',
            isTrue: duplicatesShare <= duplicatesShareMax,
            found: `${verdict.duplicates} (${percent(duplicatesShare)})`,
          },
        ]),
    ...(storedShareMin === undefined
      ? []
      : [{ name: 'stored share', isTrue: storedShare >= storedShareMin, found: percent(storedShare) }]),
    {
      name: 'longest answer',
      isTrue: verdict.longestAnswerMs <= ANSWER_MS_MAX,
      found: ms(verdict.longestAnswerMs),
    },
    { name: 'back', isTrue: backMs <= BACK_MS_MAX, found: ms(backMs) },
  ];
}

function none(name: string, found: number): Assertion {
  return { name, isTrue: found === 0, found: String(found) };
}

function printTable(
  print: (line: string) => void,
  table: {
    readonly title: string;
    readonly rows: readonly (readonly [string, string])[];
    readonly assertions: readonly Assertion[];
  },
): void {
  print('');
  print(table.title);
  for (const [name, value] of table.rows) print(`        ${name.padEnd(28)} ${value}`);
  for (const { name, isTrue, found } of table.assertions) {
    print(`  ${isTrue ? 'ok   ' : 'FAIL '} ${name.padEnd(28)} ${found}`);
  }
  print('');
}

/** Each reason with its count, and when it was answered first and last. */
function whyNot({ reasons }: Ledger, startedAt: number): string {
  const at = (time: number) => `${((time - startedAt) / 1_000).toFixed(1)} s`;
  const told = [...reasons].map(
    ([code, { count, firstAt, lastAt }]) => `${code} ${count} (${at(firstAt)} to ${at(lastAt)})`,
  );
  return told.join(', ') || 'none';
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

function ms(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : 'never';
}
