import { parseArgs } from 'node:util';
import { mutants, type StoreMutant } from './mutants.ts';
import { type RunOptions, runScenario } from './run-scenario.ts';
import { scenarios } from './scenarios.ts';

/**
 * `node test/store-faults/run.ts --scenario processor-kill --kills 50`: faults between a real Kafka and a real
 * PostgreSQL under load, the store held against what the topic holds. `--scenario a,b` runs several, `all` every one,
 * `--list` names them. `--mutant last-copy` (or `all`) runs a processor with a known fault, which passes when it is
 * caught. `--logs FOLDER` keeps the processors' logs.
 */

/** A fault that needs a race to show gets another chance to show it. */
const MUTANT_RUNS_MAX = 3;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: 'processor-kill' },
    mutant: { type: 'string' },
    kills: { type: 'string' },
    seconds: { type: 'string' },
    rate: { type: 'string' },
    logs: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

const print = (line: string) => void process.stdout.write(`${line}\n`);

if (values.list) {
  for (const { name, summary } of scenarios) print(`${name.padEnd(22)} ${summary}`);
  for (const { name, summary } of mutants) print(`--mutant ${name.padEnd(22)} ${summary}`);
} else {
  await main();
}

async function main(): Promise<void> {
  const options: RunOptions = {
    kills: given(values.kills),
    seconds: given(values.seconds),
    eventsPerSecond: given(values.rate),
    logFolder: values.logs,
    print,
  };
  let passed = 0;
  let failed = 0;
  const count = (isTrue: boolean) => {
    if (isTrue) passed += 1;
    else failed += 1;
  };
  if (values.mutant === undefined) {
    for (const scenario of named(scenarios, values.scenario)) {
      for (const { isTrue } of await runScenario(scenario, options)) count(isTrue);
    }
  } else {
    for (const mutant of named(mutants, values.mutant)) count(await isCaught(mutant, options));
  }
  print(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

async function isCaught(mutant: StoreMutant, options: RunOptions): Promise<boolean> {
  const [scenario] = named(scenarios, mutant.scenario);
  if (scenario === undefined) return false;
  print(`mutant ${mutant.name}: ${mutant.summary}`);
  for (let run = 1; run <= MUTANT_RUNS_MAX; run += 1) {
    const assertions = await runScenario(scenario, { ...options, ...mutant.options, mutant });
    const caughtBy = assertions.filter(({ name, isTrue }) => !isTrue && mutant.caughtBy.includes(name));
    const how = caughtBy.map(({ name, found }) => `${name} ${found}`).join(', ');
    if (how !== '') {
      print(`caught: mutant ${mutant.name} by ${how}, in run ${run}\n`);
      return true;
    }
    print(`NOT CAUGHT: mutant ${mutant.name}, in run ${run} of ${MUTANT_RUNS_MAX}\n`);
  }
  return false;
}

function given(value: string | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

function named<T extends { readonly name: string }>(all: readonly T[], names: string): readonly T[] {
  if (names === 'all') return all;
  return names.split(',').map((name) => {
    const found = all.find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no ${name}; --list names what there is`);
    return found;
  });
}
