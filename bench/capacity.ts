import { PARTITIONS } from './backends.ts';
import type { LoadResult } from './load.ts';
import { type Measuring, measure, measureOpenLoop } from './measure.ts';
import { type BenchServer, startServer } from './servers.ts';
import { EVENT_BYTES, HALF, SINGLE, SOURCES } from './workloads.ts';

/** What is around an event, of which one thing at a time is changed. */
interface Surroundings {
  readonly partitions: number;
  readonly sources: number;
  readonly eventBytes: number;
  readonly connections: number;
  /** Of the service, on one topic. All of them share the core of the server. */
  readonly replicas: number;
  /** In a request. */
  readonly events: number;
}

const USUAL: Surroundings = {
  partitions: PARTITIONS,
  sources: SOURCES,
  eventBytes: EVENT_BYTES,
  connections: SINGLE.connections,
  replicas: 1,
  events: 1,
};
/** So many are enough, and the requests that are ready need not fill the memory. */
const IN_LARGE_REQUESTS = { connections: 16 };
const IN_BATCHES = { ...IN_LARGE_REQUESTS, events: 100 };

/** By the names of the rows in the table. */
export const CAPACITY: Readonly<Record<string, Surroundings>> = Object.fromEntries([
  ...vary('sources', [1, 1_000, 1_000_000]),
  ...vary('sources', [1, 1_000, 1_000_000], IN_BATCHES),
  ...vary('eventBytes', [100, 1_000]),
  ...vary('eventBytes', [10_000, 100_000, 500_000], IN_LARGE_REQUESTS),
  ...vary('connections', [1, 16, 128, 1_000, 5_000]),
  ...vary('replicas', [1, 2]),
  // Last, as Kafka's compiler takes long to get used to many partitions.
  ...vary('partitions', [1, 6, 48, 200]),
  ...vary('partitions', [1, 6, 48, 200], IN_BATCHES),
]);

function vary(
  what: keyof Surroundings,
  values: readonly number[],
  besides: Partial<Surroundings> = {},
): [string, Surroundings][] {
  const inBatches = besides.events === undefined ? '' : `, batches of ${besides.events}`;
  return values.map((value) => [`${what} ${value}${inBatches}`, { ...USUAL, ...besides, [what]: value }]);
}

/** What saturates the service, row by row, and how long half of that takes. */
export async function measureCapacity(measuring: Measuring): Promise<void> {
  for (const [row, surroundings] of Object.entries(CAPACITY)) {
    const topic = await measuring.backends.topicWith(surroundings.partitions);
    const servers: BenchServer[] = [];
    try {
      for (let replica = 0; replica < surroundings.replicas; replica += 1) {
        servers.push(await startServer('ours', { ...measuring, settings: { KAFKA_TOPIC: topic } }));
      }
      await measureRow(row, surroundings, servers, measuring);
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
  }
}

async function measureRow(
  row: string,
  surroundings: Surroundings,
  servers: readonly BenchServer[],
  measuring: Measuring,
): Promise<void> {
  const { figures } = measuring;
  const { events, eventBytes, sources } = surroundings;
  const request = { events, eventBytes, sources, format: 'json' } as const;
  const connections = Math.ceil(surroundings.connections / servers.length);
  const saturate = (name: string) =>
    Promise.all(
      servers.map((server) =>
        measure(name, server, measuring, { request, connections, pace: { kind: 'closed' } }),
      ),
    );
  await saturate(`${row}: warm-up`);
  const loads = await saturate(row);
  const stored = sum(loads, (load) => load.events);
  const eventsPerSecond = sum(loads, (load) => load.events / (load.windowMs / 1_000));
  figures.record(`${row} cpu_us`, (sum(loads, ({ cpuSeconds }) => cpuSeconds.server ?? 0) / stored) * 1e6);
  figures.record(`${row} events_per_second`, eventsPerSecond);
  figures.record(
    `${row} server_core_share`,
    sum(loads, ({ cpuSeconds, windowMs }) => (cpuSeconds.server ?? 0) / (windowMs / 1_000)),
  );

  const requestsPerSecond = Math.max(1, (HALF * eventsPerSecond) / events / servers.length);
  const halves = await Promise.all(
    servers.map((server) =>
      measureOpenLoop(`${row}: half of it`, server, measuring, { request, connections, requestsPerSecond }),
    ),
  );
  figures.record(`${row} p50_ms`, Math.max(...halves.map(({ latencyMs }) => latencyMs.p50)));
  figures.record(`${row} p99_ms`, Math.max(...halves.map(({ latencyMs }) => latencyMs.p99)));
}

function sum(loads: readonly LoadResult[], of: (load: LoadResult) => number): number {
  return loads.reduce((total, load) => total + of(load), 0);
}
