import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LastStored } from '../../src/processor/lag.ts';
import type { EventRecord } from '../../src/processor/record-reader.ts';

const eventOf = (partition: number, recordedAtMs: number): EventRecord => ({
  sourceType: 'user',
  sourceId: 'octocat',
  id: '1',
  type: 'push',
  partition,
  offset: 0,
  recordedAtMs,
  value: Buffer.alloc(0),
});

describe('the lag', () => {
  it('is the sum of records, and the age of the last record of whoever is furthest behind', () => {
    const last = new LastStored();
    last.stored([eventOf(0, 1_000), eventOf(0, 9_000)]);
    last.stored([eventOf(1, 4_000)]);
    last.stored([eventOf(2, 1_000)]);
    const ranges = new Map([0, 1, 2, 3].map((partition) => [partition, { low: 0, high: 100 }]));
    const reached = new Map([
      [0, 90],
      [1, 95],
      [2, 100],
    ]);
    const processor = { assigned: new Set([0, 1, 2, 3]), reached };
    assert.deepEqual(last.lagOf(processor, ranges, 10_000), { records: 15, seconds: 6, partitions: 4 });
  });

  it('is none where everything is stored, however old', () => {
    const last = new LastStored();
    last.stored([eventOf(0, 1)]);
    const ranges = new Map([[0, { low: 0, high: 5 }]]);
    const processor = { assigned: new Set([0]), reached: new Map([[0, 5]]) };
    assert.deepEqual(last.lagOf(processor, ranges, 1e12), { records: 0, seconds: 0, partitions: 1 });
  });

  it('grows where nothing was stored yet, from when that was seen', () => {
    const last = new LastStored();
    const ranges = new Map([[0, { low: 0, high: 5 }]]);
    const processor = { assigned: new Set([0]), reached: new Map([[0, 1]]) };
    assert.equal(last.lagOf(processor, ranges, 10_000).seconds, 0);
    assert.equal(last.lagOf(processor, ranges, 70_000).seconds, 60);
    const caughtUp = { assigned: new Set([0]), reached: new Map([[0, 5]]) };
    assert.equal(last.lagOf(caughtUp, ranges, 80_000).seconds, 0);
    assert.equal(last.lagOf(processor, ranges, 90_000).seconds, 0, 'not since the first time');
    assert.equal(last.lagOf(processor, ranges, 95_000).seconds, 5);
    last.forget();
    assert.equal(last.lagOf(processor, ranges, 99_000).seconds, 0);
  });
});
