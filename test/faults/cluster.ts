import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { temporaryFolder } from '../../dev/folders.ts';
import { freePort } from '../../dev/free-port.ts';
import { kafkaJars } from '../../dev/kafka-jars.ts';
import { type KafkaNode, startKafkaNode } from '../../dev/kafka-node.ts';
import { clusterProperties, type NodePlace, nodeProperties } from '../../dev/kafka-properties.ts';
import { keptClusterId } from '../../dev/local-kafka.ts';
import { type BrokerProxy, type ProxyOptions, startProxy } from './proxy.ts';

const BROKERS = 3;
const IN_SYNC_TIMEOUT_MS = 90_000;

export interface ClusterOptions {
  /** Controllers in processes of their own; 0: each broker is one too. */
  readonly controllers?: number | undefined;
  /** Puts a proxy between the service and each broker. */
  readonly isProxied?: boolean | undefined;
  readonly alter?: ProxyOptions['alter'];
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** Called with the folder of each node before anything is in it. What it returns is called at the very end. */
  readonly prepareFolder?: ((nodeId: number, folder: string) => () => void) | undefined;
}

export interface PartitionState {
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly inSync: readonly number[];
}

/**
 * Three brokers with two listeners each: one for brokers, readers and admins, which never has a proxy, and one for
 * the service, which may.
 */
export interface FaultCluster {
  /** Brokers first. Broker n has nodeId n + 1. */
  readonly nodes: readonly KafkaNode[];
  readonly brokers: readonly KafkaNode[];
  /** Where readers and admins connect. */
  readonly address: string;
  /** Where the service connects. */
  readonly serviceAddresses: readonly { readonly host: string; readonly port: number }[];
  readonly proxies: readonly BrokerProxy[];
  broker(nodeId: number): KafkaNode;
  partitions(topic: string): Promise<readonly PartitionState[]>;
  /** Waits until every replica is in sync. Returns false when that takes too long. */
  untilInSync(topic: string): Promise<boolean>;
  stop(): Promise<void>;
}

export async function startFaultCluster(options: ClusterOptions): Promise<FaultCluster> {
  const { controllers = 0, isProxied = false, alter, properties, prepareFolder } = options;
  const jars = await kafkaJars(() => {});
  const folder = temporaryFolder('faults');
  const clusterId = keptClusterId(folder);
  const places = await Promise.all(
    Array.from({ length: BROKERS + controllers }, async (_, index): Promise<Place> => {
      const isBroker = index < BROKERS;
      const servicePort = isBroker ? await freePort() : undefined;
      return {
        nodeId: index + 1,
        port: isBroker ? await freePort() : undefined,
        controllerPort: controllers > 0 && isBroker ? undefined : await freePort(),
        servicePort,
        proxyPort: isBroker && isProxied ? await freePort() : servicePort,
      };
    }),
  );
  const shared = clusterProperties(BROKERS, places);
  const folderOf = ({ nodeId }: Place) => join(folder, `node-${nodeId}`);
  const clearFolders = places.map((place) => {
    mkdirSync(folderOf(place));
    return prepareFolder?.(place.nodeId, folderOf(place)) ?? (() => {});
  });
  const started = await Promise.allSettled(
    places.map((place) =>
      startKafkaNode({
        nodeId: place.nodeId,
        address: place.port === undefined ? undefined : `127.0.0.1:${place.port}`,
        clusterId,
        properties: { ...shared, ...placeProperties(place, shared), ...properties },
        folder: folderOf(place),
        jars,
        progress: () => {},
      }),
    ),
  );
  const nodes = started.flatMap((node) => (node.status === 'fulfilled' ? [node.value] : []));
  const failed = started.find((node) => node.status === 'rejected');
  if (failed !== undefined) {
    await Promise.all(nodes.map((node) => node.kill()));
    for (const clear of clearFolders) clear();
    throw failed.reason;
  }

  const atService = places.filter(({ servicePort }) => servicePort !== undefined);
  const proxies = isProxied
    ? await Promise.all(
        atService.map(({ proxyPort = 0, servicePort = 0 }) =>
          startProxy({ port: proxyPort, targetPort: servicePort, alter }),
        ),
      )
    : [];
  const brokers = nodes.slice(0, BROKERS);
  const address = brokers.flatMap((node) => node.address ?? []).join(',');
  const partitions = (topic: string) => partitionStates(address, topic);
  return {
    nodes,
    brokers,
    address,
    serviceAddresses: atService.map(({ proxyPort = 0 }) => ({ host: '127.0.0.1', port: proxyPort })),
    proxies,
    broker: (nodeId) => {
      const node = brokers[nodeId - 1];
      if (node === undefined) throw new Error(`there is no broker ${nodeId}`);
      return node;
    },
    partitions,
    untilInSync: async (topic) => {
      const giveUpAt = performance.now() + IN_SYNC_TIMEOUT_MS;
      while (performance.now() < giveUpAt) {
        const states = await partitions(topic).catch(() => []);
        if (states.length > 0 && states.every(({ inSync, replicas }) => inSync.length === replicas.length))
          return true;
        await delay(250);
      }
      return false;
    },
    stop: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
      // A fault may have left some stopped, and a clean end proves nothing here.
      await Promise.all(nodes.map((node) => node.kill()));
      for (const clear of clearFolders) clear();
    },
  };
}

interface Place extends NodePlace {
  readonly servicePort: number | undefined;
  /** What the broker tells the service to connect to. */
  readonly proxyPort: number | undefined;
}

function placeProperties(place: Place, shared: Readonly<Record<string, string>>): Record<string, string> {
  const plain = nodeProperties(place);
  const fenced = { 'broker.session.timeout.ms': '6000', 'broker.heartbeat.interval.ms': '1000' };
  if (place.servicePort === undefined) return { ...plain, ...fenced };
  return {
    ...plain,
    ...fenced,
    listeners: `${plain.listeners},SERVICE://127.0.0.1:${place.servicePort}`,
    'advertised.listeners': `${plain['advertised.listeners']},SERVICE://127.0.0.1:${place.proxyPort}`,
    'listener.security.protocol.map': `${shared['listener.security.protocol.map']},SERVICE:PLAINTEXT`,
  };
}

/** The topic's partitions as the brokers see them now. */
export async function partitionStates(address: string, topic: string): Promise<readonly PartitionState[]> {
  const client = new kafkajs.Kafka({
    brokers: address.split(','),
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 3, initialRetryTime: 50 },
    connectionTimeout: 1_000,
    requestTimeout: 2_000,
  });
  const admin = client.admin();
  try {
    await admin.connect();
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return (topics[0]?.partitions ?? [])
      .toSorted((a, b) => a.partitionId - b.partitionId)
      .map(({ leader, replicas, isr }) => ({ leader, replicas, inSync: isr }));
  } finally {
    await admin.disconnect();
  }
}
