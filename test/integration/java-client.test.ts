import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { before, describe, it } from 'node:test';
import { kafkaJars } from '../../dev/kafka-jars.ts';
import { hashKey, partitionOf } from '../../src/ingest/partitioner.ts';
import { type Compression, type RecordSource, recordBatch } from '../../src/ingest/record-batch.ts';

const NOW = 1_795_434_000_123;
const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'zstd'];
const KEYS = ['a', 'octocat', 'owner/repo', 'ключ', '🔑', 'x'.repeat(256), 'foobar', '1', '22', '333'];

/** Kafka's Java client is asked everything at once: a JVM takes a second to start. */
describe("Kafka's Java client", () => {
  const sets: readonly RecordSource[][] = [
    [source('octocat', '{', '"id":"1"}')],
    Array.from({ length: 300 }, (_, index) =>
      source(KEYS[index % KEYS.length] as string, '{', `"n":${index}}`),
    ),
    [source('k', '{"id":"assigned",', `"data":"${'é'.repeat(40_000)}"}`), source('ключ', '{', '}')],
  ];
  let written: string[];
  let read: string[];
  let partitions: number[];

  before(async () => {
    const write = sets.map((records) => `write ${NOW} ${words(records)}`);
    const asRead = sets.flatMap((records) =>
      COMPRESSIONS.map((compression) => `read ${encode(records, compression).toString('base64')}`),
    );
    const asPartition = KEYS.flatMap((key) => [1, 6, 48].map((count) => `partition ${base64(key)} ${count}`));
    const answers = await askJava([...write, ...asRead, ...asPartition]);
    written = answers.slice(0, write.length);
    read = answers.slice(write.length, write.length + asRead.length);
    partitions = answers.slice(write.length + asRead.length).map(Number);
  });

  it('writes the bytes that we write', () => {
    sets.forEach((records, index) => {
      assert.equal(encode(records, 'none').toString('hex'), written[index]);
    });
  });

  it('finds our batches valid, whatever their compression, and reads the same records', () => {
    const expected = sets.flatMap((records) =>
      COMPRESSIONS.map((compression) => `${compression} ${words(records)}`),
    );
    assert.deepEqual(read, expected);
  });

  it('puts a key into the partition that we put it into', () => {
    const ours = KEYS.flatMap((key) => [1, 6, 48].map((count) => partitionOf(hashKey(key), count)));
    assert.deepEqual(partitions, ours);
  });
});

async function askJava(questions: readonly string[]): Promise<string[]> {
  const { java, classPath } = await kafkaJars(() => {});
  const program = join(import.meta.dirname, 'GoldenBatch.java');
  const child = spawn(java, ['-cp', classPath, program], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(`${questions.join('\n')}\n`);
  const answers = (await text(child.stdout)).trim().split('\n');
  assert.equal(answers.length, questions.length);
  return answers;
}

function encode(records: readonly RecordSource[], compression: Compression): Buffer {
  const batch = recordBatch(records, NOW, compression);
  const out = Buffer.alloc(batch.byteLength);
  batch.writeTo(out, 0);
  return out;
}

function words(records: readonly RecordSource[]): string {
  return records.map(({ sourceId, head, tail }) => `${base64(sourceId)} ${base64(head + tail)}`).join(' ');
}

function base64(value: string): string {
  return Buffer.from(value).toString('base64');
}

function source(sourceId: string, head: string, tail: string): RecordSource {
  return { sourceId, head, tail: Buffer.from(tail) };
}
