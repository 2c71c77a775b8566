import type { Progress } from '../dev/progress.ts';
import type { Backends } from './backends.ts';
import type { Cores } from './cores.ts';
import { Figures } from './figures.ts';
import { type LoadResult, type LoadSpec, runLoad } from './load.ts';
import type { Options } from './options.ts';
import type { BenchServer } from './servers.ts';
import type { Workload } from './workloads.ts';

/** What measuring takes, and where the figures go. */
export interface Measuring {
  readonly options: Options;
  readonly backends: Backends;
  readonly cores: Cores;
  readonly figures: Figures;
  readonly progress: Progress;
}

const WARM_UP_SHARE = 0.4;
/** An open loop has to find a free one for every request that is due. */
const OPEN_LOOP_CONNECTIONS = 256;
/** A server that uses less of its core at saturation was not what the load waited for. */
const SATURATED_SHARE_MIN = 0.9;
/** Requests that are sent later than this have latencies that are partly the generator's. */
const LATE_P99_MS_MAX = 2;

/** Closed loop, with as many connections as it takes: CPU per event, and how many events there are in a second. */
export async function measureSaturated(
  name: string,
  server: BenchServer,
  workload: Workload,
  measuring: Measuring,
): Promise<void> {
  const { figures } = measuring;
  const { request, connections } = workload;
  const load = await measure(name, server, measuring, { request, connections, pace: { kind: 'closed' } });
  const seconds = load.windowMs / 1_000;
  figures.record(`${name} cpu_us`, cpuUsPerEvent(load));
  figures.record(`${name} events_per_second`, load.events / seconds);
  figures.record(`${name} generator_core_share`, load.ownShare);
  for (const [who, cpuSeconds] of Object.entries(load.cpuSeconds)) {
    figures.record(`${name} ${who}_core_share`, cpuSeconds / seconds);
  }
  if ((load.cpuSeconds.server ?? 0) / seconds < SATURATED_SHARE_MIN) {
    figures.doubt(`${name}: not limited by the server, which had time left; ${limitOf(load)}`);
  }
}

function limitOf({ cpuSeconds, ownShare, windowMs }: LoadResult): string {
  const { server: _, ...besides } = cpuSeconds;
  const seconds = { ...besides, generator: (ownShare * windowMs) / 1_000 };
  const [busiest] = Object.entries(seconds).toSorted(([, one], [, other]) => other - one)[0] ?? [];
  const share = Object.values(seconds).reduce((sum, each) => sum + each, 0) / (windowMs / 1_000);
  return share < SATURATED_SHARE_MIN
    ? 'nor by what is beside it: the machine may be busy with something else'
    : `busiest besides it: ${busiest}`;
}

/** A first load on a server that has just started, as much as a measured one. It leaves no figures. */
export async function warmUp(
  server: BenchServer,
  workloads: readonly Workload[],
  measuring: Measuring,
): Promise<void> {
  const { figures: _, ...rest } = measuring;
  for (const workload of workloads) {
    const name = `${server.name} ${workload.name}: warm-up`;
    await measureSaturated(name, server, workload, { ...rest, figures: new Figures() });
  }
}

/** Open loop: requests by the clock, in a window twice as long, since the last percentiles take many. */
export async function measureOpenLoop(
  name: string,
  server: BenchServer,
  measuring: Measuring,
  load: Pick<LoadSpec, 'request' | 'redisPort'> & {
    readonly requestsPerSecond: number;
    readonly connections?: number;
  },
): Promise<LoadResult> {
  const { figures, options } = measuring;
  const { requestsPerSecond, ...rest } = load;
  const result = await measure(name, server, measuring, {
    connections: OPEN_LOOP_CONNECTIONS,
    ...rest,
    pace: { kind: 'open', requestsPerSecond },
    windowMs: 2 * options.windowMs,
  });
  if (result.lateMs.p99 > LATE_P99_MS_MAX)
    figures.doubt(`${name}: the generator sent late (p99 above ${LATE_P99_MS_MAX} ms)`);
  if (result.heldUp > 0)
    figures.doubt(`${name}: requests waited for a free connection (counted from when they were due)`);
  return result;
}

export function cpuUsPerEvent({ cpuSeconds, events }: LoadResult): number {
  return ((cpuSeconds.server ?? Number.NaN) / events) * 1e6;
}

/** One load on one server, with what casts doubt on it. */
export async function measure(
  name: string,
  server: BenchServer,
  { options, backends, figures, progress }: Measuring,
  load: Pick<LoadSpec, 'request' | 'connections' | 'pace'> & Partial<LoadSpec>,
): Promise<LoadResult> {
  progress(name);
  const result = await runLoad({
    port: server.port,
    warmUpMs: WARM_UP_SHARE * options.windowMs,
    windowMs: options.windowMs,
    processes: { server: server.pid, ...backends.processes },
    ...load,
  });
  if (result.events === 0) figures.doubt(`${name}: no event was stored in the window`);
  if (result.failed > 0) figures.doubt(`${name}: some requests failed`);
  return result;
}
