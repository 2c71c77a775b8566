import { type FaultCluster, startFaultCluster } from './cluster.ts';
import { type Assertion, judge, ms, percent, printTable, whyNot } from './judge.ts';
import { Ledger, type Verdict } from './ledger.ts';
import { startLoad } from './load.ts';
import type { Mutant } from './mutants.ts';
import { acksOne } from './proxy.ts';
import { readTopic } from './reader.ts';
import type { Scenario, ServiceScenario, Stage } from './scenario.ts';
import { type StartedServices, startServices } from './service-stage.ts';
import { asSent } from './service-subject.ts';
import { BUFFER_BYTES_MAX, startSubject } from './subject.ts';

export interface RunOptions {
  readonly kills: number;
  readonly seconds: number | undefined;
  /** `undefined`, here and below: what the scenario wants, or the default. */
  readonly eventsPerSecond: number | undefined;
  readonly sources: number | undefined;
  readonly connections: number | undefined;
  /** On the service: each event on a connection of its own, where the scenario measures refusals. */
  readonly isAlone: boolean;
  readonly bufferBytesMax: number | undefined;
  readonly mutant?: Mutant;
  readonly print: (line: string) => void;
}

const TOPIC = 'events';
const PARTITIONS = 6;
const EVENTS_PER_SECOND = 2_000;
const SOURCES = 48;

/** Runs one scenario on a cluster of its own, under load, and judges it. Prints what happens, then one table. */
export async function runScenario(
  scenario: Scenario | ServiceScenario,
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
  scenario: Scenario | ServiceScenario,
  options: RunOptions,
): Promise<{ verdict: Verdict; assertions: readonly Assertion[] }> {
  const { kills, seconds, isAlone, mutant, print } = options;
  const needs = 'service' in scenario ? scenario.service : undefined;
  const eventsPerSecond = options.eventsPerSecond ?? needs?.eventsPerSecond ?? EVENTS_PER_SECOND;
  const sources = options.sources ?? needs?.sources ?? SOURCES;
  const ledger = new Ledger();
  const healedAt: { what: string; at: number }[] = [];
  const extra: Assertion[] = [];
  const startedAt = performance.now();
  const tell = (what: string) => {
    const at = ((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7);
    print(`${at} s  ${what}`);
  };

  let services: StartedServices | undefined;
  try {
    const ofSubject = { topic: TOPIC, partitions: PARTITIONS, ledger };
    if ('service' in scenario) {
      const { bufferBytesMax, connections = scenario.service.connections } = options;
      services = await startServices({
        ...ofSubject,
        scenario,
        cluster,
        bufferBytesMax,
        connections,
        isAlone,
        eventsPerSecond,
        sources,
        tell,
      });
    }
    const subject =
      services?.subject ??
      (await (mutant?.start ?? startSubject)({
        ...ofSubject,
        addresses: cluster.serviceAddresses,
        bufferBytesMax: options.bufferBytesMax ?? BUFFER_BYTES_MAX,
        wrapSend: mutant?.wrapSend,
      }));
    if (!(await cluster.untilInSync(TOPIC))) throw new Error('the new topic is not in sync');

    const load = startLoad({
      subject,
      ledger,
      eventsPerSecond: needs?.hasOwnLoad || (needs && isAlone) ? 0 : eventsPerSecond,
      sources,
      connections: options.connections ?? needs?.connections ?? 1,
      random: Math.random,
    });
    const stage: Stage = {
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
    };
    if ('service' in scenario && services) await scenario.run({ ...stage, ...services.controls });
    else if (!('service' in scenario)) await scenario.run(stage);
    services?.stopOffering();
    await load.stop();
    const partitionCount = subject.partitionCount();
    await subject.close();
    tell('the load has ended');
    const seenInside: readonly (readonly [string, string])[] = [
      ['acknowledged late', String(subject.storedLate())],
      ['failed attempts', [...subject.kafkaErrors].map(([name, n]) => `${name} ${n}`).join(', ') || 'none'],
    ];
    const subjectRows = (await services?.rows()) ?? seenInside;
    const ended = await services?.end();
    if (ended) {
      extra.push(
        { name: 'end of the service', isTrue: ended.isClean, found: ended.exits },
        { name: 'faults in its log', isTrue: ended.faults.length === 0, found: ended.faults[0] ?? 'none' },
      );
    }
    // What is not replicated cannot be read, and would count as lost.
    if (!(await cluster.untilInSync(TOPIC))) throw new Error('the replicas are not in sync at the end');
    const records = await readTopic(cluster.address, TOPIC, (record) =>
      ledger.found(services === undefined ? record : { ...record, value: asSent(record.value) }),
    );

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
        ['records in the topic', String(records)],
        ['lost, in no partition', String(verdict.absent)],
        ['answer p50, p99', `${ms(verdict.p50Ms)}, ${ms(verdict.p99Ms)}`],
        ['load late, loop delay', `${ms(load.lateMsMax())}, ${ms(load.loopDelayMsMax())}`],
        ...subjectRows,
      ],
      assertions,
    });
    return { verdict, assertions };
  } finally {
    await services?.close();
  }
}
