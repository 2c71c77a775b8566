import type { KafkaSecurity } from '../kafka/kafka-client.ts';
import { type KafkaConnection, openConnection } from './kafka-connection.ts';
import {
  type BrokerAddress,
  decodeMetadata,
  decodeProduceAnswer,
  encodeMetadata,
  encodeProduce,
  type ProduceAnswer,
  type ProducePartition,
  type TopicMetadata,
} from './kafka-protocol.ts';
import { type Compression, type RecordSource, recordBatch } from './record-batch.ts';

/** A connection unused for longer is replaced before use: brokers close idle ones, by default after ten minutes. */
const IDLE_MAX_MS = 9 * 60_000;
const CONNECT_TIMEOUT_MS = 3_000;
const METADATA_TIMEOUT_MS = 3_000;
/** For so long the word of a broker that lags behind (an older leader epoch) is not believed. */
const STALE_EPOCH_MS = 15_000;

export interface KafkaProducerOptions {
  readonly bootstrap: readonly { readonly host: string; readonly port: number }[];
  readonly security: KafkaSecurity;
  readonly topic: string;
  readonly compression: Compression;
  /** How long we wait for the broker, at most. */
  readonly requestTimeoutMs: number;
  /** Called with each metadata answer. */
  readonly onMetadata: (metadata: TopicMetadata) => void;
}

/** The records of one partition, as a lane hands them over. */
export interface PartitionRecords {
  readonly partition: number;
  readonly records: readonly RecordSource[];
}

/** One attempt to produce. */
export interface SendOptions {
  readonly leader: number;
  /** Each channel to a leader is a connection of its own. */
  readonly channel: string;
  /** How long the broker may wait for its in-sync replicas. */
  readonly brokerTimeoutMs: number;
  /**
   * Called at most once, in the same turn in which its records are written: whoever is no longer willing to be sent
   * stays behind there.
   */
  readonly take: () => readonly PartitionRecords[];
}

/** How one attempt to produce ended. */
export type SendResult =
  /** Kafka answered; `partitions` may lack some, and what is lacking is not known. */
  | ({ readonly status: 'answered' } & ProduceAnswer)
  /** No byte was written. */
  | { readonly status: 'unsent'; readonly reason: string }
  /** Written, not answered, and the connection that carried it is destroyed. */
  | { readonly status: 'lost'; readonly reason: 'connection' | 'timeout' | 'abandoned' };

export interface Attempt {
  readonly result: Promise<SendResult>;
  /** Gives up waiting: destroys the connection, so that the result comes as `lost`, or `unsent`. */
  abandon(): void;
}

interface Channel {
  readonly connection: KafkaConnection;
  usedAt: number;
}

/** Produces to the leaders of one topic. It neither queues nor retries: one call, one attempt. */
export class KafkaProducer {
  readonly #options: KafkaProducerOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #metadataChannels = new Map<string, Channel>();
  readonly #asked = new Set<string>();
  #brokers: readonly BrokerAddress[] = [];
  #latest: { metadata: TopicMetadata; epochsSeenAt: number[] } | undefined;
  #askedCount = 0;
  #appliedAsk = 0;
  #closed = false;

  constructor(options: KafkaProducerOptions) {
    this.#options = options;
  }

  /** Starts one attempt over the channel's connection to the leader. */
  send({ leader, channel, brokerTimeoutMs, take }: SendOptions): Attempt {
    const key = `${leader}/${channel}`;
    let connection: KafkaConnection | undefined;
    let isAbandoned = false;
    const attempt = async (): Promise<SendResult> => {
      try {
        connection = await this.#connectionOf(key, leader);
      } catch (error) {
        return { status: 'unsent', reason: messageOf(error) };
      }
      if (isAbandoned || this.#closed) return { status: 'unsent', reason: 'abandoned' };
      const partitions = take();
      if (partitions.length === 0) return { status: 'unsent', reason: 'nothing to send' };
      return this.#exchange(connection, this.#encode(partitions, brokerTimeoutMs), () => isAbandoned);
    };
    return {
      result: attempt(),
      abandon: () => {
        isAbandoned = true;
        connection?.destroy();
      },
    };
  }

  /**
   * Asks one broker for the topic's metadata, each time another one, so that a broker that hangs is not asked twice
   * in a row. Returns what went wrong, or `undefined`. Never throws.
   */
  async refreshMetadata(): Promise<string | undefined> {
    const ask = ++this.#askedCount;
    const candidates = this.#metadataCandidates();
    const address = candidates[ask % candidates.length];
    if (address === undefined || this.#closed) return 'closed';
    const key = `${address.host}:${address.port}`;
    if (this.#asked.has(key)) return `${key}: no answer yet`;
    this.#asked.add(key);
    try {
      const payload = await this.#askForMetadata(key, address);
      if (ask < this.#appliedAsk || this.#closed) return undefined;
      this.#appliedAsk = ask;
      this.#apply(decodeMetadata(payload));
      return undefined;
    } catch (error) {
      this.#metadataChannels.get(key)?.connection.destroy();
      return `${key}: ${messageOf(error)}`;
    } finally {
      this.#asked.delete(key);
    }
  }

  /** Closes a channel that is not needed any more. No attempt may be under way on it. */
  release(leader: number, channel: string): void {
    this.#channels.get(`${leader}/${channel}`)?.connection.destroy();
  }

  /** Destroys every connection; what is still in flight ends as lost. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    const channels = [...this.#channels.values(), ...this.#metadataChannels.values()];
    for (const { connection } of channels) connection.destroy();
    await Promise.all(channels.map(({ connection }) => connection.closed));
  }

  #encode(
    partitions: readonly PartitionRecords[],
    timeoutMs: number,
  ): Parameters<KafkaConnection['exchange']>[0] {
    const { topic, compression } = this.#options;
    const nowMs = Date.now();
    const batches: ProducePartition[] = partitions.map(({ partition, records }) => ({
      partition,
      batch: recordBatch(records, nowMs, compression),
    }));
    return (header) => encodeProduce(header, { topic, timeoutMs, partitions: batches });
  }

  async #exchange(
    connection: KafkaConnection,
    encode: Parameters<KafkaConnection['exchange']>[0],
    isAbandoned: () => boolean,
  ): Promise<SendResult> {
    let hasTimedOut = false;
    const timer = setTimeout(() => {
      hasTimedOut = true;
      connection.destroy();
    }, this.#options.requestTimeoutMs);
    try {
      return { status: 'answered', ...decodeProduceAnswer(await connection.exchange(encode)) };
    } catch {
      connection.destroy();
      await connection.closed;
      const reason = hasTimedOut ? 'timeout' : isAbandoned() ? 'abandoned' : 'connection';
      return { status: 'lost', reason };
    } finally {
      clearTimeout(timer);
    }
  }

  async #connectionOf(key: string, leader: number): Promise<KafkaConnection> {
    const now = performance.now();
    const channel = this.#channels.get(key);
    if (channel?.connection.isUsable && now - channel.usedAt < IDLE_MAX_MS) {
      channel.usedAt = now;
      return channel.connection;
    }
    channel?.connection.destroy();
    const address = this.#brokers.find(({ nodeId }) => nodeId === leader);
    if (address === undefined) throw new Error(`broker ${leader} is not in the metadata`);
    const connection = await openConnection(this.#options.security, address, CONNECT_TIMEOUT_MS);
    if (this.#closed) connection.destroy();
    else keepUntilClosed(this.#channels, key, { connection, usedAt: now });
    return connection;
  }

  async #askForMetadata(key: string, address: { host: string; port: number }): Promise<Buffer> {
    let connection = this.#metadataChannels.get(key)?.connection;
    if (!connection?.isUsable) {
      connection?.destroy();
      connection = await openConnection(this.#options.security, address, CONNECT_TIMEOUT_MS);
      keepUntilClosed(this.#metadataChannels, key, { connection, usedAt: performance.now() });
    }
    const { topic } = this.#options;
    const answer = connection.exchange((header) => encodeMetadata(header, topic));
    return within(METADATA_TIMEOUT_MS, connection, answer);
  }

  /** The brokers of the last answer, then the configured ones, in case all of those have moved. */
  #metadataCandidates(): readonly { host: string; port: number }[] {
    const known = this.#brokers.map(({ host, port }) => ({ host, port }));
    const isKnown = (at: { host: string; port: number }) =>
      known.some(({ host, port }) => host === at.host && port === at.port);
    return [...known, ...this.#options.bootstrap.filter((address) => !isKnown(address))];
  }

  #apply(answer: TopicMetadata): void {
    const now = performance.now();
    const before = this.#latest;
    const epochsSeenAt: number[] = [];
    const partitions = answer.partitions.map((fresh, index) => {
      const known = before?.metadata.partitions[index];
      const seenAt = before?.epochsSeenAt[index] ?? 0;
      const isStale =
        known !== undefined && fresh.leaderEpoch < known.leaderEpoch && now - seenAt < STALE_EPOCH_MS;
      epochsSeenAt.push(isStale ? seenAt : now);
      return isStale ? known : fresh;
    });
    const metadata = { ...answer, partitions };
    if (answer.brokers.length > 0) this.#brokers = answer.brokers;
    this.#latest = { metadata, epochsSeenAt };
    this.#options.onMetadata(metadata);
  }
}

/** The exchange's answer, or a rejection after `timeoutMs`, which destroys the connection. */
async function within(
  timeoutMs: number,
  connection: KafkaConnection,
  answer: Promise<Buffer>,
): Promise<Buffer> {
  const timer = setTimeout(() => connection.destroy(), timeoutMs);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}

function keepUntilClosed(channels: Map<string, Channel>, key: string, channel: Channel): void {
  channels.set(key, channel);
  void channel.connection.closed.then(() => {
    if (channels.get(key) === channel) channels.delete(key);
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
