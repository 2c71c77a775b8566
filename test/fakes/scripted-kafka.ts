import type { Attempt, PartitionRecords, SendOptions, SendResult } from '../../src/ingest/kafka-producer.ts';
import type { PartitionAnswer, TopicMetadata } from '../../src/ingest/kafka-protocol.ts';

/** One request that was written, to be answered, lost or left hanging by the test. */
export interface WrittenRequest {
  readonly leader: number;
  readonly channel: string;
  readonly brokerTimeoutMs: number;
  /** By partition: the values of its records. */
  readonly records: ReadonlyMap<number, readonly string[]>;
  isAbandoned: boolean;
  /** Answers every partition with success, or with the error codes given by partition. */
  answer(errors?: Record<number, number>, throttleTimeMs?: number): void;
  /** Answers with exactly these partitions. */
  answerWith(partitions: readonly PartitionAnswer[]): void;
  lose(reason?: 'connection' | 'timeout'): void;
}

/** A Kafka that does only what the test tells it to: it takes requests and says nothing by itself. */
export class ScriptedKafka {
  readonly requests: WrittenRequest[] = [];
  /** Leaders that refuse connections. */
  readonly unreachable = new Set<number>();
  /** Channels that no connection can be opened for. */
  readonly refusedChannels = new Set<string>();
  /** While true, connections are being opened and nothing is written. */
  isConnecting = false;
  metadataAsked = 0;
  readonly released: string[] = [];
  readonly #log = new Map<number, string[]>();
  readonly #waiting: (() => void)[] = [];

  readonly send = (options: SendOptions): Attempt => {
    const { leader, channel, take } = options;
    const { promise, resolve } = Promise.withResolvers<SendResult>();
    let written: WrittenRequest | undefined;
    const write = () => {
      if (this.unreachable.has(leader) || this.refusedChannels.has(channel)) {
        resolve({ status: 'unsent', reason: 'connection refused' });
        return;
      }
      const partitions = take();
      if (partitions.length === 0) {
        resolve({ status: 'unsent', reason: 'nothing to send' });
        return;
      }
      written = this.#written(options, partitions, resolve);
      this.requests.push(written);
    };
    if (this.isConnecting) this.#waiting.push(write);
    else queueMicrotask(write);
    return {
      result: promise,
      abandon: () => {
        if (written) written.isAbandoned = true;
        resolve({ status: 'lost', reason: 'abandoned' });
      },
    };
  };

  readonly release = (leader: number, channel: string): void => {
    this.released.push(`${leader}/${channel}`);
  };

  readonly refreshMetadata = (): void => {
    this.metadataAsked += 1;
  };

  /** Connections that were being opened are open now. */
  connected(): void {
    this.isConnecting = false;
    for (const write of this.#waiting.splice(0)) write();
  }

  /** What a partition's log holds: the values, in order. */
  log(partition: number): readonly string[] {
    return this.#log.get(partition) ?? [];
  }

  /** The newest request, which must exist. */
  get last(): WrittenRequest {
    const last = this.requests.at(-1);
    if (last === undefined) throw new Error('nothing was written to Kafka');
    return last;
  }

  #written(
    { leader, channel, brokerTimeoutMs }: SendOptions,
    partitions: readonly PartitionRecords[],
    resolve: (result: SendResult) => void,
  ): WrittenRequest {
    const records = new Map(
      partitions.map(({ partition, records: sources }) => [
        partition,
        sources.map(({ head, tail }) => head + tail.toString()),
      ]),
    );
    return {
      leader,
      channel,
      brokerTimeoutMs,
      records,
      isAbandoned: false,
      answer: (errors = {}, throttleTimeMs = 0) => {
        const answers = [...records].map(([partition, values]): PartitionAnswer => {
          const errorCode = errors[partition] ?? 0;
          if (errorCode !== 0) return { partition, errorCode, baseOffset: -1 };
          const log = this.#log.get(partition) ?? [];
          this.#log.set(partition, [...log, ...values]);
          return { partition, errorCode, baseOffset: log.length };
        });
        resolve({ status: 'answered', partitions: answers, throttleTimeMs });
      },
      answerWith: (answers) => resolve({ status: 'answered', partitions: answers, throttleTimeMs: 0 }),
      lose: (reason = 'connection') => resolve({ status: 'lost', reason }),
    };
  }
}

/** Metadata of a healthy topic whose partitions are led by `leaders`. */
export function topicLedBy(...leaders: number[]): TopicMetadata {
  return {
    errorCode: 0,
    brokers: [...new Set(leaders)].map((nodeId) => ({ nodeId, host: '127.0.0.1', port: 9000 + nodeId })),
    partitions: leaders.map((leader, partition) => ({
      partition,
      errorCode: leader < 0 ? 5 : 0,
      leader,
      leaderEpoch: 0,
      replicas: 3,
      inSyncReplicas: leader < 0 ? 0 : 3,
    })),
  };
}
