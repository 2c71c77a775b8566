import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, relative } from 'node:path';
import { KAFKA_VERSION, kafkaToolsJars } from '../dev/kafka-jars.ts';
import { secondsSince } from '../dev/progress.ts';
import { StartError } from '../dev/start-error.ts';
import { startBackends } from './backends.ts';
import { type Cores, shareCores } from './cores.ts';
import { Figures } from './figures.ts';
import { OptionError, type Options, readOptions } from './options.ts';
import { measureRound } from './round.ts';
import { tableOf } from './table.ts';
import { targetsOf } from './targets.ts';

/** `npm run bench`: the service against the hand-written way and against HTTP alone, in one run. See bench/README.md. */

const startedAt = performance.now();

try {
  await run(readOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof OptionError || error instanceof StartError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 1;
}

async function run(options: Options): Promise<void> {
  if (process.platform !== 'linux') throw new StartError('it reads /proc, so it needs Linux');
  const cores = shareCores();
  say(cores.how);
  if (options.groups.has('kafka')) await kafkaToolsJars(say); // fetched now, if at all, not between two figures
  const figures = new Figures();
  const backends = await startBackends(say);
  try {
    for (let round = 0; round < options.rounds; round += 1) {
      const progress = (what: string) => say(`round ${round + 1} of ${options.rounds}: ${what}`);
      await measureRound(round, { options, backends, cores, figures, progress });
    }
  } finally {
    await backends.stop();
  }
  process.stdout.write(`${tableOf(figures)}\n\n`);
  writeResults(figures, cores, options);
  say(`results in ${relative(process.cwd(), options.jsonFile)}`);
}

function writeResults(figures: Figures, cores: Cores, { rounds, windowMs, jsonFile }: Options): void {
  const [processor] = cpus();
  const results = {
    endedAt: new Date().toISOString(),
    node: process.version,
    kafka: KAFKA_VERSION,
    processor: processor?.model,
    cores: cores.how,
    rounds,
    windowMs,
    targets: targetsOf(figures),
    doubts: Object.fromEntries(figures.doubts),
    figures,
  };
  mkdirSync(dirname(jsonFile), { recursive: true });
  writeFileSync(jsonFile, `${JSON.stringify(results, undefined, 2)}\n`);
}

function say(what: string): void {
  process.stderr.write(`bench: ${String(secondsSince(startedAt)).padStart(4)} s  ${what}\n`);
}
