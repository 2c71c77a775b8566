import assert from 'node:assert/strict';
import type { Attempt, PartitionRecords, SendOptions, SendResult } from '../../src/ingest/kafka-producer.ts';
import type { PartitionAnswer, TopicMetadata } from '../../src/ingest/kafka-protocol.ts';
import type { Random } from './random.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What can be wrong with a broker, or with the way to it, for a while. */
export type Fault =
  /** Connections are refused; requests under way are lost, executed or not. */
  | 'down'
  /** Takes requests and does nothing until the fault is over, then does it all. */
  | 'paused'
  /** Executes requests, and the answers never arrive. */
  | 'answers lost'
  /** Answers come seconds late. */
  | 'slow'
  /** Answers partitions with errors, some before and some after the append. */
  | 'errors'
  /** Answers, and asks to be left alone for a while. */
  | 'throttled'
  /** Takes no connection beside the shared one. */
  | 'crowded';

/** Errors that a leader answers without having appended, and those after which nobody can tell. */
const REFUSING = [2, 10, 17, 18, 19, 21, 29, 31, 32, 35, 43, 44, 76, 87];
const AMBIGUOUS = [-1, 3, 5, 6, 7, 13, 20, 56, 74];
const REQUEST_TIMEOUT_MS = 11_000;
const NOT_LEADER = 6;
const REQUEST_TIMED_OUT = 7;
const MESSAGE_TOO_LARGE = 10;

interface Partition {
  leader: number;
  leaderEpoch: number;
  readonly log: string[];
  /** Appends wait for a replica that does not follow, and requests that carry one for the appends. */
  isStuck: boolean;
  /** The attempt whose result the lane has not heard yet. */
  live: object | undefined;
}

export interface KafkaModelOptions {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly leaders: number;
  readonly partitions: number;
  readonly onMetadata: (metadata: TopicMetadata) => void;
  /** Called with each record as it is written to a connection. */
  readonly onWrite: (id: string) => void;
}

/**
 * A Kafka that misbehaves as real ones do: delays, errors for single partitions, lost answers, leaders that move,
 * partitions that are added, and requests that are executed after their connection was given up.
 */
export class KafkaModel {
  readonly #options: KafkaModelOptions;
  readonly #partitions: Partition[] = [];
  readonly #faults = new Map<number, Fault>();
  /** Answers that wait for stuck partitions. */
  readonly #undecided = new Set<() => void>();
  /** Requests that a paused broker has read and will execute. */
  readonly #held = new Map<number, (() => void)[]>();
  readonly #throttledUntil = new Map<number, number>();
  /** How often each error code was answered. */
  readonly answered = new Map<number, number>();
  /** Leaders that were written to. */
  readonly leadersUsed = new Set<number>();

  constructor(options: KafkaModelOptions) {
    this.#options = options;
    this.grow(options.partitions);
  }

  get partitionCount(): number {
    return this.#partitions.length;
  }

  log(partition: number): readonly string[] {
    return this.#partitions[partition]?.log ?? [];
  }

  grow(count: number): void {
    while (this.#partitions.length < count) {
      const leader = this.#partitions.length % this.#options.leaders;
      this.#partitions.push({ leader, leaderEpoch: 0, log: [], isStuck: false, live: undefined });
    }
  }

  begin(leader: number, fault: Fault): void {
    this.#faults.set(leader, fault);
  }

  end(leader: number): void {
    this.#faults.delete(leader);
    for (const execute of this.#held.get(leader)?.splice(0) ?? []) execute();
  }

  move(partition: number, leader: number): void {
    const moved = this.#partitions[partition];
    if (moved === undefined) return;
    moved.leader = leader;
    moved.leaderEpoch += 1;
  }

  /** From now on the partition's appends are not acknowledged, or are again. */
  stick(partition: number, isStuck: boolean): void {
    const stuck = this.#partitions[partition];
    if (stuck === undefined) return;
    stuck.isStuck = isStuck;
    for (const decide of this.#undecided) decide();
  }

  readonly refreshMetadata = (): void => {
    const { time, random, onMetadata } = this.#options;
    if (random.chance(0.1)) return; // the broker that was asked does not answer
    const isLagging = random.chance(0.1); // what it says is as old as the question
    const known = isLagging ? this.#metadata() : undefined;
    time.after(random.between(1, isLagging ? 3_000 : 200), () => onMetadata(known ?? this.#metadata()));
  };

  readonly send = ({ leader, channel, brokerTimeoutMs, take }: SendOptions): Attempt => {
    const { time, random } = this.#options;
    const { promise, resolve } = Promise.withResolvers<SendResult>();
    const attempt = {};
    let isOver = false;
    let written: readonly PartitionRecords[] = [];
    const finish = (result: SendResult) => {
      if (isOver) return;
      isOver = true;
      for (const { partition } of written) {
        const carried = this.#partitions[partition] as Partition;
        assert.equal(carried.live, attempt);
        carried.live = undefined;
      }
      if (result.status === 'answered' && result.throttleTimeMs > 0) {
        this.#throttledUntil.set(leader, time.now() + result.throttleTimeMs);
      }
      resolve(result);
    };
    time.after(random.between(0, 3), () => {
      if (isOver) return;
      const fault = this.#faults.get(leader);
      if (fault === 'down' || (fault === 'crowded' && channel !== 'shared')) {
        time.after(random.between(0, 300), () => finish({ status: 'unsent', reason: 'connection refused' }));
        return;
      }
      written = take();
      if (written.length === 0) {
        finish({ status: 'unsent', reason: 'nothing to send' });
        return;
      }
      this.leadersUsed.add(leader);
      assert.ok(time.now() >= (this.#throttledUntil.get(leader) ?? 0), 'a broker over quota is left alone');
      for (const { partition, records } of written) {
        const carried = this.#partitions[partition] as Partition;
        assert.equal(carried.live, undefined, 'P6: a lane has one attempt under way');
        carried.live = attempt;
        for (const id of idsOf(records)) this.#options.onWrite(id);
      }
      time.after(REQUEST_TIMEOUT_MS, () => finish({ status: 'lost', reason: 'timeout' }));
      time.after(random.between(0, 4), () => this.#arrive(leader, brokerTimeoutMs, written, finish));
    });
    return {
      result: promise,
      abandon: () =>
        finish(
          written.length > 0
            ? { status: 'lost', reason: 'abandoned' }
            : { status: 'unsent', reason: 'abandoned' },
        ),
    };
  };

  #metadata(): TopicMetadata {
    const partitions = this.#partitions.map(({ leader, leaderEpoch }, partition) => {
      const isDown = this.#faults.get(leader) === 'down';
      return {
        partition,
        errorCode: 0,
        leader: isDown ? -1 : leader,
        leaderEpoch,
        replicas: 3,
        inSyncReplicas: 3,
      };
    });
    return { errorCode: 0, brokers: [], partitions };
  }

  #arrive(
    leader: number,
    brokerTimeoutMs: number,
    requested: readonly PartitionRecords[],
    finish: (result: SendResult) => void,
  ): void {
    const { time, random } = this.#options;
    const fault = this.#faults.get(leader);
    const answer = (delayMs: number) => {
      const partitions = requested.map((each) => this.#execute(leader, each, fault));
      // An answer may leave a partition out, whatever became of it.
      if (fault === 'errors' && random.chance(0.05)) partitions.pop();
      const throttleTimeMs = fault === 'throttled' ? random.between(0, 3_000) : 0;
      this.#decided(partitions, brokerTimeoutMs, (decided) =>
        time.after(delayMs, () => finish({ status: 'answered', partitions: decided, throttleTimeMs })),
      );
    };
    switch (fault) {
      case 'down':
        if (random.chance(0.5)) this.#executeSilently(leader, requested);
        time.after(random.between(0, 50), () => finish({ status: 'lost', reason: 'connection' }));
        return;
      case 'paused': {
        const held = this.#held.get(leader) ?? [];
        this.#held.set(leader, held);
        held.push(() => answer(random.between(0, 5)));
        return;
      }
      case 'answers lost':
        this.#executeSilently(leader, requested);
        if (random.chance(0.5))
          time.after(random.between(0, 2_000), () => finish({ status: 'lost', reason: 'connection' }));
        return;
      case 'slow':
        time.after(random.between(500, 14_000), () => answer(0));
        return;
      case 'errors':
      case 'crowded':
      case 'throttled':
      case undefined:
        answer(random.between(0, 8));
    }
  }

  /** Answers when no append of the request waits for a replica any more, or the broker's patience is over. */
  #decided(
    answers: readonly PartitionAnswer[],
    brokerTimeoutMs: number,
    onDecided: (answers: readonly PartitionAnswer[]) => void,
  ): void {
    const isWaiting = ({ partition, errorCode }: PartitionAnswer) =>
      errorCode === 0 && this.#partitions[partition]?.isStuck === true;
    const decide = (isOver: boolean) => {
      if ((!isOver && answers.some(isWaiting)) || !this.#undecided.delete(wait)) return;
      onDecided(
        answers.map((answer) =>
          isWaiting(answer) ? this.#failed(answer.partition, REQUEST_TIMED_OUT) : answer,
        ),
      );
    };
    const wait = () => decide(false);
    this.#undecided.add(wait);
    this.#options.time.after(brokerTimeoutMs, () => decide(true));
    wait();
  }

  #failed(partition: number, errorCode: number): PartitionAnswer {
    this.answered.set(errorCode, (this.answered.get(errorCode) ?? 0) + 1);
    return { partition, errorCode, baseOffset: -1 };
  }

  /** One partition of a request, as the broker `leader` does it. */
  #execute(
    leader: number,
    { partition, records }: PartitionRecords,
    fault: Fault | undefined,
  ): PartitionAnswer {
    const { random } = this.#options;
    const target = this.#partitions[partition] as Partition;
    const ids = idsOf(records);
    const fail = (errorCode: number) => this.#failed(partition, errorCode);
    if (target.leader !== leader) return fail(NOT_LEADER);
    if (ids.some((id) => id.endsWith('too-large'))) return fail(MESSAGE_TOO_LARGE);
    if (fault === 'errors' && random.chance(0.6)) {
      const isAmbiguous = random.chance(0.5);
      if (isAmbiguous && random.chance(0.5)) target.log.push(...ids);
      return fail(random.pick(isAmbiguous ? AMBIGUOUS : REFUSING));
    }
    const baseOffset = target.log.length;
    target.log.push(...ids);
    return { partition, errorCode: 0, baseOffset };
  }

  #executeSilently(leader: number, requested: readonly PartitionRecords[]): void {
    for (const each of requested) this.#execute(leader, each, undefined);
  }
}

function idsOf(records: PartitionRecords['records']): string[] {
  return records.map(({ head }) => head);
}
