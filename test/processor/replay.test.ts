import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readArguments } from '../../src/processor/replay.ts';

describe('the arguments of replay', () => {
  it('say from where, of which partition, and whether to wait', () => {
    assert.deepEqual(readArguments(['--from-beginning']), {
      from: { kind: 'beginning' },
      partition: undefined,
      waits: true,
    });
    assert.deepEqual(readArguments(['--from-offset', '12', '--partition', '3', '--no-wait']), {
      from: { kind: 'offset', offset: 12 },
      partition: 3,
      waits: false,
    });
    assert.deepEqual(readArguments(['--from-time', '2026-11-01T00:00:00Z']), {
      from: { kind: 'time', timestampMs: Date.UTC(2026, 10, 1) },
      partition: undefined,
      waits: true,
    });
  });

  for (const args of [
    [],
    ['--from-beginning', '--from-time', '2026-11-01T00:00:00Z'],
    ['--from-offset', '12'],
    ['--from-offset', '-1', '--partition', '3'],
    ['--from-offset', 'x', '--partition', '3'],
    ['--from-beginning', '--partition', 'x'],
    ['--from-time', 'yesterday'],
    ['--from-beginning', '--everything'],
  ]) {
    it(`are refused: ${args.join(' ') || 'none'}`, () => assert.equal(typeof readArguments(args), 'string'));
  }
});
