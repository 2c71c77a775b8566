import { CAPACITY } from './capacity.ts';
import type { Figures } from './figures.ts';
import type { Spread } from './statistics.ts';
import { type Target, targetsOf } from './targets.ts';
import { BATCH_100, LOADS, SETTINGS, SINGLE, WORKLOADS } from './workloads.ts';

/** A part of the table: which figure stands where. */
interface Section {
  readonly title: string;
  readonly rows: readonly string[];
  /** By its head: the name of the figure in a row. */
  readonly columns: Readonly<Record<string, (row: string) => string>>;
}

const SERVERS = ['ours', 'naive', 'floor'] as const;
const workloads = WORKLOADS.map(({ name }) => name);
const perServer = (figure: string) =>
  Object.fromEntries(SERVERS.map((server) => [server, (row: string) => `${server} ${row} ${figure}`]));

const SECTIONS: readonly Section[] = [
  { title: 'CPU per event at saturation, µs', rows: workloads, columns: perServer('cpu_us') },
  { title: 'Events per second at saturation', rows: workloads, columns: perServer('events_per_second') },
  {
    title: 'Share of a core at saturation',
    rows: workloads.flatMap((workload) => SERVERS.map((server) => `${server} ${workload}`)),
    columns: {
      server: (row) => `${row} server_core_share`,
      generator: (row) => `${row} generator_core_share`,
      Kafka: (row) => `${row} kafka_core_share`,
      Redis: (row) => `${row} redis_core_share`,
    },
  },
  {
    title: 'Settings: CPU per event, µs',
    rows: Object.keys(SETTINGS).map((name) => `ours_${name}`),
    columns: Object.fromEntries(
      [SINGLE, BATCH_100].map(({ name }) => [name, (row: string) => `${row} ${name} cpu_us`]),
    ),
  },
  {
    title: 'Capacity, by what is around an event',
    rows: Object.keys(CAPACITY),
    columns: {
      'events a second': (row) => `${row} events_per_second`,
      'CPU µs': (row) => `${row} cpu_us`,
      'share of its core': (row) => `${row} server_core_share`,
      'p50 ms at half': (row) => `${row} p50_ms`,
      'p99 ms at half': (row) => `${row} p99_ms`,
    },
  },
  {
    title: 'Single events by the clock, ms from when each was due',
    rows: [
      ...SERVERS.flatMap((server) => LOADS.map((load) => `${server} at_${load * 100}%`)),
      'kafka at_50%', // producer-perf-test
    ],
    columns: {
      p50: (row) => `${row} p50_ms`,
      p99: (row) => `${row} p99_ms`,
      'p99.9': (row) => `${row} p99.9_ms`,
      'sent late p99': (row) => `${row} late_p99_ms`,
      generator: (row) => `${row} generator_core_share`,
      'CPU µs': (row) => `${row} cpu_us`,
    },
  },
  {
    title: 'Answer to subscriber, ms (negative: the subscriber knew first)',
    rows: ['ours', 'naive'].flatMap((server) => [`${server} notified_idle`, `${server} notified_at_50%`]),
    columns: { p50: (row) => `${row} p50_ms`, p99: (row) => `${row} p99_ms` },
  },
  {
    title: 'Largest batches and what is beside them, ms',
    rows: ['ours largest'],
    columns: {
      'loop p99': (row) => `${row} loop_p99_ms`,
      'loop max': (row) => `${row} loop_max_ms`,
      'batch p50': (row) => `${row} batch_p50_ms`,
      'livez p99': (row) => `${row} livez_p99_ms`,
      'single p99': (row) => `${row} single_p99_ms`,
    },
  },
  {
    title: 'Resident memory, MB',
    rows: SERVERS,
    columns: {
      idle: (row) => `${row} idle resident_mb`,
      loaded: (row) => `${row} loaded resident_mb`,
      'at most': (row) => `${row} peak resident_mb`,
    },
  },
];

/** All figures of a run as text: first what has a target, then what explains it. Each as median (lowest to highest). */
export function tableOf(figures: Figures): string {
  const targets = [['Targets', 'reached', 'target', ''], ...targetsOf(figures).map(targetLine)];
  const sections = SECTIONS.map((section) => sectionLines(section, figures));
  const tables = [targets, ...sections.filter((lines) => lines.length > 1)].map(aligned);
  return [...tables, ...doubtsText(figures.doubts)].join('\n\n');
}

function targetLine({ what, unit, max, reached, isMet }: Target): readonly string[] {
  const isText = isMet === undefined ? '' : isMet ? 'met' : 'NOT MET';
  return [
    what,
    reached === undefined ? NOT_MEASURED : `${spreadText(reached)} ${unit}`,
    `≤ ${max} ${unit}`,
    isText,
  ];
}

const NOT_MEASURED = '–';

/** Rows that have no figure at all are left out. */
function sectionLines({ title, rows, columns }: Section, figures: Figures): readonly (readonly string[])[] {
  const measured = rows.flatMap((row) => {
    const cells = Object.values(columns).map((figureIn) => spreadText(figures.spread(figureIn(row))));
    return cells.every((cell) => cell === NOT_MEASURED) ? [] : [[row, ...cells]];
  });
  return [[title, ...Object.keys(columns)], ...measured];
}

function aligned(lines: readonly (readonly string[])[]): string {
  const [head = []] = lines;
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const text = lines.map((line) => {
    const [first = '', ...cells] = line;
    const right = cells.map((cell, index) => cell.padStart(widths[index + 1] ?? 0));
    return [first.padEnd(widths[0] ?? 0), ...right].join('   ').trimEnd();
  });
  return text.join('\n');
}

function doubtsText(doubts: ReadonlyMap<string, number>): readonly string[] {
  if (doubts.size === 0) return [];
  const lines = [...doubts].map(([what, rounds]) => `  ${what}${rounds > 1 ? ` (${rounds} rounds)` : ''}`);
  return [['Read with care', ...lines].join('\n')];
}

function spreadText(spread: Spread | undefined): string {
  if (spread === undefined) return NOT_MEASURED;
  const { median, min, max } = spread;
  const size = Math.abs(median);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  if (min === max) return median.toFixed(digits);
  return `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;
}
