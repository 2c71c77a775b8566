import type { EncodedBatch } from './record-batch.ts';

/**
 * The two Kafka requests that this service writes itself, as bytes; https://kafka.apache.org/protocol.
 *
 * Produce, because kafkajs's own cannot tell which partition failed. Metadata, because kafkajs throws the whole
 * answer away when one partition has no leader, and a stuck partition must not stall its siblings.
 */

export interface RequestHeader {
  readonly correlationId: number;
  readonly clientId: string;
}

/** An API in one version: what kafkajs's request queue wants to know of a request. */
export interface Api {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
}

/** Version 7 is the first that allows zstd, and every broker from 2.1 to 4.x speaks it. */
export const PRODUCE: Api = { apiKey: 0, apiVersion: 7, apiName: 'Produce' };
export const METADATA: Api = { apiKey: 3, apiVersion: 7, apiName: 'Metadata' };

const ACKS_ALL = -1;

export interface ProducePartition {
  readonly partition: number;
  readonly batch: EncodedBatch;
}

export interface PartitionAnswer {
  readonly partition: number;
  readonly errorCode: number;
  /** The offset of the batch's first record; -1 with an error. */
  readonly baseOffset: number;
}

export interface ProduceAnswer {
  readonly partitions: readonly PartitionAnswer[];
  /** How long the broker asks us to hold back, because of a quota. */
  readonly throttleTimeMs: number;
}

/** A Produce request with acks=all; `timeoutMs` is how long the broker may wait for the in-sync replicas. */
export function encodeProduce(
  header: RequestHeader,
  request: {
    readonly topic: string;
    readonly timeoutMs: number;
    readonly partitions: readonly ProducePartition[];
  },
): Buffer {
  const { topic, timeoutMs, partitions } = request;
  let size = headerSize(header) + 2 + 2 + 4 + 4 + stringSize(topic) + 4;
  for (const { batch } of partitions) size += 4 + 4 + batch.byteLength;

  const out = Buffer.allocUnsafe(size);
  let at = writeHeader(out, PRODUCE, header);
  at = out.writeInt16BE(-1, at); // transactional id: null
  at = out.writeInt16BE(ACKS_ALL, at);
  at = out.writeInt32BE(timeoutMs, at);
  at = out.writeInt32BE(1, at); // topics
  at = writeString(out, topic, at);
  at = out.writeInt32BE(partitions.length, at);
  for (const { partition, batch } of partitions) {
    at = out.writeInt32BE(partition, at);
    at = out.writeInt32BE(batch.byteLength, at);
    at = batch.writeTo(out, at);
  }
  return out;
}

/** Reads the answer of one topic. Throws a RangeError when it is cut short. */
export function decodeProduceAnswer(payload: Buffer): ProduceAnswer {
  const reader = new Reader(payload);
  const partitions: PartitionAnswer[] = [];
  for (let topics = reader.int32(); topics > 0; topics -= 1) {
    reader.string();
    for (let count = reader.int32(); count > 0; count -= 1) {
      partitions.push({
        partition: reader.int32(),
        errorCode: reader.int16(),
        baseOffset: reader.int64(),
      });
      reader.skip(16); // log append time, log start offset
    }
  }
  return { partitions, throttleTimeMs: reader.int32() };
}

export interface BrokerAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface PartitionMetadata {
  readonly partition: number;
  readonly errorCode: number;
  /** The node id of the leader; -1: there is none. */
  readonly leader: number;
  /** Grows with each election, so the larger one is the later word. */
  readonly leaderEpoch: number;
  readonly replicas: number;
  readonly inSyncReplicas: number;
}

export interface TopicMetadata {
  readonly brokers: readonly BrokerAddress[];
  readonly errorCode: number;
  /** In the order of their numbers. */
  readonly partitions: readonly PartitionMetadata[];
}

/** Asks for one topic and never creates it. */
export function encodeMetadata(header: RequestHeader, topic: string): Buffer {
  const out = Buffer.allocUnsafe(headerSize(header) + 4 + stringSize(topic) + 1);
  let at = writeHeader(out, METADATA, header);
  at = out.writeInt32BE(1, at);
  at = writeString(out, topic, at);
  out[at] = 0; // allow auto topic creation: no
  return out;
}

/** Reads the answer for one topic. Throws a RangeError when it is cut short. */
export function decodeMetadata(payload: Buffer): TopicMetadata {
  const reader = new Reader(payload);
  reader.skip(4); // throttle time
  const brokers = reader.array(() => {
    const broker = { nodeId: reader.int32(), host: reader.string() ?? '', port: reader.int32() };
    reader.string(); // rack
    return broker;
  });
  reader.string(); // cluster id
  reader.skip(4); // controller id
  const topics = reader.array(() => {
    const errorCode = reader.int16();
    reader.string(); // name
    reader.skip(1); // is internal
    const partitions = reader.array(() => ({
      errorCode: reader.int16(),
      partition: reader.int32(),
      leader: reader.int32(),
      leaderEpoch: reader.int32(),
      replicas: reader.array(() => reader.int32()).length,
      inSyncReplicas: reader.array(() => reader.int32()).length,
      offlineReplicas: reader.array(() => reader.int32()).length,
    }));
    return { errorCode, partitions: partitions.toSorted((a, b) => a.partition - b.partition) };
  });
  const [topic] = topics;
  if (topic === undefined) throw new RangeError('a metadata answer without the topic asked for');
  return { brokers, ...topic };
}

/** Size, API key, API version, correlation id, client id (request header version 1). */
function headerSize({ clientId }: RequestHeader): number {
  return 4 + 2 + 2 + 4 + stringSize(clientId);
}

function writeHeader(out: Buffer, api: Api, { correlationId, clientId }: RequestHeader): number {
  let at = out.writeInt32BE(out.length - 4, 0);
  at = out.writeInt16BE(api.apiKey, at);
  at = out.writeInt16BE(api.apiVersion, at);
  at = out.writeInt32BE(correlationId, at);
  return writeString(out, clientId, at);
}

function stringSize(text: string): number {
  return 2 + Buffer.byteLength(text);
}

function writeString(out: Buffer, text: string, start: number): number {
  const at = out.writeInt16BE(Buffer.byteLength(text), start);
  return at + out.write(text, at, 'utf8');
}

/** Reads Kafka's primitive types one after the other; past the end, Buffer throws a RangeError. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.skip(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.skip(4));
  }

  /** Offsets stay far below 2^53, so a number holds them. */
  int64(): number {
    const at = this.skip(8);
    return this.#bytes.readInt32BE(at) * 0x1_0000_0000 + this.#bytes.readUInt32BE(at + 4);
  }

  string(): string | null {
    const length = this.int16();
    if (length < 0) return null;
    const at = this.skip(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  array<T>(item: () => T): T[] {
    const items: T[] = [];
    for (let count = this.int32(); count > 0; count -= 1) items.push(item());
    return items;
  }

  /** Moves on by `bytes`; returns the position before. */
  skip(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}
