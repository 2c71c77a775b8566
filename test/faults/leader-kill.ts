import { setTimeout as delay } from 'node:timers/promises';
import type { Scenario } from './scenario.ts';

const PERIOD_MS = 16_000;
/** Longer than the session timeout: the others take over. */
const DOWN_LONG_MS = 8_000;
/** Shorter: it is back before the cluster has given it up. */
const DOWN_SHORT_MS = 500;

/** The leader of each partition in turn dies as if its machine had, and comes back. */
export const leaderKill: Scenario = {
  name: 'leader-kill',
  summary: 'SIGKILL of a leader every 16 s, the partitions in turn; every third one is back at once',
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  async run({ cluster, topic, kills, tell, healed }) {
    await delay(4_000);
    for (let kill = 0; kill < kills; kill += 1) {
      const startedAt = performance.now();
      const partitions = await cluster.partitions(topic);
      const { leader } = partitions[kill % partitions.length] ?? { leader: 1 };
      const broker = cluster.broker(leader);
      await broker.kill();
      tell(`${kill + 1}/${kills} killed broker ${leader}`);
      await delay(kill % 3 === 2 ? DOWN_SHORT_MS : DOWN_LONG_MS);
      await broker.start();
      healed(`broker ${leader} is back`);
      // With two replicas missing nothing could be stored, and that is another scenario.
      if (!(await cluster.untilInSync(topic))) tell('the replicas are not in sync again');
      await delay(Math.max(0, startedAt + PERIOD_MS - performance.now()));
    }
    await delay(2_000);
  },
};
