import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { startChild } from '../../dev/child.ts';
import type { FaultCluster } from './cluster.ts';
import { javaCommand } from './java.ts';
import { ANSWER_MS_MAX, ms } from './judge.ts';
import type { ServiceScenario } from './scenario.ts';

const WARM_MS = 5_000;
/** Kafka measures over eleven seconds, and lets through until then what was not used before. */
const QUOTA_WINDOW_MS = 12_000;
const ALLOWED_PER_SECOND = 2_000;
const GOODPUT_SHARE_MIN = 0.9;
const REFUSAL_P99_MS_MAX = 50;
/** The default of KAFKA_CLIENT_ID. */
const CLIENT_ID = 'dual-stream';
const CONNECTIONS = 800;

/**
 * Kafka lets a fifth of what is offered through: the rest is refused at once, and what Kafka allows is used. The quota
 * counts bytes, on each broker; how many events these are is measured by the size of the topic's files.
 */
export const kafkaThrottled: ServiceScenario = {
  name: 'kafka-throttled',
  summary:
    'Kafka lets 2,000 events a second through for 30 s (--seconds), five times as many are offered (--rate)',
  service: {
    connections: CONNECTIONS,
    sources: CONNECTIONS,
    eventsPerSecond: 10_000,
    // In a pipeline an answer waits for those before it, each with its own deadline, and requests lie unread in the
    // socket: the service is held to its promise by those that wait for no other.
    answerMsMax: 45_000,
  },
  async run(stage) {
    const { cluster, topic, service, ledger, seconds = 30, eventsPerSecond, tell, assert, observe } = stage;
    const bytesInTopic = () => topicBytes(cluster, topic);
    const lone = stage.startLoneRequests();
    const calm = { bytes: bytesInTopic(), cpu: service.cpuSeconds(), at: performance.now() };
    await delay(WARM_MS);
    const calmUntil = performance.now();
    const before = ledger.outcomesBetween(calm.at, calmUntil);
    const cores = (service.cpuSeconds() - calm.cpu) / ((calmUntil - calm.at) / 1_000);
    const offeredPerSecond = Object.values(before).reduce((sum, count) => sum + count, 0) / (WARM_MS / 1_000);
    tell(
      `before: ${offeredPerSecond.toFixed(0)} of ${eventsPerSecond} a second offered, ${before.stored} stored, ${before.not_stored} refused, the service used ${cores.toFixed(2)} cores`,
    );
    const bytesPerEvent = (bytesInTopic() - calm.bytes) / before.stored;
    const quota = Math.round((ALLOWED_PER_SECOND * bytesPerEvent) / cluster.brokers.length);
    await setQuota(cluster.address, String(quota));
    tell(`each broker takes ${quota} bytes a second; an event has ${bytesPerEvent.toFixed(1)}`);

    await delay(QUOTA_WINDOW_MS);
    const bytesFrom = bytesInTopic();
    const answeredFrom = performance.now();
    const phase = await observe('throttled', seconds * 1_000);
    const tookSeconds = (performance.now() - answeredFrom) / 1_000;
    const bytesPerSecond = (bytesInTopic() - bytesFrom) / tookSeconds;
    const stored = ledger.storedAnsweredBetween(answeredFrom, performance.now());
    const allowed = (quota * cluster.brokers.length) / ((bytesPerSecond * tookSeconds) / stored);
    await setQuota(cluster.address, 'none');
    tell('no quota any more');

    const goodput = stored / tookSeconds;
    assert(
      'goodput',
      goodput >= GOODPUT_SHARE_MIN * allowed,
      `${goodput.toFixed(0)} events/s, ${((100 * goodput) / allowed).toFixed(1)} % of the ${allowed.toFixed(0)} allowed, of ${(phase.offered / seconds).toFixed(0)} offered`,
    );
    const refusals = lone.refusalsBetween(phase.from, phase.until);
    assert(
      'refusals, p99',
      refusals.count > 0 && refusals.p99Ms <= REFUSAL_P99_MS_MAX,
      `${ms(refusals.p99Ms)}, p50 ${ms(refusals.p50Ms)} of ${refusals.count}`,
    );
    await delay(WARM_MS);
    const longestMs = lone.longestAnswerMs();
    assert('longest lone answer', longestMs <= ANSWER_MS_MAX, ms(longestMs));
  },
};

/** Size of the topic's record batches on one broker, which has a copy of each. */
function topicBytes({ nodes }: FaultCluster, topic: string): number {
  const [node] = nodes;
  if (node === undefined) throw new Error('there is no broker');
  const data = join(dirname(node.logFile), 'data');
  const folders = readdirSync(data).filter((name) => new RegExp(`^${topic}-\\d+$`).test(name));
  const files = folders.flatMap((folder) =>
    readdirSync(join(data, folder))
      .filter((name) => name.endsWith('.log'))
      .map((name) => join(data, folder, name)),
  );
  return files.reduce((sum, file) => sum + statSync(file).size, 0);
}

async function setQuota(brokers: string, bytesPerSecond: string): Promise<void> {
  const command = await javaCommand('QuotaSetter.java', [brokers, CLIENT_ID, bytesPerSecond]);
  const child = startChild({ ...command, output: 'pipe' });
  child.stdout?.resume();
  const complaints = child.stderr ? text(child.stderr) : undefined;
  const { code } = await child.exit;
  if (code !== 0) throw new Error(`the quota could not be set: ${(await complaints)?.slice(0, 2_000)}`);
}
