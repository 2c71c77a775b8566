import type { Figures } from './figures.ts';
import { ratios, type Spread, spreadOf } from './statistics.ts';
import { BATCH_100, SINGLE } from './workloads.ts';

/** One number to reach. */
export interface Target {
  readonly what: string;
  readonly unit: 'x' | 'ms';
  /** The most that its median may be. */
  readonly max: number;
  /** What the rounds gave; undefined: not measured in this run. */
  readonly reached: Spread | undefined;
  readonly isMet: boolean | undefined;
}

/** The numbers to reach, with what was reached. */
export function targetsOf(figures: Figures): readonly Target[] {
  const cpu = (workload: string, against: 'floor' | 'naive') =>
    ratios(figures.of(`ours ${workload} cpu_us`), figures.of(`${against} ${workload} cpu_us`));
  const single = 'CPU per single event, notifications on';
  const batch = 'CPU per event in batches of 100, notifications on';
  return [
    target(`${single}: ours / floor`, 'x', 1.4, cpu(SINGLE.name, 'floor')),
    target(`${single}: ours / naive`, 'x', 0.3, cpu(SINGLE.name, 'naive')),
    target(`${batch}: ours / floor`, 'x', 4, cpu(BATCH_100.name, 'floor')),
    target(`${batch}: ours / naive`, 'x', 0.35, cpu(BATCH_100.name, 'naive')),
    target('answer to subscriber, idle: p50', 'ms', 1, figures.of('ours notified_idle p50_ms')),
    target(
      'answer to subscriber, half of saturation: p99',
      'ms',
      10,
      figures.of('ours notified_at_50% p99_ms'),
    ),
    target("p99 at half of saturation: ours / Kafka's producer-perf-test", 'x', 3, kafkaRatios(figures)),
    target(
      'largest batches (10,000 events, 10 MB): event-loop delay p99',
      'ms',
      50,
      figures.of('ours largest loop_p99_ms'),
    ),
  ];
}

function target(what: string, unit: Target['unit'], max: number, rounds: readonly number[]): Target {
  const reached = spreadOf(rounds);
  return { what, unit, max, reached, isMet: reached === undefined ? undefined : reached.median <= max };
}

/** producer-perf-test counts whole milliseconds, so that less than one is 0; half of one stands for that. */
function kafkaRatios(figures: Figures): number[] {
  const kafka = figures.of('kafka at_50% p99_ms').map((ms) => Math.max(0.5, ms));
  return kafka.length === 0 ? [] : ratios(figures.of('ours at_50% p99_ms'), kafka);
}
