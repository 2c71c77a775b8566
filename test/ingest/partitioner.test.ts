import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashKey, murmur2, partitionOf } from '../../src/ingest/partitioner.ts';

describe('partitioner', () => {
  it("hashes as Kafka's Java client does (vectors of its own UtilsTest)", () => {
    const vectors: [string, number][] = [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
      ['abc', 479470107],
    ];
    for (const [key, hash] of vectors) assert.equal(murmur2(Buffer.from(key)), hash, key);
  });

  it('makes the hash positive as the Java client does, by dropping the sign', () => {
    assert.equal(hashKey('21'), -973932308 & 0x7fffffff);
    assert.equal(hashKey('abc'), 479470107);
  });

  it('hashes the UTF-8 bytes of a key', () => {
    assert.equal(hashKey('ключ/🔑'), murmur2(Buffer.from('ключ/🔑', 'utf8')) & 0x7fffffff);
  });

  it('stays within the number of partitions', () => {
    for (let index = 0; index < 1_000; index += 1) {
      const partition = partitionOf(hashKey(`key${index}`), 7);
      assert.ok(partition >= 0 && partition < 7);
    }
  });
});
