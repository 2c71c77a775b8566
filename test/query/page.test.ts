import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Look, Seen } from '../../src/query/event-queries.ts';
import { pageOf } from '../../src/query/page.ts';

const OLDER: Look = { way: 'older', from: undefined, type: undefined, limit: 3 };
const seen = (seqs: bigint[], more: Partial<Seen> = {}): Seen => {
  const sorted = seqs.toSorted((a, b) => Number(a - b));
  return {
    epoch: '',
    events: seqs.map((seq) => ({ seq, bytes: 10 })),
    oldest: sorted.at(0),
    newest: sorted.at(-1),
    hasOlder: false,
    ...more,
  };
};

describe('a page', () => {
  it('of older events ends where they end', () => {
    assert.deepEqual(pageOf(OLDER, seen([9n, 7n]), 100), {
      seqs: [9n, 7n],
      bytes: 20,
      before: undefined,
      after: 9n,
    });
    const { before } = pageOf(OLDER, seen([9n, 7n, 4n], { hasOlder: true }), 100);
    assert.equal(before, 4n);
  });

  it('is cut to its bytes, and goes on from there', () => {
    assert.deepEqual(pageOf(OLDER, seen([9n, 7n, 4n]), 25), {
      seqs: [9n, 7n],
      bytes: 20,
      before: 7n,
      after: 9n,
    });
    const newer: Look = { ...OLDER, way: 'newer', from: 3n };
    assert.deepEqual(pageOf(newer, seen([4n, 7n, 9n], { hasOlder: true }), 25), {
      seqs: [4n, 7n],
      bytes: 20,
      before: 4n,
      after: 7n,
    });
  });

  it('has one event at least, however large', () => {
    assert.deepEqual(pageOf(OLDER, seen([9n, 7n]), 5).seqs, [9n]);
  });

  it('is empty where there is nothing, and leads to what comes', () => {
    assert.deepEqual(pageOf(OLDER, seen([]), 100), { seqs: [], bytes: 0, before: undefined, after: 0n });
    const newer: Look = { ...OLDER, way: 'newer', from: 8n };
    assert.deepEqual(pageOf(newer, seen([], { hasOlder: true }), 100), {
      seqs: [],
      bytes: 0,
      before: 9n,
      after: 8n,
    });
  });

  it('of one type goes on behind all that was looked at', () => {
    const ofType: Look = { ...OLDER, type: 'push' };
    const looked = { newest: 90n, oldest: 10n };
    assert.deepEqual(pageOf(ofType, seen([], { ...looked, hasOlder: true }), 100), {
      seqs: [],
      bytes: 0,
      before: 10n,
      after: 90n,
    });
    assert.equal(pageOf(ofType, seen([50n, 40n], looked), 100).before, undefined);
    // The limit was reached: behind the last one there may be more.
    assert.equal(pageOf(ofType, seen([50n, 40n, 30n], looked), 100).before, 30n);
    const newer: Look = { ...ofType, way: 'newer', from: 5n };
    assert.equal(pageOf(newer, seen([40n], looked), 100).after, 90n);
    assert.equal(pageOf(newer, seen([30n, 40n, 50n], looked), 100).after, 50n);
  });

  it('that begins somewhere leads back to exactly there', () => {
    assert.equal(pageOf({ ...OLDER, from: 20n }, seen([9n]), 100).after, 19n);
    assert.equal(pageOf({ ...OLDER, from: 0n }, seen([]), 100).after, 0n);
  });
});
