import kafkajs, { type Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import { createTopic } from '../kafka/kafka-topics.ts';
import { withinTime } from '../kafka/within-time.ts';

const { ConfigResourceTypes } = kafkajs;

/** How often the topic's settings are read; sooner while they are not known. */
const READ_EVERY_MS = 60_000;
const RETRY_MS = 2_000;
const CALL_TIMEOUT_MS = 10_000;

/** What of a topic's settings decides how safe it is and what fits into it. */
export interface TopicSettings {
  readonly replicationFactor: number;
  readonly minInSyncReplicas: number;
  readonly messageBytesMax: number;
}

export interface TopicOptions {
  readonly kafka: Kafka;
  readonly topic: string;
  /** Partitions to create the topic with, or `undefined` where it must exist. */
  readonly createWithPartitions: number | undefined;
  readonly log: Logger;
  readonly onSettings: (settings: TopicSettings) => void;
}

/** Creates the topic if that is wanted, then reads its settings again and again, until it is closed. */
export class TopicWatch {
  readonly #options: TopicOptions;
  #timer: NodeJS.Timeout | undefined;
  #isCreated: boolean;
  #isClosed = false;
  #lastFault = '';

  constructor(options: TopicOptions) {
    this.#options = options;
    this.#isCreated = options.createWithPartitions === undefined;
    void this.#run();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    let nextMs = READ_EVERY_MS;
    try {
      await this.#readOnce();
      this.#lastFault = '';
    } catch (error) {
      nextMs = RETRY_MS;
      const fault = error instanceof Error ? error.message : String(error);
      // One line when it begins to fail and one per new reason: the connection's own state is logged elsewhere.
      if (fault !== this.#lastFault)
        this.#options.log.warn(
          { topic: this.#options.topic, fault },
          'Kafka cannot be asked about the topic yet',
        );
      this.#lastFault = fault;
    }
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#run(), nextMs);
  }

  /** An admin client for each reading: it is rare, and nothing is left that could hang or reconnect. */
  async #readOnce(): Promise<void> {
    const admin = this.#options.kafka.admin();
    try {
      const settings = await withinTime(this.#read(admin), CALL_TIMEOUT_MS);
      if (!this.#isClosed) this.#options.onSettings(settings);
    } finally {
      admin.disconnect().catch(() => {}); // nothing depends on how a spent client ends
    }
  }

  async #read(admin: ReturnType<Kafka['admin']>): Promise<TopicSettings> {
    const { topic, log, createWithPartitions } = this.#options;
    await admin.connect();
    if (!this.#isCreated && createWithPartitions !== undefined) {
      if (await createTopic(admin, topic, createWithPartitions))
        log.info({ topic, partitions: createWithPartitions }, 'created the topic');
      this.#isCreated = true;
    }
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const described = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [
        {
          type: ConfigResourceTypes.TOPIC,
          name: topic,
          configNames: ['min.insync.replicas', 'max.message.bytes'],
        },
      ],
    });
    const entries = described.resources[0]?.configEntries ?? [];
    const numberOf = (name: string) =>
      Number(entries.find(({ configName }) => configName === name)?.configValue);
    const replicas = topics[0]?.partitions.map((partition) => partition.replicas.length) ?? [];
    return {
      replicationFactor: Math.min(...replicas),
      minInSyncReplicas: numberOf('min.insync.replicas'),
      messageBytesMax: numberOf('max.message.bytes'),
    };
  }
}
