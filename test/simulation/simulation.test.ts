import { describe, it } from 'node:test';
import { simulate } from './simulation.ts';

/** A taste of `npm run test:simulation`, which runs 20,000 seeds. */
const SEEDS = 500;

describe('simulation of the lanes against a Kafka that misbehaves', () => {
  it(`P1 to P7 hold in seeds 1 to ${SEEDS}`, async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      await simulate(seed, new Map()).catch((error: unknown) => {
        throw new Error(`seed ${seed} (npm run test:simulation -- --seed ${seed})`, { cause: error });
      });
    }
  });
});
