import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { partitionStates } from '../faults/cluster.ts';
import { ms } from '../faults/judge.ts';
import type { StoreScenario } from './scenario.ts';
import { endsOf, withAdmin } from './topic.ts';
import { until } from './until.ts';

const CALM_MS = 3_000;
const RAISED_PARTITIONS = 12;
/** The age that its metadata may have, and then some for the group to give them out. */
const RAISED_MS_MAX = 45_000;
/** The session of a broker, that of a group that has to find its coordinator, and the time in which all join again. */
const WITHOUT_BROKER_SECONDS = 45;
const IN_SYNC_MS = 60_000;
/** In which the topic grows while nobody stores anything. */
const ABSENT_SECONDS = 4;

export const partitionsRaised: StoreScenario = {
  name: 'partitions-raised',
  summary: 'the topic grows from 6 to 12 partitions under load',
  processors: 2,
  isCountedWhole: true,
  async run({ kafka, topic, load, tell, assert, positions }) {
    await delay(CALM_MS);
    await withAdmin(kafka.brokers, (admin) =>
      admin.createPartitions({ topicPartitions: [{ topic, count: RAISED_PARTITIONS }] }),
    );
    load.spread(RAISED_PARTITIONS);
    tell(`${RAISED_PARTITIONS} partitions`);
    const tookMs = await until(2 * RAISED_MS_MAX, async () => {
      const now = await positions();
      return now.size === RAISED_PARTITIONS && [...now.values()].every((next) => next > 0);
    });
    tell(`all of them are stored after ${ms(tookMs)}`);
    assert('new partitions stored after', tookMs <= RAISED_MS_MAX, ms(tookMs));
    await delay(CALM_MS);
  },
};

export const brokersKilled: StoreScenario = {
  name: 'brokers-killed',
  summary:
    'SIGKILL of each of three brokers in turn (3, --kills), back when all is stored without it, in 45 s (--seconds)',
  brokers: 3,
  processors: 2,
  isCountedWhole: true,
  async run(stage) {
    const { kafka, topic, kills = 3, seconds = WITHOUT_BROKER_SECONDS, tell, assert, row } = stage;
    await delay(CALM_MS);
    const withoutMs: number[] = [];
    const afterwardsMs: number[] = [];
    for (let kill = 0; kill < kills; kill += 1) {
      const broker = kafka.nodes[kill % kafka.nodes.length];
      if (broker === undefined) throw new Error('no broker');
      await broker.kill();
      tell(`${kill + 1}/${kills} killed broker ${broker.nodeId}`);
      withoutMs.push(await stage.untilStoring(seconds * 1_000));
      tell(`all partitions are stored without it after ${ms(withoutMs.at(-1) ?? 0)}`);
      await broker.start();
      tell(`broker ${broker.nodeId} is back`);
      const inSyncMs = await until(IN_SYNC_MS, async () => {
        const states = await partitionStates(kafka.brokers, topic);
        return states.every(({ inSync, replicas }) => inSync.length === replicas.length);
      });
      if (!Number.isFinite(inSyncMs)) tell('the replicas are not in sync again');
      afterwardsMs.push(await stage.untilStoring());
      await delay(CALM_MS);
    }
    row('stored again with it after', afterwardsMs.map(ms).join(', '));
    assert('stored without the broker', withoutMs.every(Number.isFinite), withoutMs.map(ms).join(', '));
  },
};

export const logTruncated: StoreScenario = {
  name: 'log-truncated',
  summary: 'Kafka removes records while no processor runs, before they were stored (--seconds)',
  processors: 1,
  async run(stage) {
    const { kafka, topic, processors, seconds = ABSENT_SECONDS, tell, assert } = stage;
    const [processor] = processors;
    if (processor === undefined) throw new Error('no processor');
    await delay(CALM_MS);
    await processor.stop();
    const stored = await stage.positions();
    await delay(seconds * 1_000);
    const ranges = (await endsOf(kafka.brokers)).map(({ partition, end }) => {
      const from = stored.get(partition) ?? 0;
      return { partition, from, to: Math.floor((from + end) / 2) };
    });
    await stage.readTopic();
    await withAdmin(kafka.brokers, async (admin) => {
      // kafkajs does not look for the leaders of a topic that it has not heard of.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({
        topic,
        partitions: ranges.map(({ partition, to }) => ({ partition, offset: String(to) })),
      });
    });
    for (const range of ranges) stage.lose(range);
    const count = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
    tell(`${count} records are removed that were not stored`);
    await processor.start();
    tell(`it goes on after ${ms(await stage.untilStoring())}`);
    await delay(CALM_MS);

    const counted = (await processor.metrics()).get('dual_stream_processor_lost_records_total');
    assert('lost records counted', counted === count, `${counted} of ${count}`);
    const lines = readFileSync(processor.logFile, 'utf8').split('\n');
    const errors = lines.filter(
      (line) => line.includes('"level":50') && line.includes('removed records before they were stored'),
    );
    assert('errors in the log', errors.length === ranges.length, `${errors.length} of ${ranges.length}`);
  },
};
