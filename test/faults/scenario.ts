import type { LocalRedis } from '../../dev/local-redis.ts';
import type { ClusterOptions, FaultCluster } from './cluster.ts';
import type { Ledger } from './ledger.ts';
import type { LoneRequests } from './lone-requests.ts';
import type { Phase } from './phase.ts';
import type { ServiceProcess } from './service-process.ts';
import type { Subject } from './subject.ts';

/** What a scenario breaks, and by what it is judged. */
export interface Faults {
  readonly name: string;
  readonly summary: string;
  readonly cluster?: Omit<ClusterOptions, 'alter'>;
  /** Left out: not asserted, because the fault takes Kafka away for longer than anybody waits. */
  readonly storedShareMin?: number;
  readonly duplicatesShareMax?: number;
}

/** Runs on the publisher, in this process. */
export interface Scenario extends Faults {
  /** Runs under load. It leaves every broker running. */
  run(stage: Stage): Promise<void>;
}

/** Runs on the service as a process of its own, over HTTP, with a Redis. */
export interface ServiceScenario extends Faults {
  readonly service: ServiceNeeds;
  /** Runs under load. It leaves every broker, Redis and the service running. */
  run(stage: ServiceStage): Promise<void>;
}

export interface ServiceNeeds {
  /** Processes on the same topic; left out: one. */
  readonly replicas?: number;
  /**
   * Connections that the load has. Where much is refused it needs one per source: Node reads no further from a
   * connection that has 64 KB of refusals waiting behind an answer that Kafka delays.
   */
  readonly connections: number;
  /** Unless the command says something else. */
  readonly eventsPerSecond?: number;
  readonly sources?: number;
  /** Settings beside those that every service needs. `folder` is empty and temporary. */
  readonly settings?: (folder: string) => Readonly<Record<string, string>>;
  /** The scenario offers events itself, and nobody else does. */
  readonly hasOwnLoad?: boolean;
  /** Asserts that every stored event is notified: neither the service nor Redis is what breaks. */
  readonly areAllNotified?: boolean;
  /** How long a client waits at most, where it asks more than once. Milliseconds. */
  readonly answerMsMax?: number;
}

export interface Stage {
  readonly cluster: FaultCluster;
  readonly topic: string;
  readonly ledger: Ledger;
  readonly subject: Subject;
  readonly kills: number;
  /** How long the fault lasts, where it has a length; `undefined`: the scenario's own. */
  readonly seconds: number | undefined;
  readonly random: () => number;
  /** A line of what happens now. */
  tell(what: string): void;
  /** The last broker is back: from here on every partition is to store again within ten seconds. */
  healed(what: string): void;
  /** Counts as one more assertion. */
  assert(name: string, isTrue: boolean, found: string): void;
}

export type ServiceStage = Stage & ServiceControls;

export interface ServiceControls {
  /** The first of them, which the load is put on. */
  readonly service: ServiceProcess;
  readonly services: readonly ServiceProcess[];
  readonly redis: LocalRedis;
  readonly eventsPerSecond: number;
  readonly sources: number;
  readonly bufferBytesMax: number;
  /** Resident memory of the first service before any load. */
  readonly idleBytes: number;
  /** Where {@link ServiceNeeds.settings} may have put something. */
  readonly folder: string;
  /** Notifications that a subscriber of Redis has heard so far. */
  readonly notifications: () => number;
  /** Single events beside the load, to measure refusals by. Ended by the stage. */
  startLoneRequests(): LoneRequests;
  /** Waits for this long and measures the first service; a line of its memory now and then. */
  observe(name: string, ms: number): Promise<Phase>;
}
