import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './folders.ts';
import { freePort } from './free-port.ts';
import { kafkaJars } from './kafka-jars.ts';
import { type KafkaNode, startKafkaNode } from './kafka-node.ts';
import { clusterProperties, type NodePlace, nodeProperties } from './kafka-properties.ts';
import type { Progress } from './progress.ts';

export interface KafkaOptions {
  /** Keeps the data between runs; otherwise it is temporary and goes when this process ends. */
  readonly folder?: string;
  /** Of the first broker; the others, and it too if left out, get free ones. */
  readonly port?: number;
  readonly progress?: Progress;
  /** Added to each node's server.properties, and stronger than what is set here. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Besides the one without TLS, of the first broker: `SASL_SSL://127.0.0.1:9094`. */
  readonly listeners?: readonly string[];
  /** For the formatting of its data: `--add-scram`, … */
  readonly formatArgs?: readonly string[];
  /** Java's flags for each node, instead of those for a small broker that starts fast. */
  readonly jvmFlags?: readonly string[];
}

export interface KafkaClusterOptions extends KafkaOptions {
  readonly brokers: number;
  /** Controllers in processes of their own; left out, each broker is a controller too. */
  readonly controllers?: number;
}

/** A Kafka of our own on 127.0.0.1. The verbs are those of KafkaNode, for all nodes at once. */
export interface LocalKafka {
  /** As KAFKA_BROKERS wants it: '127.0.0.1:port', separated by commas. */
  readonly brokers: string;
  readonly clusterId: string;
  readonly folder: string;
  /** Brokers first, then separate controllers. Node n has nodeId n + 1. */
  readonly nodes: readonly KafkaNode[];
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  pause(): void;
  resume(): void;
}

/** A single broker, ready when this settles. */
export function startKafka(options: KafkaOptions = {}): Promise<LocalKafka> {
  return startKafkaCluster({ ...options, brokers: 1 });
}

/** Several brokers, topics on three of them by default, ready when this settles. */
export async function startKafkaCluster(options: KafkaClusterOptions): Promise<LocalKafka> {
  const { progress = () => {}, properties, jvmFlags, listeners = [], formatArgs } = options;
  const jars = await kafkaJars(progress);
  const folder = options.folder ?? temporaryFolder('kafka');
  const clusterId = keptClusterId(folder);
  const places = await placeNodes(options);
  const defaults = clusterProperties(options.brokers, places);

  const starting = places.map((place) =>
    startKafkaNode({
      nodeId: place.nodeId,
      address: place.port === undefined ? undefined : `127.0.0.1:${place.port}`,
      clusterId,
      properties: {
        ...defaults,
        ...nodeProperties(place, place.nodeId === 1 ? listeners : []),
        ...properties,
      },
      formatArgs,
      folder: join(folder, `node-${place.nodeId}`),
      jars,
      progress,
      jvmFlags,
    }),
  );
  const started = await Promise.allSettled(starting);
  const nodes = started.flatMap((node) => (node.status === 'fulfilled' ? [node.value] : []));
  const failed = started.find((node) => node.status === 'rejected');
  if (failed !== undefined) {
    await Promise.all(nodes.map((node) => node.kill()));
    throw failed.reason;
  }

  const all = async (act: (node: KafkaNode) => Promise<unknown>) => {
    await Promise.all(nodes.map(act));
  };
  return {
    brokers: nodes.flatMap((node) => node.address ?? []).join(','),
    clusterId,
    folder,
    nodes,
    start: () => all((node) => node.start()),
    stop: () => all((node) => node.stop()),
    kill: () => all((node) => node.kill()),
    pause: () => {
      for (const node of nodes) node.pause();
    },
    resume: () => {
      for (const node of nodes) node.resume();
    },
  };
}

async function placeNodes({ brokers, controllers = 0, port }: KafkaClusterOptions): Promise<NodePlace[]> {
  const indexes = Array.from({ length: brokers + controllers }, (_, index) => index);
  return Promise.all(
    indexes.map(async (index) => ({
      nodeId: index + 1,
      port: index >= brokers ? undefined : index === 0 && port !== undefined ? port : await freePort(),
      controllerPort: controllers > 0 && index < brokers ? undefined : await freePort(),
    })),
  );
}

/** The cluster id names this data: whoever answers with another one is not ours. */
export function keptClusterId(folder: string): string {
  const file = join(folder, 'cluster-id');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  mkdirSync(folder, { recursive: true });
  const clusterId = randomClusterId();
  writeFileSync(file, `${clusterId}\n`);
  return clusterId;
}

/** 16 bytes in base64url, as Kafka wants it; the first bit is 0, because a leading '-' would be read as an option. */
function randomClusterId(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return bytes.toString('base64url');
}
