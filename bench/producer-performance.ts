import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startChild } from '../dev/child.ts';
import { kafkaToolsJars } from '../dev/kafka-jars.ts';
import type { Progress } from '../dev/progress.ts';
import type { Backends } from './backends.ts';
import type { Cores } from './cores.ts';

/** What Kafka's producer-perf-test says about itself. Its clock has whole milliseconds. */
export interface ProducerPerformance {
  readonly recordsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

const SUMMARY = /([\d.]+) records\/sec .*, (\d+) ms 50th, \d+ ms 95th, (\d+) ms 99th, (\d+) ms 99\.9th\.\s*$/;

/** Runs it with acks=all in the place of a server, on the core that servers have. */
export async function runProducerPerformance(options: {
  readonly backends: Backends;
  readonly cores: Cores;
  readonly recordBytes: number;
  readonly recordsPerSecond: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  readonly progress: Progress;
}): Promise<ProducerPerformance> {
  const { backends, cores, recordsPerSecond, progress } = options;
  const { java, classPath } = await kafkaToolsJars(progress);
  const recordsIn = (ms: number) => String(Math.ceil((recordsPerSecond * ms) / 1_000));
  const [command = '', ...args] = [
    ...cores.serverPrefix,
    java,
    '-Xmx512m',
    '-XX:-UsePerfData',
    '-Dlog4j2.level=OFF',
    '-cp',
    classPath,
    join(import.meta.dirname, 'WarmProducerPerformance.java'),
    recordsIn(options.warmUpMs),
    recordsIn(options.windowMs),
    '--topic',
    backends.topic,
    '--record-size',
    String(options.recordBytes),
    '--throughput',
    String(Math.round(recordsPerSecond)),
    '--producer-props',
    `bootstrap.servers=${backends.brokers}`,
    'acks=all',
  ];
  const { stdout, stderr, exit } = startChild({ command, args, output: 'pipe' });
  if (stdout === null || stderr === null) throw new Error('producer-perf-test has no output');
  const [said, complaint] = await Promise.all([text(stdout), text(stderr), exit]);
  return summaryOf(said) ?? failed(`${said}${complaint}`);
}

/** The last line of its output. @returns undefined when that is no summary. */
export function summaryOf(output: string): ProducerPerformance | undefined {
  const found = SUMMARY.exec(output.trimEnd().split('\n').at(-1) ?? '');
  if (found === null) return undefined;
  const [recordsPerSecond = 0, p50Ms = 0, p99Ms = 0, p999Ms = 0] = found.slice(1).map(Number);
  return { recordsPerSecond, p50Ms, p99Ms, p999Ms };
}

function failed(said: string): never {
  throw new Error(`producer-perf-test did not measure: ${said.slice(-2_000)}`);
}
