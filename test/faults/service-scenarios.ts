import { setTimeout as delay } from 'node:timers/promises';
import { clockMoved } from './clock-moved.ts';
import { diskFull } from './disk-full.ts';
import { ms } from './judge.ts';
import { kafkaThrottled } from './kafka-throttled.ts';
import { leaderKill } from './leader-kill.ts';
import { mb, mean } from './phase.ts';
import { redisKill, redisReplica, redisStop } from './redis-faults.ts';
import { rollingUpdate } from './rolling-update.ts';
import type { ServiceScenario, ServiceStage } from './scenario.ts';
import { serviceKill, serviceTerm } from './service-ends.ts';
import { slowConnections } from './slow-connections.ts';
import { twoReplicas } from './two-replicas.ts';

/** Faults of the service itself and of what it depends on, as its users see them: over HTTP. */

/** Before the first fault and after the last. */
const CALM_MS = 4_000;
/** One for each source: see {@link ServiceNeeds.connections}. */
const MANY = 400;
/** P3: resident memory beyond the idle one, for each byte of the buffer, and what comes on top. */
const RESIDENT_PER_BYTE = 2;
const RESIDENT_BESIDE = 48 * 1024 * 1024;
/** What garbage collection leaves at one time and not at another. */
const SOAK_GROWTH_BYTES_MAX = 10e6;
const REFUSAL_P99_MS_MAX = 50;
/** After it without an ack Kafka counts as unavailable; and the time to notice. */
const UNAVAILABLE_MS = 15_000 + 1_500;

/** The check of P3. */
function assertResident({ service, idleBytes, bufferBytesMax, assert }: ServiceStage): void {
  const { residentBytesMax } = service.memory();
  const allowed = idleBytes + RESIDENT_PER_BYTE * bufferBytesMax + RESIDENT_BESIDE;
  assert(
    'resident memory',
    residentBytesMax <= allowed,
    `at most ${mb(residentBytesMax)}, idle ${mb(idleBytes)}, allowed ${mb(allowed)}`,
  );
}

const kafkaStopped: ServiceScenario = {
  name: 'kafka-stopped',
  summary:
    'all three brokers are stopped for a minute (--seconds): memory bounded, refusals at once, back soon',
  service: { connections: MANY, sources: MANY, areAllNotified: true },
  async run(stage) {
    const { cluster, seconds = 60, tell, healed, assert, observe } = stage;
    const lone = stage.startLoneRequests();
    await delay(CALM_MS);
    const stoppedAt = performance.now();
    await Promise.all(cluster.brokers.map((broker) => broker.kill()));
    tell('all brokers are stopped');
    await observe('without Kafka', seconds * 1_000);
    const startedAt = performance.now();
    await Promise.all(cluster.brokers.map((broker) => broker.start()));
    healed('all brokers are back');
    await delay(16_000);

    assertResident(stage);
    const refusals = lone.refusalsBetween(stoppedAt + UNAVAILABLE_MS, startedAt);
    assert(
      'refusals, p99',
      refusals.count > 0 && refusals.p99Ms <= REFUSAL_P99_MS_MAX,
      `${ms(refusals.p99Ms)}, p50 ${ms(refusals.p50Ms)} of ${refusals.count}`,
    );
  },
};

const serviceLeaderKill: ServiceScenario = {
  ...leaderKill,
  name: 'service-leader-kill',
  summary: 'as leader-kill, on the service over HTTP and with its default buffer',
  service: { connections: MANY, sources: MANY, areAllNotified: true },
};

const soak: ServiceScenario = {
  name: 'soak',
  summary: 'no fault, ten minutes (--seconds) of constant load: nothing lost, and memory does not grow',
  storedShareMin: 1,
  service: { connections: 16, areAllNotified: true },
  async run(stage) {
    const { seconds = 600, observe, assert } = stage;
    await delay(CALM_MS);
    const { residentBytes } = await observe('soak', seconds * 1_000);
    const quarters = [0, 1, 2, 3].map((quarter) => {
      const of = residentBytes.length / 4;
      return mean(residentBytes.slice(Math.floor(quarter * of), Math.floor((quarter + 1) * of)));
    });
    const grown = (quarters[3] ?? 0) - (quarters[1] ?? 0);
    assert(
      'memory grown by',
      grown <= SOAK_GROWTH_BYTES_MAX,
      `${mb(grown)}; mean of the quarters ${quarters.map((bytes) => mb(bytes)).join(', ')}`,
    );
    assertResident(stage);
  },
};

export const serviceScenarios: readonly ServiceScenario[] = [
  serviceKill,
  serviceTerm,
  redisKill,
  redisStop,
  redisReplica,
  kafkaStopped,
  kafkaThrottled,
  soak,
  serviceLeaderKill,
  slowConnections,
  rollingUpdate,
  twoReplicas,
  clockMoved,
  diskFull,
];
