import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startChild } from '../dev/child.ts';
import { freePort } from '../dev/free-port.ts';
import { memoryOf, type ProcessMemory } from '../dev/process-counters.ts';
import { samplesIn } from '../dev/prometheus-samples.ts';
import { isReady, SERVICE_FLAGS } from '../dev/service.ts';
import type { Backends } from './backends.ts';
import type { Cores } from './cores.ts';
import { RESULTS_FOLDER } from './options.ts';

/** What is compared: the service, what a team would write by hand, and HTTP without anything behind it. */
export type ServerName = 'ours' | 'naive' | 'floor';

/** A server under measurement, in a process of its own, ready. */
export interface BenchServer {
  readonly name: ServerName;
  readonly pid: number;
  readonly port: number;
  memory(): ProcessMemory;
  /** Every sample of `/metrics`, which only the service has. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  stop(): Promise<void>;
}

/** The service with the flags of `npm start`, from its sources: types are stripped as it starts, nothing else differs. */
const PROGRAMS: Readonly<Record<ServerName, readonly string[]>> = {
  ours: [...SERVICE_FLAGS, join('src', 'ingest', 'server.ts')],
  naive: ['--disable-warning=TimeoutNegativeWarning', join('bench', 'naive.ts')],
  floor: [join('bench', 'floor.ts')],
};
const REPOSITORY = join(import.meta.dirname, '..');
const READY_TIMEOUT_MS = 30_000;
const STOP_GRACE_MS = 10_000;

export async function startServer(
  name: ServerName,
  options: {
    readonly backends: Backends;
    readonly cores: Cores;
    readonly settings?: Readonly<Record<string, string>>;
  },
): Promise<BenchServer> {
  const { backends, cores, settings } = options;
  const port = await freePort();
  const logFile = join(RESULTS_FOLDER, `${name}.log`);
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const [command = '', ...args] = [...cores.serverPrefix, process.execPath, ...PROGRAMS[name]];
  const child = startChild({
    command,
    args,
    cwd: REPOSITORY,
    env: {
      PATH: process.env.PATH,
      AUTH_MODE: 'none',
      PORT: String(port),
      KAFKA_BROKERS: backends.brokers,
      KAFKA_TOPIC: backends.topic,
      REDIS_URL: backends.redisUrl,
      ...settings,
    },
    output: { logFile },
  });
  const url = `http://127.0.0.1:${port}`;
  const giveUpAt = performance.now() + READY_TIMEOUT_MS;
  while (!(await isReady(url))) {
    if (child.hasEnded() || performance.now() > giveUpAt) {
      await child.kill();
      throw new Error(`${name} did not become ready; its log is bench/results/${name}.log`);
    }
    await delay(50);
  }
  return {
    name,
    pid: child.pid,
    port,
    memory: () => memoryOf(child.pid),
    metrics: async () => samplesIn(await (await fetch(`${url}/metrics`)).text()),
    stop: async () => {
      await child.stop(STOP_GRACE_MS);
    },
  };
}
