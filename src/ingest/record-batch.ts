import { gzipSync, constants as zlib, zstdCompressSync } from 'node:zlib';
import { crc32c } from './crc32c.ts';

/**
 * Kafka's record batch, format 2 ("magic 2"), as a producer without idempotence writes it.
 * Source: https://kafka.apache.org/documentation/#recordbatch
 */

export type Compression = 'none' | 'gzip' | 'zstd';

/** What becomes one record: key and value as text and bytes that are not joined before they are written. */
export interface RecordSource {
  /** The key. */
  readonly sourceId: string;
  /** The value is `head` (ASCII) followed by `tail`. */
  readonly head: string;
  readonly tail: Buffer;
  /** The record's headers, as {@link encodeRecordHeaders} gives them; `undefined`: none. */
  readonly headers?: Buffer | undefined;
}

/** Bytes of a batch before its first record. */
export const BATCH_HEADER_BYTES = 61;
/** The most that a record needs beside key, value and headers: five varints of five bytes, attributes, header count. */
export const RECORD_OVERHEAD_BYTES_MAX = 27;

/** Batch length, epoch and magic come before what the checksum covers. */
const CRC_AT = 17;
const CRC_FROM = 21;
const NO_PRODUCER_ID = 0xffffffff;
const COMPRESSION_BITS: Record<Compression, number> = { none: 0, gzip: 1, zstd: 4 };
const ZSTD_LEVEL = 1;
const GZIP_LEVEL = 1;

/** A batch whose size is known, so that the request around it can be one allocation. */
export interface EncodedBatch {
  readonly byteLength: number;
  /** Writes the batch at `at`; returns the position behind it. */
  writeTo(out: Buffer, at: number): number;
}

/**
 * Prepares the batch of `records` (at least one), all with the timestamp `timestampMs`, which is the time of sending
 * and never the event's own.
 */
export function recordBatch(
  records: readonly RecordSource[],
  timestampMs: number,
  compression: Compression,
): EncodedBatch {
  const bodySizes = new Uint32Array(records.length);
  let recordsBytes = 0;
  for (let index = 0; index < records.length; index += 1) {
    const size = recordBodySize(records[index] as RecordSource, index);
    bodySizes[index] = size;
    recordsBytes += varintSize(size) + size;
  }
  const header = (out: Buffer, at: number, length: number) =>
    writeHeader(out, at, { length, count: records.length, timestampMs, compression });

  if (compression === 'none') {
    return {
      byteLength: BATCH_HEADER_BYTES + recordsBytes,
      writeTo(out, at) {
        const end = writeRecords(out, at + BATCH_HEADER_BYTES, records, bodySizes);
        header(out, at, end - at);
        return end;
      },
    };
  }

  const plain = Buffer.allocUnsafe(recordsBytes);
  writeRecords(plain, 0, records, bodySizes);
  const packed = compress(plain, compression);
  return {
    byteLength: BATCH_HEADER_BYTES + packed.length,
    writeTo(out, at) {
      packed.copy(out, at + BATCH_HEADER_BYTES);
      const end = at + BATCH_HEADER_BYTES + packed.length;
      header(out, at, end - at);
      return end;
    },
  };
}

/** The largest that the record of this key and value can be, in bytes, wherever it stands in its batch. */
export function recordSizeMax(record: RecordSource): number {
  return (
    RECORD_OVERHEAD_BYTES_MAX +
    Buffer.byteLength(record.sourceId) +
    record.head.length +
    record.tail.length +
    (record.headers?.length ?? 0)
  );
}

function compress(plain: Buffer, compression: 'gzip' | 'zstd'): Buffer {
  if (compression === 'gzip') return gzipSync(plain, { level: GZIP_LEVEL });
  return zstdCompressSync(plain, { params: { [zlib.ZSTD_c_compressionLevel]: ZSTD_LEVEL } });
}

/** Writes the header around records that are in place, since the checksum covers them. */
function writeHeader(
  out: Buffer,
  at: number,
  batch: { length: number; count: number; timestampMs: number; compression: Compression },
): void {
  writeInt64(out, 0, at); // base offset: assigned by the broker
  out.writeInt32BE(batch.length - 12, at + 8); // what follows this field
  out.writeInt32BE(-1, at + 12); // partition leader epoch: set by the broker
  out[at + 16] = 2; // magic
  out.writeInt16BE(COMPRESSION_BITS[batch.compression], at + 21); // attributes: create time, not transactional
  out.writeInt32BE(batch.count - 1, at + 23); // last offset delta
  writeInt64(out, batch.timestampMs, at + 27); // base timestamp
  writeInt64(out, batch.timestampMs, at + 35); // max timestamp
  out.writeUInt32BE(NO_PRODUCER_ID, at + 43); // producer id -1, both halves
  out.writeUInt32BE(NO_PRODUCER_ID, at + 47);
  out.writeInt16BE(-1, at + 51); // producer epoch
  out.writeInt32BE(-1, at + 53); // base sequence
  out.writeInt32BE(batch.count, at + 57);
  out.writeUInt32BE(crc32c(out, at + CRC_FROM, at + batch.length), at + CRC_AT);
}

function writeRecords(
  out: Buffer,
  start: number,
  records: readonly RecordSource[],
  bodySizes: Uint32Array,
): number {
  let at = start;
  for (let index = 0; index < records.length; index += 1) {
    const { sourceId, head, tail, headers } = records[index] as RecordSource;
    at = writeVarint(out, bodySizes[index] as number, at);
    out[at++] = 0; // attributes
    out[at++] = 0; // timestamp delta
    at = writeVarint(out, index, at); // offset delta
    at = writeVarint(out, Buffer.byteLength(sourceId), at);
    at += out.write(sourceId, at, 'utf8');
    at = writeVarint(out, head.length + tail.length, at);
    at += out.write(head, at, 'latin1');
    out.set(tail, at);
    at += tail.length;
    if (headers === undefined) {
      out[at++] = 0; // no headers
    } else {
      out.set(headers, at);
      at += headers.length;
    }
  }
  return at;
}

/** The size of a record behind its length field. */
function recordBodySize({ sourceId, head, tail, headers }: RecordSource, offsetDelta: number): number {
  const keyBytes = Buffer.byteLength(sourceId);
  const valueBytes = head.length + tail.length;
  const keyAndValue = varintSize(keyBytes) + keyBytes + varintSize(valueBytes) + valueBytes;
  return 2 + varintSize(offsetDelta) + keyAndValue + (headers?.length ?? 1);
}

/** Headers as they stand in a record, their count first. Names and values are ASCII. */
export function encodeRecordHeaders(headers: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(headers);
  const texts = entries.flat();
  const size = texts.reduce(
    (sum, text) => sum + varintSize(text.length) + text.length,
    varintSize(entries.length),
  );
  const out = Buffer.allocUnsafeSlow(size); // not of a pool, all of which it would keep alive
  let at = writeVarint(out, entries.length, 0);
  for (const text of texts) {
    at = writeVarint(out, text.length, at);
    at += out.write(text, at, 'latin1');
  }
  return out;
}

/** Signed varints are zigzag-coded: a length, never negative here, is written doubled. */
function varintSize(value: number): number {
  const doubled = value * 2;
  if (doubled < 0x80) return 1;
  if (doubled < 0x4000) return 2;
  if (doubled < 0x200000) return 3;
  return doubled < 0x10000000 ? 4 : 5;
}

function writeVarint(out: Buffer, value: number, start: number): number {
  let at = start;
  let rest = (value << 1) >>> 0;
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

/** Non-negative and below 2^53; without BigInt, which would allocate. */
function writeInt64(out: Buffer, value: number, at: number): void {
  out.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  out.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}
