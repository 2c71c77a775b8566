import { setTimeout as delay } from 'node:timers/promises';
import kafkajs, { type Kafka, type logCreator } from 'kafkajs';
import type { Logger } from 'pino';
import { createSocket, type KafkaSecurity } from './kafka-connection.ts';

const { ConfigResourceTypes, Kafka: KafkaClient, logLevel } = kafkajs;

/** How often the topic's settings are read; sooner while they are not known. */
const READ_EVERY_MS = 60_000;
const RETRY_MS = 2_000;
const CALL_TIMEOUT_MS = 10_000;
const NEW_TOPIC_POLL_MS = 50;
const NEW_TOPIC_POLLS_MAX = 40;

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

/** kafkajs's client for what is not on the path of events; its log lines become ours at level debug. */
export function kafkaClient(options: {
  readonly brokers: readonly { readonly host: string; readonly port: number }[];
  readonly clientId: string;
  readonly log: Logger;
  readonly tls?: KafkaSecurity['tls'];
  readonly sasl?: KafkaSecurity['sasl'];
}): { kafka: Kafka; security: KafkaSecurity } {
  const { clientId, brokers, log, tls, sasl } = options;
  const creator: logCreator =
    () =>
    ({ namespace, log: { message, error } }) =>
      log.debug({ kafkajs: namespace, error }, message);
  const kafka = new KafkaClient({
    clientId,
    ssl: tls !== undefined,
    ...(sasl === undefined ? {} : { sasl }),
    // kafkajs would keep the certificates that it is given here.
    socketFactory: (target) => createSocket({ ...target, ...(tls === undefined ? {} : { ssl: tls() }) }),
    brokers: brokers.map(({ host, port }) => `${host}:${port}`),
    connectionTimeout: 3_000,
    requestTimeout: 5_000,
    retry: { retries: 0 },
    // Each client is for one reading. By default it would authenticate again and again where sessions are short.
    reauthenticationThreshold: 0,
    logLevel: logLevel.INFO,
    logCreator: creator,
  });
  return { kafka, security: { clientId, tls, sasl, logger: kafka.logger() } };
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
    const { promise: timedOut, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error('Kafka does not answer')), CALL_TIMEOUT_MS);
    try {
      const reading = this.#read(admin);
      reading.catch(() => {}); // when the timer wins, nobody else looks at how it ends
      const settings = await Promise.race([reading, timedOut]);
      if (!this.#isClosed) this.#options.onSettings(settings);
    } finally {
      clearTimeout(timer);
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

/** As safe as the cluster allows. Returns whether it was created now, rather than being there. */
async function createTopic(
  admin: ReturnType<Kafka['admin']>,
  topic: string,
  partitions: number,
): Promise<boolean> {
  const existing = await admin.listTopics();
  if (existing.includes(topic)) return false;
  const { brokers } = await admin.describeCluster();
  const replicationFactor = Math.min(3, brokers.length);
  const isNew = await admin.createTopics({
    waitForLeaders: false,
    topics: [
      {
        topic,
        numPartitions: partitions,
        replicationFactor,
        configEntries: [
          { name: 'min.insync.replicas', value: replicationFactor === 3 ? '2' : '1' },
          { name: 'unclean.leader.election.enable', value: 'false' },
          { name: 'message.timestamp.type', value: 'LogAppendTime' },
        ],
      },
    ],
  });
  // The broker that is asked next hears of the topic a moment later.
  for (let poll = 0; poll < NEW_TOPIC_POLLS_MAX; poll += 1) {
    if ((await admin.listTopics()).includes(topic)) break;
    await delay(NEW_TOPIC_POLL_MS);
  }
  return isNew;
}
