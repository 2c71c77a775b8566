import { measureCapacity } from './capacity.ts';
import { measureLargestBatches } from './largest-batches.ts';
import { cpuUsPerEvent, type Measuring, measureOpenLoop, measureSaturated, warmUp } from './measure.ts';
import type { Group } from './options.ts';
import { runProducerPerformance } from './producer-performance.ts';
import { type BenchServer, type ServerName, startServer } from './servers.ts';
import { BATCH_100, HALF, LOADS, RECORD_BYTES, SETTINGS, SINGLE, WORKLOADS } from './workloads.ts';

const SERVERS: readonly ServerName[] = ['floor', 'ours', 'naive'];
/** Measured with servers of their own. */
const APART: ReadonlySet<Group> = new Set(['settings', 'capacity']);
const IDLE_REQUESTS_PER_SECOND = 50;

/** Measures once whatever was chosen. */
export async function measureRound(round: number, measuring: Measuring): Promise<void> {
  const { groups } = measuring.options;
  if ([...groups].some((group) => !APART.has(group))) await compareServers(round, measuring);
  if (groups.has('settings')) await measureSettings(measuring);
  if (groups.has('capacity')) await measureCapacity(measuring);
}

/** Each figure for one server right after the other, beginning with another one each round. */
async function compareServers(round: number, measuring: Measuring): Promise<void> {
  const order = SERVERS.map((_, index) => SERVERS[(index + round) % SERVERS.length] as ServerName);
  const servers = await startServers(order, measuring);
  const ours = servers.find(({ name }) => name === 'ours') as BenchServer;
  const storing = servers.filter(({ name }) => name !== 'floor');
  const wants = (group: Group) => measuring.options.groups.has(group);
  /** Single events per second that a server can do in this round, measured when first asked for. */
  const saturation = async (server: BenchServer) => {
    const name = `${server.name} ${SINGLE.name}`;
    const measured = () => measuring.figures.of(`${name} events_per_second`)[round];
    if (measured() === undefined) await measureSaturated(name, server, SINGLE, measuring);
    return Math.max(1, measured() ?? 1); // a window too short for any answer is doubted where it is measured
  };
  const latency = async (server: BenchServer, share: number) =>
    measureLatency(server, share, await saturation(server), measuring);

  try {
    if (wants('memory')) recordMemory(servers, 'idle', measuring);
    for (const server of servers) await warmUp(server, [SINGLE, BATCH_100], measuring);
    if (wants('cpu')) {
      for (const workload of WORKLOADS) {
        for (const server of servers)
          await measureSaturated(`${server.name} ${workload.name}`, server, workload, measuring);
      }
    }
    if (wants('latency')) {
      for (const share of LOADS) {
        for (const server of servers) await latency(server, share);
      }
    }
    if (wants('kafka')) {
      if (!wants('latency')) await latency(ours, HALF);
      await measureKafkaAlone(HALF * (await saturation(ours)), measuring);
    }
    if (wants('notifications')) {
      for (const server of storing) await measureNotifications(server, await saturation(server), measuring);
    }
    if (wants('memory')) recordMemory(servers, 'loaded', measuring);
    if (wants('largest')) await measureLargestBatches(ours, measuring);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

async function startServers(names: readonly ServerName[], measuring: Measuring): Promise<BenchServer[]> {
  const started = await Promise.allSettled(names.map((name) => startServer(name, measuring)));
  const servers = started.flatMap((server) => (server.status === 'fulfilled' ? [server.value] : []));
  const failed = started.find((server) => server.status === 'rejected');
  if (failed === undefined) return servers;
  await Promise.all(servers.map((server) => server.stop()));
  throw failed.reason;
}

/** Single events by the clock, at a share of what the server can do. */
async function measureLatency(
  server: BenchServer,
  share: number,
  eventsPerSecond: number,
  measuring: Measuring,
): Promise<void> {
  const { figures } = measuring;
  const name = `${server.name} at_${share * 100}%`;
  const load = await measureOpenLoop(name, server, measuring, {
    request: SINGLE.request,
    requestsPerSecond: share * eventsPerSecond,
  });
  figures.record(`${name} p50_ms`, load.latencyMs.p50);
  figures.record(`${name} p99_ms`, load.latencyMs.p99);
  figures.record(`${name} p99.9_ms`, load.latencyMs.p999);
  figures.record(`${name} cpu_us`, cpuUsPerEvent(load));
  figures.record(`${name} late_p99_ms`, load.lateMs.p99);
  figures.record(`${name} generator_core_share`, load.ownShare);
}

/** Kafka's own producer in the place of a server: as many records, as large. */
async function measureKafkaAlone(recordsPerSecond: number, measuring: Measuring): Promise<void> {
  const { figures, options, progress } = measuring;
  progress('kafka at_50%');
  const measured = await runProducerPerformance({
    ...measuring,
    recordBytes: RECORD_BYTES,
    recordsPerSecond,
    warmUpMs: 2 * options.windowMs,
    windowMs: 2 * options.windowMs,
  });
  figures.record('kafka at_50% p50_ms', measured.p50Ms);
  figures.record('kafka at_50% p99_ms', measured.p99Ms);
  figures.record('kafka at_50% p99.9_ms', measured.p999Ms);
  if (measured.recordsPerSecond < 0.95 * recordsPerSecond)
    figures.doubt('kafka at_50%: producer-perf-test did not reach the rate');
}

/** From the answer to the message at a subscriber in the generator: idle, and at half of saturation. */
async function measureNotifications(
  server: BenchServer,
  eventsPerSecond: number,
  measuring: Measuring,
): Promise<void> {
  const { figures, backends } = measuring;
  const rates = { idle: IDLE_REQUESTS_PER_SECOND, 'at_50%': HALF * eventsPerSecond };
  for (const [when, requestsPerSecond] of Object.entries(rates)) {
    const name = `${server.name} notified_${when}`;
    const { notificationMs, unnotified = 0 } = await measureOpenLoop(name, server, measuring, {
      request: SINGLE.request,
      redisPort: backends.redisPort,
      requestsPerSecond,
    });
    figures.record(`${name} p50_ms`, notificationMs?.p50 ?? Number.NaN);
    figures.record(`${name} p99_ms`, notificationMs?.p99 ?? Number.NaN);
    if (unnotified > 0) figures.doubt(`${name}: some events were answered and not notified`);
  }
}

/** The service alone, with one setting after the other. */
async function measureSettings(measuring: Measuring): Promise<void> {
  for (const [name, settings] of Object.entries(SETTINGS)) {
    const server = await startServer('ours', { ...measuring, settings });
    try {
      await warmUp(server, [SINGLE, BATCH_100], measuring);
      for (const workload of [SINGLE, BATCH_100])
        await measureSaturated(`ours_${name} ${workload.name}`, server, workload, measuring);
    } finally {
      await server.stop();
    }
  }
}

function recordMemory(
  servers: readonly BenchServer[],
  when: 'idle' | 'loaded',
  { figures }: Measuring,
): void {
  for (const server of servers) {
    const { residentBytes, residentBytesMax } = server.memory();
    figures.record(`${server.name} ${when} resident_mb`, residentBytes / 1e6);
    if (when === 'loaded') figures.record(`${server.name} peak resident_mb`, residentBytesMax / 1e6);
  }
}
