import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { crc32c } from '../../src/ingest/crc32c.ts';
import {
  BATCH_HEADER_BYTES,
  type Compression,
  encodeRecordHeaders,
  type RecordSource,
  recordBatch,
  recordSizeMax,
} from '../../src/ingest/record-batch.ts';

const NOW = 1_795_434_000_123;

describe('record batch', () => {
  it('has the bytes that kafkajs writes for the same records', async () => {
    for (const records of [few(), many(300), [source('k', '{', 'x'.repeat(20_000))]]) {
      assert.deepEqual(encode(records, 'none'), await kafkajsBatch(records));
    }
  });

  it('has headers where its records have, again as kafkajs writes them', async () => {
    for (const headers of [
      { traceparent: 'x'.repeat(55) },
      { traceparent: '00-1', tracestate: 's'.repeat(512) },
    ]) {
      const ofTrace = encodeRecordHeaders(headers);
      const records = [...few(), ...many(100)].map((record) => Object.assign(record, { headers: ofTrace }));
      assert.deepEqual(encode(records, 'none'), await kafkajsBatch(records, headers));
      const [record] = records;
      assert.ok(record && encode([record], 'none').length <= BATCH_HEADER_BYTES + recordSizeMax(record));
    }
  });

  it('has the checksum of what follows it', () => {
    const bytes = encode(many(17), 'none');
    assert.equal(bytes.readUInt32BE(17), crc32c(bytes, 21, bytes.length));
  });

  it('compresses the records and nothing else', () => {
    const plain = encode(many(300), 'none');
    for (const [compression, unpack, bits] of [
      ['gzip', gunzipSync, 1],
      ['zstd', zstdDecompressSync, 4],
    ] as const) {
      const packed = encode(many(300), compression);
      assert.ok(
        packed.length < plain.length / 3,
        `${compression}: ${packed.length} of ${plain.length} bytes`,
      );
      assert.equal(packed.readInt16BE(21), bits, 'the attributes name the codec');
      assert.equal(packed.readInt32BE(8), packed.length - 12, 'the length is that of the compressed batch');
      assert.deepEqual(unpack(packed.subarray(BATCH_HEADER_BYTES)), plain.subarray(BATCH_HEADER_BYTES));
    }
  });

  it('never grows past the bound that batches are filled by', () => {
    for (const length of [0, 1, 63, 64, 8_000, 8_191, 8_192, 1_100_000]) {
      const record = source('ключ', '{', 'x'.repeat(length));
      const bound = BATCH_HEADER_BYTES + recordSizeMax(record);
      assert.ok(encode([record], 'none').length <= bound, `a value of ${length + 1} bytes`);
    }
  });

  it('starts where it is told to, inside a larger request', () => {
    const batch = recordBatch(few(), NOW, 'none');
    const out = Buffer.alloc(batch.byteLength + 20, 0xee);
    assert.equal(batch.writeTo(out, 7), 7 + batch.byteLength);
    assert.deepEqual(out.subarray(7, 7 + batch.byteLength), encode(few(), 'none'));
    assert.ok(
      out.subarray(0, 7).every((byte) => byte === 0xee) && out.subarray(-13).every((byte) => byte === 0xee),
    );
  });
});

describe('CRC-32C', () => {
  it('has the values of RFC 3720', () => {
    assert.equal(checksum(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(checksum(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(checksum(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
    assert.equal(checksum(Buffer.from('123456789')), 0xe3069283);
  });
});

function encode(records: readonly RecordSource[], compression: Compression): Buffer {
  const batch = recordBatch(records, NOW, compression);
  const out = Buffer.alloc(batch.byteLength);
  assert.equal(batch.writeTo(out, 0), batch.byteLength);
  return out;
}

function checksum(bytes: Uint8Array): number {
  return crc32c(bytes, 0, bytes.length);
}

function source(sourceId: string, head: string, tail: string): RecordSource {
  return { sourceId, head, tail: Buffer.from(tail) };
}

function few(): RecordSource[] {
  return [
    source('octocat', '{', '"id":"1"}'),
    source('ключ/🔑', '{"id":"2",', '"data":"é"}'),
    source('k', '{', '}'),
  ];
}

function many(count: number): RecordSource[] {
  return Array.from({ length: count }, (_, index) =>
    source(`key${index}`, '{', `"id":"${index}","data":"same"}`),
  );
}

/** The same batch by kafkajs's own encoder, which keeps an epoch of 0 where a producer knows none. */
async function kafkajsBatch(
  records: readonly RecordSource[],
  headers: Readonly<Record<string, string>> = {},
): Promise<Buffer> {
  const require = createRequire(import.meta.url);
  const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js');
  const Record = require('kafkajs/src/protocol/recordBatch/record/v0/index.js');
  const encoder = await RecordBatch({
    firstTimestamp: NOW,
    maxTimestamp: NOW,
    partitionLeaderEpoch: -1,
    lastOffsetDelta: records.length - 1,
    producerEpoch: -1,
    firstSequence: -1,
    records: records.map(({ sourceId, head, tail }, offsetDelta) =>
      Record({
        offsetDelta,
        timestampDelta: 0,
        key: Buffer.from(sourceId),
        value: Buffer.concat([Buffer.from(head), tail]),
        headers,
      }),
    ),
  });
  // Its array of bytes starts with the first offset, then the length: the same order as ours.
  return encoder.buffer;
}
