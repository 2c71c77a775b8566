import { parseArgs } from 'node:util';
import { countAll, given, isCaught, named, print } from './command.ts';
import type { Assertion } from './judge.ts';
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
  await countAll(async (count) => {
    if (values.mutant === undefined) {
      for (const scenario of named(scenarios, values.scenario ?? 'leader-kill')) {
        const { assertions } = await runScenario(scenario, options);
        for (const { isTrue } of assertions) count(isTrue);
      }
    } else {
      for (const mutant of named(mutants, values.mutant))
        count(await isCaught(mutant, () => assertionsOn(mutant, options)));
    }
  });
}

async function assertionsOn(mutant: Mutant, options: RunOptions): Promise<readonly Assertion[]> {
  const [scenario] = named(scenarios, values.scenario ?? mutant.scenario);
  if (scenario === undefined) return [];
  if ('service' in scenario && !mutant.isAcksOne) {
    throw new Error(`${mutant.name} is a publisher in this process; ${scenario.name} runs the service`);
  }
  return (await runScenario(scenario, { ...options, ...mutant.options, mutant })).assertions;
}
