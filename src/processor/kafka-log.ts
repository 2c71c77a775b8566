import type { Admin, Kafka } from 'kafkajs';
import { withinTime } from '../kafka/within-time.ts';
import type { LogRange } from './event-processor.ts';

const CALL_TIMEOUT_MS = 10_000;

/** What is asked about the topic beside its records, on one connection that is made again when something fails on it. */
export class KafkaLog {
  readonly #kafka: Kafka;
  readonly #topic: string;
  #admin: Promise<Admin> | undefined;

  constructor(kafka: Kafka, topic: string) {
    this.#kafka = kafka;
    this.#topic = topic;
  }

  /** The name that the cluster gave itself: that of its log directories, whatever its address. */
  async cluster(): Promise<string> {
    return this.#ask(async (admin) => (await admin.describeCluster()).clusterId);
  }

  /** The offsets that each partition has. */
  async ranges(): Promise<ReadonlyMap<number, LogRange>> {
    const offsets = await this.#ask((admin) => admin.fetchTopicOffsets(this.#topic));
    return new Map(
      offsets.map(({ partition, low, high }) => [partition, { low: Number(low), high: Number(high) }]),
    );
  }

  /** For each partition the offset of the first record from then on, or its end. */
  async offsetsAt(timestampMs: number): Promise<ReadonlyMap<number, number>> {
    const offsets = await this.#ask((admin) => admin.fetchTopicOffsetsByTimestamp(this.#topic, timestampMs));
    return new Map(offsets.map(({ partition, offset }) => [partition, Number(offset)]));
  }

  /** Does something as administrator. @throws Error when Kafka does not answer in time, or not as it should */
  async #ask<Result>(work: (admin: Admin) => Promise<Result>): Promise<Result> {
    this.#admin ??= this.#connect();
    const asked = this.#admin;
    try {
      return await withinTime(asked.then(work), CALL_TIMEOUT_MS);
    } catch (error) {
      if (this.#admin === asked) this.#admin = undefined;
      disconnect(asked);
      throw error;
    }
  }

  async #connect(): Promise<Admin> {
    const admin = this.#kafka.admin();
    await admin.connect();
    return admin;
  }

  close(): void {
    if (this.#admin !== undefined) disconnect(this.#admin);
    this.#admin = undefined;
  }
}

/** Nothing depends on how a spent client ends. */
function disconnect(admin: Promise<Admin>): void {
  admin.then((connected) => connected.disconnect()).catch(() => {});
}
