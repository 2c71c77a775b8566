import { type LoadSpec, runLoad, startLoad } from './load.ts';
import type { Measuring } from './measure.ts';
import type { BenchServer } from './servers.ts';
import { LARGEST, SINGLE } from './workloads.ts';

const REQUESTS_PER_SECOND_BESIDE = 100;
const CONNECTIONS_BESIDE = 16;
/** Nothing here ends by the clock: the batches end when they are answered, and what is beside them with them. */
const LONGEST_MS = 600_000;

/** Of Node's histogram of times between the ticks of a timer of 10 ms, which is empty again after each reading. */
const LOOP_DELAY_P99 = 'nodejs_eventloop_lag_p99_seconds';
const LOOP_DELAY_MAX = 'nodejs_eventloop_lag_max_seconds';

/** The largest batches, one after the other, and what probes and single events beside them see. */
export async function measureLargestBatches(ours: BenchServer, measuring: Measuring): Promise<void> {
  const { figures, options, progress } = measuring;
  progress('ours largest');
  const untilEnded = { port: ours.port, warmUpMs: 0, windowMs: LONGEST_MS, processes: {} };
  const send = (requestsMax: number) =>
    runLoad({ ...untilEnded, request: LARGEST, connections: 1, pace: { kind: 'closed', requestsMax } });
  const beside = (request: LoadSpec['request']) =>
    startLoad({
      ...untilEnded,
      request,
      connections: CONNECTIONS_BESIDE,
      pace: { kind: 'open', requestsPerSecond: REQUESTS_PER_SECOND_BESIDE },
    });

  await send(2); // warms up
  await ours.metrics();
  const [probes, singles] = [beside({ path: '/livez' }), beside(SINGLE.request)];
  const batches = await send(options.largestBatches);
  const samples = await ours.metrics();
  probes.end();
  singles.end();
  const [livez, single] = await Promise.all([probes.result, singles.result]);

  figures.record('ours largest loop_p99_ms', (samples.get(LOOP_DELAY_P99) ?? Number.NaN) * 1_000);
  figures.record('ours largest loop_max_ms', (samples.get(LOOP_DELAY_MAX) ?? Number.NaN) * 1_000);
  figures.record('ours largest batch_p50_ms', batches.latencyMs.p50);
  figures.record('ours largest livez_p99_ms', livez.latencyMs.p99);
  figures.record('ours largest single_p99_ms', single.latencyMs.p99);
  for (const [name, { failed }] of Object.entries({ batches, livez, single })) {
    if (failed > 0) figures.doubt(`ours largest: some requests of ${name} failed`);
  }
}
