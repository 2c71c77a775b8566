import type { FaultCluster } from './cluster.ts';
import type { Ledger } from './ledger.ts';
import type { Subject } from './subject.ts';

/** What a scenario breaks, and by what it is judged. */
export interface Scenario {
  readonly name: string;
  readonly summary: string;
  readonly cluster?: {
    readonly controllers?: number;
    readonly isProxied?: boolean;
    readonly properties?: Readonly<Record<string, string>>;
  };
  /** Left out: not asserted, because the fault takes Kafka away for longer than anybody waits. */
  readonly storedShareMin?: number;
  readonly duplicatesShareMax?: number;
  /** Runs under load. It leaves every broker running. */
  run(stage: Stage): Promise<void>;
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
