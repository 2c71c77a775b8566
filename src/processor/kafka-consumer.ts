import { promisify } from 'node:util';
import { constants, gunzip, zstdDecompress } from 'node:zlib';
import kafkajs, { type Batch, type Consumer, type EachBatchPayload, type Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import { withinTime } from '../kafka/within-time.ts';
import type { Delivery, RecordsOfPartition, TakeOutcome } from './event-processor.ts';

const { CompressionCodecs, CompressionTypes } = kafkajs;

export interface GroupConsumerOptions {
  readonly kafka: Kafka;
  readonly groupId: string;
  readonly topic: string;
  readonly sessionTimeoutMs: number;
  readonly log: Logger;
  /** The partitions are given out anew. */
  readonly onAssigned: (partitions: readonly number[]) => void;
  readonly take: (records: RecordsOfPartition, delivery: Delivery) => Promise<TakeOutcome>;
  /** Whether it is a member of the group, and Kafka answers. */
  readonly onState: (isUp: boolean) => void;
}

/** Partitions that are added to the topic are noticed after so long. */
const METADATA_MAX_AGE_MS = 30_000;
/** A seek is noticed after so long, where nothing arrives. */
const FETCH_WAIT_MS = 500;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
/** What one compressed batch may become. */
const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024;
/** Of one fetch so many partitions are stored together. */
const PARTITIONS_AT_ONCE = 64;
const RESTART_AFTER_MS = 500;
const RESTART_AFTER_MS_MAX = 8_000;
/** kafkajs can wait for ever for an answer that is lost, so a consumer that did nothing for so long is replaced. */
const STALL_MS = 60_000;
const COMMIT_MS = 10_000;
const CLOSE_MS = 5_000;

const zstd = promisify(zstdDecompress);
const gzip = promisify(gunzip);
// kafkajs has none for zstd, and one for gzip that knows no bound. Nothing is compressed here.
const compress = () => Promise.reject(new Error('records are only read'));
CompressionCodecs[CompressionTypes.GZIP] = () => ({
  compress,
  decompress: (bytes: Buffer) => gzip(bytes, { maxOutputLength: DECOMPRESSED_BYTES_MAX }),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress,
  decompress: (bytes: Buffer) =>
    zstd(bytes, {
      maxOutputLength: DECOMPRESSED_BYTES_MAX,
      params: { [constants.ZSTD_d_windowLogMax]: 27 },
    }),
});

/**
 * A member of a consumer group, again and again until it is closed: a consumer of kafkajs that fails or stalls is
 * replaced. What it begins with is left to whoever takes the records, who seeks.
 *
 * While the records of a partition are taken, the next ones are fetched. They may turn out to be others than those that
 * are wanted then; whoever takes them notices.
 */
export class GroupConsumer {
  readonly #options: GroupConsumerOptions;
  readonly #ended: Promise<void>;
  /** What is being taken, by partition. */
  readonly #taking = new Map<number, Promise<TakeOutcome>>();
  #consumer: Consumer | undefined;
  /** Ends the consumer of the moment. */
  #end: () => void = () => {};
  #hasJoined = false;
  #isClosed = false;

  constructor(options: GroupConsumerOptions) {
    this.#options = options;
    this.#ended = this.#run();
  }

  seek(partition: number, offset: number): void {
    try {
      this.#consumer?.seek({ topic: this.#options.topic, partition, offset: String(offset) });
    } catch (error) {
      // It has not joined yet; the positions are looked at again.
      this.#options.log.debug({ err: error, partition }, 'cannot seek yet');
    }
  }

  /** Shows Kafka's tools how far this is. Nothing here is read from it, so that it may fail. */
  async commit(positions: ReadonlyMap<number, number>): Promise<void> {
    const { topic, log } = this.#options;
    const offsets = [...positions].map(([partition, next]) => ({ topic, partition, offset: String(next) }));
    if (offsets.length === 0) return;
    const committing = this.#consumer?.commitOffsets(offsets) ?? Promise.resolve();
    await withinTime(committing, COMMIT_MS).catch((error: Error) => {
      log.debug({ reason: error.message }, 'the group does not take the offsets');
    });
  }

  /** Leaves the group, once what is being stored is. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#end();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { log, onState } = this.#options;
    let lastReason = '';
    for (let failures = 0; !this.#isClosed; failures += 1) {
      this.#hasJoined = false;
      const reason = await this.#consume();
      onState(false);
      if (this.#isClosed) return;
      if (this.#hasJoined) failures = 0;
      // Once for each reason: a topic that is not there yet would fill the log. A group that is new has no coordinator at first.
      const level = this.#hasJoined || failures > 0 ? 'warn' : 'info';
      if (reason !== lastReason || failures === 1)
        log[level]({ reason }, 'the consumer has ended; another one takes its place');
      lastReason = this.#hasJoined ? '' : reason;
      await this.#pause(Math.min(RESTART_AFTER_MS * 2 ** failures, RESTART_AFTER_MS_MAX));
    }
  }

  async #pause(ms: number): Promise<void> {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    this.#end = resolve;
    const timer = setTimeout(resolve, ms);
    if (!this.#isClosed) await over;
    clearTimeout(timer);
  }

  /** One consumer, to its end. Returns why it ended. */
  async #consume(): Promise<string> {
    const { kafka, groupId, topic, sessionTimeoutMs, onAssigned, onState } = this.#options;
    const rebalanceTimeoutMs = 3 * sessionTimeoutMs;
    // Joining takes as long as the slowest member may, or one that is gone.
    const stallMs = STALL_MS + rebalanceTimeoutMs;
    const consumer = kafka.consumer({
      groupId,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs,
      heartbeatInterval: sessionTimeoutMs / 5,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      maxBytes: FETCH_BYTES_MAX,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 200, maxRetryTime: 2_000, retries: 5, restartOnFailure: async () => false },
    });
    const { promise: ended, resolve: end } = Promise.withResolvers<string>();
    let isCurrent = true;
    let activeAt = performance.now();
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      if (!isCurrent) return;
      this.#hasJoined = true;
      activeAt = performance.now();
      onAssigned(payload.memberAssignment[topic] ?? []);
    });
    consumer.on(consumer.events.FETCH, () => {
      activeAt = performance.now();
      // Not when it joins: what it is given may be unreadable.
      if (isCurrent) onState(true);
    });
    consumer.on(consumer.events.CRASH, ({ payload }) => end(reasonOf(payload.error)));
    const watch = setInterval(() => {
      if (this.#taking.size > 0) activeAt = performance.now();
      if (performance.now() - activeAt > stallMs) end(`nothing happened for ${stallMs} ms`);
    }, STALL_MS / 10);
    this.#end = () => end('closed');
    if (this.#isClosed) end('closed');
    this.#consumer = consumer;
    try {
      const running = this.#start(consumer, (payload) => this.#take(payload, () => isCurrent));
      running.catch((error: Error) => end(reasonOf(error)));
      return await ended;
    } finally {
      clearInterval(watch);
      this.#consumer = undefined;
      // What is being taken is finished before the partitions are given away, if that is possible in time.
      await withinTime(Promise.all(this.#taking.values()), CLOSE_MS).catch(() => {}); // it is not in time
      isCurrent = false;
      await Promise.all(this.#taking.values());
      await withinTime(consumer.disconnect(), CLOSE_MS).catch(() => {}); // nothing depends on how it ends
    }
  }

  async #start(consumer: Consumer, eachBatch: (payload: EachBatchPayload) => Promise<void>): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topics: [this.#options.topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch,
    });
  }

  async #take(payload: EachBatchPayload, isCurrent: () => boolean): Promise<void> {
    const { batch, resolveOffset, heartbeat } = payload;
    const { partition } = batch;
    await this.#taking.get(partition);
    if (!isCurrent()) return;
    const taking = this.#options
      .take(recordsOf(batch), { isCurrent, heartbeat })
      .catch((): TakeOutcome => 'left') // the group is about to say so itself
      .finally(() => this.#taking.delete(partition));
    this.#taking.set(partition, taking);
    // If it turns out otherwise, there is a seek, which is stronger.
    resolveOffset(batch.lastOffset());
  }
}

function recordsOf(batch: Batch): RecordsOfPartition {
  const { partition, messages } = batch;
  return {
    partition,
    // It is there, and not in the types.
    from: Number((batch as unknown as { fetchedOffset: string }).fetchedOffset),
    next: Number(batch.lastOffset()) + 1,
    records: messages.map(({ offset, timestamp, key, value, headers }) => ({
      partition,
      offset: Number(offset),
      timestampMs: Number(timestamp),
      key,
      value,
      headers: headers ?? {},
    })),
  };
}

/** kafkajs says the same of a group that is not ready yet as of one that must not be used. */
function reasonOf({ name, message }: Error): string {
  if (name !== 'KafkaJSGroupCoordinatorNotFound') return message;
  return `${message}: it is not ready yet, or the right to read in this group is missing`;
}
