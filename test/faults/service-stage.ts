import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../../dev/folders.ts';
import { startRedis } from '../../dev/local-redis.ts';
import type { FaultCluster } from './cluster.ts';
import type { Ledger } from './ledger.ts';
import { type LoneRequests, startLoneRequests } from './lone-requests.ts';
import { listenToNotifications } from './notification-listener.ts';
import { observePhase } from './phase.ts';
import type { ServiceControls, ServiceScenario } from './scenario.ts';
import { type ServiceProcess, startServiceProcess } from './service-process.ts';
import { startServiceSubject } from './service-subject.ts';
import { BUFFER_BYTES_MAX, type Subject } from './subject.ts';

export interface ServiceStageOptions {
  readonly scenario: ServiceScenario;
  readonly cluster: FaultCluster;
  readonly topic: string;
  readonly partitions: number;
  readonly ledger: Ledger;
  /** `undefined`: what the service does by default. */
  readonly bufferBytesMax: number | undefined;
  readonly connections: number;
  readonly eventsPerSecond: number;
  readonly sources: number;
  /** No pipelining: the single events that the scenario starts beside the load are the whole load. */
  readonly isAlone: boolean;
  readonly tell: (what: string) => void;
}

/** The services, their Redis and who listens to it: all that a scenario on the service has beside the cluster. */
export interface StartedServices {
  readonly subject: Subject;
  readonly controls: ServiceControls;
  /** Offers no more beside the load; the services still run. */
  stopOffering(): void;
  /** What the services say about themselves at the end, as rows of the table. */
  rows(): Promise<readonly (readonly [string, string])[]>;
  /** SIGTERM to each. Returns how they ended and what in their logs means a fault of theirs. */
  end(): Promise<{ readonly exits: string; readonly isClean: boolean; readonly faults: readonly string[] }>;
  close(): Promise<void>;
}

const LONE_PER_SECOND = 50;
export async function startServices(options: ServiceStageOptions): Promise<StartedServices> {
  const { scenario, cluster, topic, partitions, ledger, bufferBytesMax, connections, sources, tell } =
    options;
  const { eventsPerSecond, isAlone } = options;
  const needs = scenario.service;
  const folder = temporaryFolder('service');
  const redis = await startRedis({ folder: join(folder, 'redis') });
  const logFiles: string[] = [];
  const services: ServiceProcess[] = [];
  const closing: (() => unknown)[] = [() => redis.kill()];
  try {
    for (let replica = 0; replica < (needs.replicas ?? 1); replica += 1) {
      const logFile = join(folder, `service-${replica + 1}.log`);
      logFiles.push(logFile);
      const service = await startServiceProcess({
        brokers: cluster.serviceAddresses.map(({ host, port }) => `${host}:${port}`).join(','),
        topic,
        redisUrl: redis.url,
        logFile,
        settings: {
          KAFKA_TOPIC_CREATE: 'true',
          KAFKA_TOPIC_PARTITIONS: String(partitions),
          ...(bufferBytesMax === undefined ? {} : { BUFFER_MAX_BYTES: String(bufferBytesMax) }),
          ...needs.settings?.(folder),
        },
      });
      services.push(service);
      closing.push(() => service.kill());
    }
    const [service] = services;
    if (service === undefined) throw new Error('a scenario needs one service at least');
    const listener = await listenToNotifications(redis.url, (number) => ledger.notified(number));
    closing.push(() => listener.close());
    const idleBytes = service.memory().residentBytes;
    const subject = await startServiceSubject({ ...service, connections, partitions });
    closing.push(() => subject.close());
    const lone: LoneRequests[] = [];
    return {
      subject,
      controls: {
        service,
        services,
        redis,
        eventsPerSecond,
        sources,
        bufferBytesMax: bufferBytesMax ?? BUFFER_BYTES_MAX,
        idleBytes,
        folder,
        notifications: listener.count,
        startLoneRequests: () => {
          const started = startLoneRequests({
            address: service,
            ledger,
            source: sources,
            eventsPerSecond: isAlone ? eventsPerSecond : LONE_PER_SECOND,
          });
          lone.push(started);
          closing.push(() => started.close());
          return started;
        },
        observe: (name, ms) => observePhase({ name, ms, service, ledger, tell }),
      },
      stopOffering: () => {
        for (const each of lone) each.stop();
      },
      rows: async () => rowsOf(await Promise.all(services.map((each) => each.metrics()))),
      end: async () => {
        const exits = await Promise.all(services.map((each) => each.stop()));
        return {
          exits: exits.map(({ code, signal }) => signal ?? `exit code ${code}`).join(', '),
          isClean: exits.every(({ code }) => code === 0),
          faults: logFiles.flatMap(faultsIn),
        };
      },
      close: async () => {
        for (const close of closing.toReversed()) await close();
      },
    };
  } catch (error) {
    for (const close of closing.toReversed()) await close();
    throw error;
  }
}

/** Lines that the service writes only when it has a fault itself. */
function faultsIn(logFile: string): string[] {
  const lines = readFileSync(logFile, 'utf8').split('\n');
  return lines.filter((line) => line.includes('"level":60') || /a fault (of|in) this service/.test(line));
}

function rowsOf(metrics: readonly ReadonlyMap<string, number>[]): readonly (readonly [string, string])[] {
  const told = (name: string) => {
    const sums = new Map<string, number>();
    for (const samples of metrics) {
      for (const [sample, value] of samples) {
        const label = new RegExp(`^${name}\\{.*="(.*)"\\}$`).exec(sample)?.[1];
        if (label !== undefined && value > 0) sums.set(label, (sums.get(label) ?? 0) + value);
      }
    }
    return [...sums].map(([label, sum]) => `${label} ${sum}`).join(', ') || 'none';
  };
  return [
    ['as the service counts: events', told('dual_stream_events_total')],
    ['failed attempts', told('dual_stream_kafka_errors_total')],
    ['notifications', told('dual_stream_redis_notifications_total')],
  ];
}
