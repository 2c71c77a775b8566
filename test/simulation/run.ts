import { parseArgs } from 'node:util';
import { produceErrorCodes } from '../../src/ingest/produce-errors.ts';
import { type Coverage, simulate } from './simulation.ts';

/**
 * `npm run test:simulation -- --seeds 20000 [--from 1]`, or `--seed 42` to replay one with its whole error.
 * Prints which transitions, faults and error rows were covered.
 */

const FAILURES_SHOWN = 10;
const PROGRESS_MS = 10_000;
/** From so many seeds on, whatever is expected has to have happened. */
const SEEDS_COVERING = 2_000;
const EXPECTED = new Set([
  ...produceErrorCodes.map((code) => `row ${code}`),
  'accept → not_stored kafka-unavailable',
  'accept → not_stored buffer-full',
  'accept → not_stored shutting-down',
  'pending → not_stored kafka-unavailable',
  'in flight → not_stored kafka-unavailable',
  'in flight → refused event-too-large',
  'in flight → retried',
  'in flight → stored',
  'in flight → unknown outcome-unknown',
  'ambiguous or refused → stored',
  'settled stored_late',
]);

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
const uncovered = count < SEEDS_COVERING ? [] : [...EXPECTED].filter((name) => !coverage.has(name));
if (uncovered.length > 0) process.stdout.write(`not covered: ${uncovered.join(', ')}\n`);
process.stdout.write(`${count - failed} passed, ${failed} failed\n`);
process.exitCode = failed + uncovered.length === 0 ? 0 : 1;
