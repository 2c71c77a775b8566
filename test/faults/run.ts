import { parseArgs } from 'node:util';
import { type Mutant, mutants } from './mutants.ts';
import { type RunOptions, runScenario } from './run-scenario.ts';
import type { Scenario, ServiceScenario } from './scenario.ts';
import { scenarios as inProcess } from './scenarios.ts';
import { serviceScenarios } from './service-scenarios.ts';

/**
 * `node test/faults/run.ts --scenario leader-kill --kills 50`: faults on three real brokers under load, each answer
 * held against what the topic holds. What answers is the publisher in this process, or the service over HTTP.
 * `--scenario a,b` runs several, `--list` names them all.
 * `--mutant acks-1` (or `all`) runs a publisher with a known fault instead, which passes when it is caught.
 */

/** A fault that needs a race to show gets another chance to show it. */
const MUTANT_RUNS_MAX = 3;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string' },
    mutant: { type: 'string' },
    kills: { type: 'string', default: '5' },
    seconds: { type: 'string' },
    rate: { type: 'string' },
    sources: { type: 'string' },
    connections: { type: 'string' },
    alone: { type: 'boolean', default: false },
    'buffer-mb': { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

const scenarios: readonly (Scenario | ServiceScenario)[] = [...inProcess, ...serviceScenarios];

const print = (line: string) => void process.stdout.write(`${line}\n`);

if (values.list) {
  for (const { name, summary } of scenarios) print(`${name.padEnd(22)} ${summary}`);
  for (const { name, summary } of mutants) print(`--mutant ${name.padEnd(18)} ${summary}`);
} else {
  await main();
}

async function main(): Promise<void> {
  const bufferMb = given(values['buffer-mb']);
  const options = {
    kills: Number(values.kills),
    seconds: given(values.seconds),
    eventsPerSecond: given(values.rate),
    sources: given(values.sources),
    connections: given(values.connections),
    isAlone: values.alone,
    bufferBytesMax: bufferMb === undefined ? undefined : bufferMb * 1024 * 1024,
    print,
  };
  let passed = 0;
  let failed = 0;
  const count = (isTrue: boolean) => {
    if (isTrue) passed += 1;
    else failed += 1;
  };
  if (values.mutant === undefined) {
    for (const scenario of named(scenarios, values.scenario ?? 'leader-kill')) {
      const { assertions } = await runScenario(scenario, options);
      for (const { isTrue } of assertions) count(isTrue);
    }
  } else {
    const chosen = values.mutant === 'all' ? mutants : named(mutants, values.mutant);
    for (const mutant of chosen) count(await isCaught(mutant, options));
  }
  print(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

async function isCaught(mutant: Mutant, options: RunOptions): Promise<boolean> {
  const [scenario] = named(scenarios, values.scenario ?? mutant.scenario);
  if (scenario === undefined) return false;
  if ('service' in scenario && !mutant.isAcksOne) {
    throw new Error(`${mutant.name} is a publisher in this process; ${scenario.name} runs the service`);
  }
  print(`mutant ${mutant.name}: ${mutant.summary}`);
  for (let run = 1; run <= MUTANT_RUNS_MAX; run += 1) {
    const { assertions } = await runScenario(scenario, { ...options, ...mutant.options, mutant });
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

function named<T extends { readonly name: string }>(all: readonly T[], names: string): T[] {
  return names.split(',').map((name) => {
    const found = all.find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no ${name}; --list names what there is`);
    return found;
  });
}
