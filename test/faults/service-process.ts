import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Child, type ChildExit, startChild } from '../../dev/child.ts';
import { freePort } from '../../dev/free-port.ts';
import { cpuSecondsOf, memoryOf, type ProcessMemory } from '../../dev/process-counters.ts';
import { samplesIn } from '../../dev/prometheus-samples.ts';
import { isReady, SERVICE_FLAGS } from '../../dev/service.ts';

/** The service as users run it: a process of its own, from its sources, observed from outside. */
export interface ServiceProcess {
  readonly host: string;
  readonly port: number;
  /** The process that runs now or ran last. */
  readonly child: Child;
  memory(): ProcessMemory;
  /** User and system time that the process has used. Seconds. */
  cpuSeconds(): number;
  /** Every sample of `/metrics`, by its name with its labels as they are written there. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** Starts a stopped or killed one again, on the same port; ready when it settles. */
  start(): Promise<void>;
  /** SIGTERM. */
  stop(): Promise<ChildExit>;
  /** SIGKILL. */
  kill(): Promise<ChildExit>;
}

export interface ServiceProcessOptions {
  /** host:port of the brokers, separated by commas. */
  readonly brokers: string;
  readonly topic: string;
  readonly redisUrl: string;
  /** Settings beside these. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Puts the process into a control group with this limit, as a container's is. */
  readonly memoryBytesMax?: number;
  /** Put before the command, e.g. a program that changes the clock. */
  readonly prefix?: readonly string[];
  /** Where its log goes. */
  readonly logFile: string;
}

const HOST = '127.0.0.1';
const REPOSITORY = join(import.meta.dirname, '..', '..');
const READY_TIMEOUT_MS = 30_000;
/** More than the service takes to settle what it accepted. */
const STOP_GRACE_MS = 25_000;

/** Starts the service; ready when this settles. */
export async function startServiceProcess(options: ServiceProcessOptions): Promise<ServiceProcess> {
  const port = await freePort();
  const group = options.memoryBytesMax === undefined ? undefined : memoryGroup(options.memoryBytesMax);
  const env = {
    PATH: process.env.PATH,
    AUTH_MODE: 'none',
    HOST,
    PORT: String(port),
    KAFKA_BROKERS: options.brokers,
    KAFKA_TOPIC: options.topic,
    REDIS_URL: options.redisUrl,
    ...options.settings,
  };
  const program = [process.execPath, ...SERVICE_FLAGS, 'src/ingest/server.ts'];
  const command = [...(group?.enter ?? []), ...(options.prefix ?? []), ...program];

  let child: Child | undefined;
  const current = () => {
    if (child === undefined) throw new Error('the service has not been started');
    return child;
  };
  const ended = async (exit: Promise<ChildExit>) => {
    const how = await exit;
    group?.remove();
    return how;
  };
  const service: ServiceProcess = {
    host: HOST,
    port,
    get child() {
      return current();
    },
    memory: () => memoryOf(current().pid),
    cpuSeconds: () => cpuSecondsOf(current().pid),
    metrics: async () => samplesIn(await (await fetch(`http://${HOST}:${port}/metrics`)).text()),
    start: async () => {
      if (child !== undefined && !child.hasEnded()) return;
      group?.make();
      const [name = '', ...args] = command;
      child = startChild({
        command: name,
        args,
        cwd: REPOSITORY,
        env,
        output: { logFile: options.logFile },
      });
      const giveUpAt = performance.now() + READY_TIMEOUT_MS;
      while (!(await isReady(`http://${HOST}:${options.settings?.MANAGEMENT_PORT ?? port}`))) {
        if (child.hasEnded() || performance.now() > giveUpAt) {
          await service.kill();
          throw new Error(`the service did not become ready; its log is ${options.logFile}`);
        }
        await delay(50);
      }
    },
    stop: () => ended(current().stop(STOP_GRACE_MS)),
    kill: () => ended(current().kill()),
  };
  await service.start();
  return service;
}

/** A control group that limits memory, by version 1 or 2 of the kernel's interface, whichever is mounted. */
function memoryGroup(bytesMax: number): { enter: string[]; make: () => void; remove: () => void } {
  const isV2 = existsSync('/sys/fs/cgroup/cgroup.controllers');
  const name = `dual-stream-faults-${process.pid}-${Date.now()}`;
  const folder = join('/sys/fs/cgroup', isV2 ? '' : 'memory', name);
  return {
    enter: ['sh', '-c', `echo $$ > ${folder}/cgroup.procs && exec "$@"`, 'enter'],
    make: () => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, isV2 ? 'memory.max' : 'memory.limit_in_bytes'), String(bytesMax));
    },
    remove: () => {
      try {
        rmdirSync(folder);
      } catch (error) {
        // The kernel may still be clearing up; an empty group costs nothing.
        if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      }
    },
  };
}
