import { setTimeout as delay } from 'node:timers/promises';
import { ms } from '../faults/judge.ts';
import { median } from './processor-scenarios.ts';
import type { StoreScenario } from './scenario.ts';

const ROUNDS = 10;
const CALM_MS = 3_000;
const DOWN_SECONDS = 3;
const PAUSE_SECONDS = 5;
const BACK_MS_MAX = 5_000;

/** The store goes away in each of the ways in which it can. */
export const postgresRestart: StoreScenario = {
  name: 'postgres-restart',
  summary: 'PostgreSQL killed, stopped and paused in turn (10, --kills), and back after 3 to 5 s (--seconds)',
  processors: 2,
  async run(stage) {
    const { postgres, kills = ROUNDS, seconds, random, tell, assert, row } = stage;
    const backMs: number[] = [];
    await delay(CALM_MS);
    for (let round = 0; round < kills; round += 1) {
      await delay(random() * 1_000);
      const way = (['killed', 'stopped', 'paused'] as const)[round % 3];
      if (way === 'killed') await postgres.kill();
      else if (way === 'stopped') await postgres.stop();
      else postgres.pause();
      tell(`${round + 1}/${kills} ${way} PostgreSQL`);
      await delay((seconds ?? (way === 'paused' ? PAUSE_SECONDS : DOWN_SECONDS)) * 1_000);
      if (way === 'paused') postgres.resume();
      else await postgres.start();
      backMs.push(await stage.untilStoring());
      tell(`it is back, and all partitions are stored after ${ms(backMs.at(-1) ?? 0)}`);
      await delay(CALM_MS / 2);
    }
    row('goes on after, median', ms(median(backMs)));
    const longestMs = Math.max(...backMs);
    assert('goes on after, longest', longestMs <= BACK_MS_MAX, ms(longestMs));
  },
};
