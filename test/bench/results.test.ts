import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Figures } from '../../bench/figures.ts';
import { OptionError, readOptions } from '../../bench/options.ts';
import { summaryOf } from '../../bench/producer-performance.ts';
import { tableOf } from '../../bench/table.ts';
import { targetsOf } from '../../bench/targets.ts';

describe('the targets', () => {
  it('are judged by the median of the ratios of the rounds', () => {
    const figures = new Figures();
    for (const [ours, floor] of [
      [13, 10],
      [20, 10], // a round in which something was in the way
      [26, 20],
    ] as const) {
      figures.record('ours single cpu_us', ours);
      figures.record('floor single cpu_us', floor);
    }
    const [againstFloor, againstNaive] = targetsOf(figures);
    assert.deepEqual(againstFloor?.reached, { median: 1.3, min: 1.3, max: 2 });
    assert.equal(againstFloor?.isMet, true);
    assert.equal(againstNaive?.isMet, undefined);
  });

  it('take half a millisecond for what producer-perf-test calls none', () => {
    const figures = new Figures();
    figures.record('ours at_50% p99_ms', 2);
    figures.record('kafka at_50% p99_ms', 0);
    const target = targetsOf(figures).find(({ what }) => what.includes('producer-perf-test'));
    assert.equal(target?.reached?.median, 4);
    assert.equal(target?.isMet, false);
  });
});

describe('the table', () => {
  it('shows every target, the figures that there are, and what casts doubt on them', () => {
    const figures = new Figures();
    figures.record('ours single cpu_us', 12.345);
    figures.record('ours single cpu_us', 14);
    figures.doubt('ours single: some requests failed');
    figures.doubt('ours single: some requests failed');
    const table = tableOf(figures);
    assert.match(table, /ours \/ floor +– +≤ 1\.4 x/);
    assert.match(table, /single +13\.2 \(12\.3 to 14\.0\)/);
    assert.match(table, /Read with care\n {2}ours single: some requests failed \(2 rounds\)$/);
    assert.doesNotMatch(table, /Resident memory/);
  });
});

describe('the output of producer-perf-test', () => {
  it('is read from its last line', () => {
    const output = [
      '2000 records sent, 1990.05 records/sec (0.63 MB/sec), 9.10 ms avg latency, 300.00 ms max latency, 3 ms 50th, 40 ms 95th, 90 ms 99th, 99 ms 99.9th.',
      '9000 records sent, 2001.3 records/sec (0.64 MB/sec), 1.10 ms avg latency, 30.00 ms max latency, 1 ms 50th, 2 ms 95th, 4 ms 99th, 9 ms 99.9th.',
      '',
    ].join('\n');
    assert.deepEqual(summaryOf(output), { recordsPerSecond: 2001.3, p50Ms: 1, p99Ms: 4, p999Ms: 9 });
    assert.equal(summaryOf('usage: producer-performance [-h]'), undefined);
  });
});

describe('the options', () => {
  it('choose groups of figures, rounds and seconds', () => {
    const { groups, rounds, windowMs } = readOptions([
      '--only',
      'cpu,memory',
      '--rounds',
      '3',
      '--seconds',
      '1.5',
    ]);
    assert.deepEqual([...groups], ['cpu', 'memory']);
    assert.equal(rounds, 3);
    assert.equal(windowMs, 1_500);
  });

  it('measure everything but capacity, unless told otherwise', () => {
    const { groups } = readOptions([]);
    assert.ok(groups.has('cpu') && groups.has('settings') && !groups.has('capacity'));
  });

  it('are refused when they make no sense', () => {
    for (const args of [['--only', 'speed'], ['--rounds', '1.5'], ['--seconds', '0'], ['--quick']]) {
      assert.throws(() => readOptions(args), OptionError, args.join(' '));
    }
  });
});
