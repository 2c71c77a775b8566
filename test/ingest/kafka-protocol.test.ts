import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import {
  decodeMetadata,
  decodeProduceAnswer,
  encodeMetadata,
  encodeProduce,
} from '../../src/ingest/kafka-protocol.ts';
import { recordBatch } from '../../src/ingest/record-batch.ts';

const require = createRequire(import.meta.url);
const header = { correlationId: 7, clientId: 'dual-stream' };

describe('Kafka protocol', () => {
  it('writes the Produce request that the protocol describes', () => {
    const batch = recordBatch([{ sourceId: 'k', head: '{', tail: Buffer.from('}') }], 1, 'none');
    const bytes = encodeProduce(header, {
      topic: 'events',
      timeoutMs: 10_000,
      partitions: [{ partition: 3, batch }],
    });
    const written = Buffer.alloc(batch.byteLength);
    batch.writeTo(written, 0);
    const expected = [
      hex(int32(bytes.length - 4), int16(0), int16(7), int32(7), text('dual-stream')),
      hex(int16(-1), int16(-1), int32(10_000), int32(1), text('events'), int32(1), int32(3)),
      hex(int32(batch.byteLength), written),
    ];
    assert.equal(bytes.toString('hex'), expected.join(''));
  });

  it('reads every partition of a Produce answer, the failed ones too', () => {
    const partition = (index: number, error: number, offset: number) =>
      Buffer.concat([int32(index), int16(error), int64(offset), int64(-1), int64(0)]);
    const payload = Buffer.concat([
      int32(1),
      text('events'),
      int32(3),
      partition(0, 0, 5_000_000_000),
      partition(2, 6, -1),
      partition(1, 0, 0),
      int32(250),
    ]);
    assert.deepEqual(decodeProduceAnswer(payload), {
      partitions: [
        { partition: 0, errorCode: 0, baseOffset: 5_000_000_000 },
        { partition: 2, errorCode: 6, baseOffset: -1 },
        { partition: 1, errorCode: 0, baseOffset: 0 },
      ],
      throttleTimeMs: 250,
    });
  });

  it('refuses an answer that is cut short, rather than reading it as success', () => {
    assert.throws(
      () => decodeProduceAnswer(Buffer.concat([int32(1), text('events'), int32(1), int32(0)])),
      RangeError,
    );
    assert.throws(() => decodeMetadata(Buffer.alloc(6)), RangeError);
  });

  it('writes the Metadata request that kafkajs writes, behind the same header', async () => {
    const request = require('kafkajs/src/protocol/requests/metadata/v6/request.js');
    const body = await request({ topics: ['events'], allowAutoTopicCreation: false }).encode();
    const bytes = encodeMetadata(header, 'events');
    assert.equal(
      bytes.subarray(bytes.length - body.buffer.length).toString('hex'),
      body.buffer.toString('hex'),
    );
    assert.equal(bytes.readInt32BE(0), bytes.length - 4);
  });

  it('reads metadata in which one partition has no leader, in the order of the partitions', () => {
    const partition = (error: number, index: number, leader: number, isr: number[]) =>
      Buffer.concat([
        int16(error),
        int32(index),
        int32(leader),
        int32(4), // leader epoch
        int32(3),
        ...[1, 2, 3].map(int32),
        int32(isr.length),
        ...isr.map(int32),
        int32(0), // offline replicas
      ]);
    const payload = Buffer.concat([
      int32(0),
      int32(1),
      int32(1),
      text('localhost'),
      int32(9092),
      int16(-1), // rack
      text('cluster'),
      int32(1),
      int32(1),
      int16(0),
      text('events'),
      Buffer.from([0]),
      int32(2),
      partition(5, 1, -1, []),
      partition(0, 0, 1, [1, 2]),
    ]);
    assert.deepEqual(decodeMetadata(payload), {
      brokers: [{ nodeId: 1, host: 'localhost', port: 9092 }],
      errorCode: 0,
      partitions: [
        {
          errorCode: 0,
          partition: 0,
          leader: 1,
          leaderEpoch: 4,
          replicas: 3,
          inSyncReplicas: 2,
          offlineReplicas: 0,
        },
        {
          errorCode: 5,
          partition: 1,
          leader: -1,
          leaderEpoch: 4,
          replicas: 3,
          inSyncReplicas: 0,
          offlineReplicas: 0,
        },
      ],
    });
  });
});

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}

function hex(...parts: Buffer[]): string {
  return Buffer.concat(parts).toString('hex');
}
