import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OpenLoopSchedule } from '../../bench/open-loop.ts';

describe('the schedule of an open loop', () => {
  const schedule = new OpenLoopSchedule({ startAt: 1_000, requestsPerSecond: 400, durationMs: 50 });

  it('spreads the requests evenly from the start', () => {
    assert.equal(schedule.intendedAt(0), 1_000);
    assert.equal(schedule.intendedAt(1), 1_002.5);
    assert.equal(schedule.intendedAt(19), 1_047.5);
  });

  it('has nothing due before the start, and each request from its time on', () => {
    assert.equal(schedule.dueAt(999.9), 0);
    assert.equal(schedule.dueAt(1_000), 1);
    assert.equal(schedule.dueAt(1_002.4), 1);
    assert.equal(schedule.dueAt(1_002.5), 2);
  });

  it('has all requests of a stall due after it, and none after its end', () => {
    assert.equal(schedule.dueAt(1_049.9), 20);
    assert.equal(schedule.dueAt(5_000), 20);
  });
});
