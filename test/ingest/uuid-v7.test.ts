import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assignId } from '../../src/ingest/uuid-v7.ts';

const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const msOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

it('an assigned id is a UUIDv7 that carries the time', () => {
  const nowMs = Date.now() + 1_000;
  const id = assignId(nowMs);
  assert.match(id, SHAPE);
  assert.equal(msOf(id), nowMs);
});

it('assigned ids ascend and differ, however many fall into one millisecond', () => {
  const nowMs = Date.now() + 2_000;
  let last = assignId(nowMs);
  for (let count = 0; count < 20_000; count += 1) {
    const id = assignId(nowMs);
    assert.ok(id > last, `${id} after ${last}`);
    last = id;
  }
  assert.match(last, SHAPE);
  assert.ok(msOf(last) - nowMs < 20);
});

it('assigned ids ascend when the clock goes back', () => {
  const before = assignId(Date.now() + 60_000);
  assert.ok(assignId(Date.now() - 3_600_000) > before);
});

it('assigned ids share no random bits that can be seen', () => {
  const tails = new Set(Array.from({ length: 5_000 }, () => assignId(Date.now()).slice(19)));
  assert.equal(tails.size, 5_000);
});
