import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ascending, median, percentile, ratios, spreadOf } from '../../bench/statistics.ts';

describe('percentile', () => {
  const hundred = ascending(Array.from({ length: 100 }, (_, index) => 100 - index));

  it('is the smallest value that so many are no greater than', () => {
    assert.equal(percentile(hundred, 0.5), 50);
    assert.equal(percentile(hundred, 0.99), 99);
    assert.equal(percentile(hundred, 0.991), 100);
    assert.equal(percentile(hundred, 1), 100);
  });

  it('is the largest of few values where it lies beyond them', () => {
    assert.equal(percentile([1, 2, 3], 0.99), 3);
    assert.equal(percentile([7], 0.5), 7);
  });

  it('is no number where there are no values', () => {
    assert.ok(Number.isNaN(percentile([], 0.5)));
  });

  it('orders numbers as numbers, negative ones too', () => {
    assert.deepEqual([...ascending([10, 9, -1, 100])], [-1, 9, 10, 100]);
  });
});

describe('median and range', () => {
  it('takes the middle value, or the mean of the two in the middle', () => {
    assert.equal(median([5, 1, 3]), 3);
    assert.equal(median([4, 1, 3, 2]), 2.5);
  });

  it('keeps the lowest and the highest beside the median', () => {
    assert.deepEqual(spreadOf([2, 9, 4]), { median: 4, min: 2, max: 9 });
    assert.equal(spreadOf([]), undefined);
  });
});

describe('ratios', () => {
  it('compares within each round', () => {
    assert.deepEqual(ratios([10, 40], [5, 10]), [2, 4]);
  });

  it('is empty where one side was not measured, and refuses rounds that do not match', () => {
    assert.deepEqual(ratios([], [1, 2]), []);
    assert.throws(() => ratios([1], [1, 2]), /1 rounds against 2/);
  });
});
