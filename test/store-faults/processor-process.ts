import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Child, type ChildExit, startChild } from '../../dev/child.ts';
import { freePort } from '../../dev/free-port.ts';
import { samplesIn } from '../../dev/prometheus-samples.ts';
import { isReady } from '../../dev/service.ts';

/** The event processor as users run it: a process of its own, from its sources, observed from outside. */
export interface ProcessorProcess {
  readonly name: string;
  readonly logFile: string;
  /** The process that runs now or ran last. */
  readonly child: Child;
  /** Whether one of its processes ended that nobody had asked to. */
  hasEndedByItself(): boolean;
  /** Every sample of `/metrics`, by its name with its labels as they are written there. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** Starts a stopped or killed one again, on the same port, and waits for nothing. */
  launch(): void;
  /** The same; ready when it settles. */
  start(): Promise<void>;
  /** SIGTERM. */
  stop(): Promise<ChildExit>;
  /** SIGKILL. */
  kill(): Promise<ChildExit>;
}

export interface ProcessorProcessOptions {
  readonly name: string;
  /** host:port of the brokers, separated by commas. */
  readonly brokers: string;
  readonly topic: string;
  readonly postgresUrl: string;
  readonly settings: Readonly<Record<string, string>>;
  /** A processor with a known fault, by the name of the mutant. */
  readonly mutant?: string | undefined;
  /** Where its log goes. */
  readonly logFile: string;
}

/** Shorter than by default, so that many kills do not take an hour. */
export const SESSION_TIMEOUT_MS = 3_000;

const HOST = '127.0.0.1';
const REPOSITORY = join(import.meta.dirname, '..', '..');
const READY_TIMEOUT_MS = 60_000;
/** More than it gives itself, so that it is seen how long it takes. */
const STOP_GRACE_MS = 45_000;

/** A processor that does not run yet. */
export async function processorProcess(options: ProcessorProcessOptions): Promise<ProcessorProcess> {
  const { name, brokers, topic, postgresUrl, settings, mutant, logFile } = options;
  const port = await freePort();
  const env = {
    PATH: process.env.PATH,
    HOST,
    MANAGEMENT_PORT: String(port),
    KAFKA_BROKERS: brokers,
    KAFKA_TOPIC: topic,
    POSTGRES_URL: postgresUrl,
    ...settings,
    ...(mutant === undefined ? {} : { MUTANT: mutant }),
  };
  const patch = mutant === undefined ? [] : ['--import', join(import.meta.dirname, 'patch-source.ts')];
  const args = ['--disable-warning=TimeoutNegativeWarning', ...patch, 'src/processor/server.ts'];

  let child: Child | undefined;
  let isAsked = false;
  let hasEndedByItself = false;
  const current = () => {
    if (child === undefined) throw new Error(`${name} has not been started`);
    return child;
  };
  const processor: ProcessorProcess = {
    name,
    logFile,
    get child() {
      return current();
    },
    hasEndedByItself: () => hasEndedByItself,
    metrics: async () => samplesIn(await (await fetch(`http://${HOST}:${port}/metrics`)).text()),
    launch: () => {
      if (child !== undefined && !child.hasEnded()) return;
      isAsked = false;
      child = startChild({ command: process.execPath, args, cwd: REPOSITORY, env, output: { logFile } });
      void child.exit.then(() => {
        hasEndedByItself ||= !isAsked;
      });
    },
    start: async () => {
      processor.launch();
      const giveUpAt = performance.now() + READY_TIMEOUT_MS;
      while (!(await isReady(`http://${HOST}:${port}`))) {
        if (current().hasEnded() || performance.now() > giveUpAt) {
          await processor.kill();
          throw new Error(`${name} did not become ready; its log is ${logFile}`);
        }
        await delay(50);
      }
    },
    stop: () => {
      isAsked = true;
      return current().stop(STOP_GRACE_MS);
    },
    kill: () => {
      isAsked = true;
      return current().kill();
    },
  };
  return processor;
}
