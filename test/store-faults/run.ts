import { parseArgs } from 'node:util';
import { countAll, given, isCaught, named, print } from '../faults/command.ts';
import type { Assertion } from '../faults/judge.ts';
import { mutants, type StoreMutant } from './mutants.ts';
import { type RunOptions, runScenario } from './run-scenario.ts';
import { scenarios } from './scenarios.ts';

/**
 * `node test/store-faults/run.ts --scenario processor-kill --kills 50`: faults between a real Kafka and a real
 * PostgreSQL under load, the store held against what the topic holds. `--scenario a,b` runs several, `all` every one,
 * `--list` names them. `--mutant last-copy` (or `all`) runs a processor with a known fault, which passes when it is
 * caught. `--logs FOLDER` keeps the processors' logs.
 */

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
  await countAll(async (count) => {
    if (values.mutant === undefined) {
      for (const scenario of named(scenarios, values.scenario)) {
        for (const { isTrue } of await runScenario(scenario, options)) count(isTrue);
      }
    } else {
      for (const mutant of named(mutants, values.mutant))
        count(await isCaught(mutant, () => assertionsOn(mutant, options)));
    }
  });
}

async function assertionsOn(mutant: StoreMutant, options: RunOptions): Promise<readonly Assertion[]> {
  const [scenario] = named(scenarios, mutant.scenario);
  return scenario === undefined ? [] : runScenario(scenario, { ...options, ...mutant.options, mutant });
}
