import { parseArgs } from 'node:util';
import { type Coverage, simulate } from './simulation.ts';

/**
 * `npm run test:simulation -- --seeds 20000 [--from 1]`, or `--seed 42` to replay one with its whole error.
 * Prints which transitions, faults and error rows were covered.
 */

const FAILURES_SHOWN = 10;
const PROGRESS_MS = 10_000;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const coverage: Coverage = new Map();
let failed = 0;
let toldAt = performance.now();

for (let seed = from; seed < from + count; seed += 1) {
  try {
    await simulate(seed, coverage);
  } catch (error) {
    failed += 1;
    const text = values.seed === undefined ? String(error).split('\n')[0] : (error as Error).stack;
    if (failed <= FAILURES_SHOWN) process.stdout.write(`seed ${seed}: ${text}\n`);
  }
  if (performance.now() - toldAt > PROGRESS_MS) {
    toldAt = performance.now();
    process.stdout.write(`${seed - from + 1} of ${count} seeds\n`);
  }
}

for (const [name, times] of [...coverage].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  process.stdout.write(`${String(times).padStart(10)}  ${name}\n`);
}
process.stdout.write(`${count - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
