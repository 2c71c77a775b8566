import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import kafkajs from 'kafkajs';
import { type Child, type ChildExit, startChild } from './child.ts';
import type { KafkaJars } from './kafka-jars.ts';
import type { Progress } from './progress.ts';
import { untilReady } from './readiness.ts';
import { StartError } from './start-error.ts';

const READY_TIMEOUT_MS = 60_000;
const STOP_GRACE_MS = 10_000;

/** One Kafka process: a broker, a controller, or both in one. */
export interface KafkaNode {
  readonly nodeId: number;
  /** '127.0.0.1:port' of the broker; undefined for a node that is only a controller. */
  readonly address: string | undefined;
  readonly logFile: string;
  /** The process that runs now or ran last. */
  readonly child: Child;
  /** Starts a stopped or killed node again, on the same port and data; ready when it settles. */
  start(): Promise<void>;
  /** SIGTERM: the broker gives its leaderships away first. */
  stop(): Promise<ChildExit>;
  /** SIGKILL, as if the machine had died. */
  kill(): Promise<ChildExit>;
  /** SIGSTOP: connections stay open and nothing is answered. */
  pause(): void;
  resume(): void;
}

export interface KafkaNodeOptions {
  readonly nodeId: number;
  readonly address: string | undefined;
  readonly clusterId: string;
  /** All of the node's settings but log.dirs. */
  readonly properties: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly jars: KafkaJars;
  readonly progress: Progress;
  readonly jvmFlags?: readonly string[] | undefined;
  readonly formatArgs?: readonly string[] | undefined;
}

const JVM_FLAGS: readonly string[] = [
  '-Xmx256m',
  // Starts faster, and a test broker never runs long enough to miss the second compiler.
  '-XX:TieredStopAtLevel=1',
];

export async function startKafkaNode(options: KafkaNodeOptions): Promise<KafkaNode> {
  const { nodeId, address, folder } = options;
  const logFile = join(folder, 'kafka.log');
  mkdirSync(folder, { recursive: true });
  rmSync(logFile, { force: true });
  await writeSettings(options, logFile);

  let child: Child | undefined;
  const current = () => {
    if (child === undefined) throw new Error(`Kafka node ${nodeId} has not been started`);
    return child;
  };
  const node: KafkaNode = {
    nodeId,
    address,
    logFile,
    get child() {
      return current();
    },
    async start() {
      if (child !== undefined && !child.hasEnded()) return;
      child = startJava(options, 'kafka.Kafka', [settingsFile(folder)], logFile);
      await untilReady({
        name: 'Kafka',
        child,
        logFile,
        timeoutMs: READY_TIMEOUT_MS,
        progress: options.progress,
        // A controller has no API that kafkajs speaks; the brokers become ready through it.
        answers: async () => address === undefined || answersAs(address, options.clusterId, nodeId),
      });
    },
    stop: () => current().stop(STOP_GRACE_MS),
    kill: () => current().kill(),
    pause: () => current().pause(),
    resume: () => current().resume(),
  };
  await node.start();
  return node;
}

/**
 * Whether the broker at this address belongs to our cluster and, given a node, the cluster counts it among its live
 * ones. An open port proves nothing: somebody else's Kafka may listen there.
 */
export async function answersAs(address: string, clusterId: string, nodeId?: number): Promise<boolean> {
  const client = new kafkajs.Kafka({
    clientId: 'dual-stream-local',
    brokers: [address],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 0 },
    connectionTimeout: 1000,
    requestTimeout: 2000,
  });
  const admin = client.admin();
  try {
    await admin.connect();
    const cluster = await admin.describeCluster();
    if (cluster.clusterId !== clusterId) return false;
    return nodeId === undefined || cluster.brokers.some((broker) => broker.nodeId === nodeId);
  } catch {
    // Nobody listens, or whoever does speaks something else.
    return false;
  } finally {
    await admin.disconnect();
  }
}

/** Writes server.properties, which a new port changes, and formats the data folder, which is done once. */
async function writeSettings(options: KafkaNodeOptions, logFile: string): Promise<void> {
  const { folder, properties, clusterId, formatArgs = [] } = options;
  const dataFolder = join(folder, 'data');
  const lines = Object.entries({ ...properties, 'log.dirs': dataFolder }).map(
    ([name, value]) => `${name}=${value}`,
  );
  writeFileSync(settingsFile(folder), `${lines.join('\n')}\n`);

  // Written last: a format that was interrupted is done again from the beginning.
  const formatted = join(folder, 'formatted');
  if (existsSync(formatted)) return;
  rmSync(dataFolder, { recursive: true, force: true });
  const args = ['format', '-t', clusterId, '-c', settingsFile(folder), ...formatArgs];
  const { code } = await startJava(options, 'kafka.tools.StorageTool', args, logFile).exit;
  if (code !== 0) throw new StartError(`Kafka's data folder could not be formatted; its log is ${logFile}`);
  writeFileSync(formatted, '');
}

function startJava(
  { jars, jvmFlags = JVM_FLAGS }: KafkaNodeOptions,
  program: string,
  args: readonly string[],
  logFile: string,
): Child {
  return startChild({
    command: jars.java,
    args: [
      ...jvmFlags,
      // No file in /tmp that kill -9 leaves behind.
      '-XX:-UsePerfData',
      `-Dlog4j2.configurationFile=${join(import.meta.dirname, 'kafka', 'log4j2.properties')}`,
      '-cp',
      jars.classPath,
      program,
      ...args,
    ],
    output: { logFile },
  });
}

function settingsFile(folder: string): string {
  return join(folder, 'server.properties');
}
