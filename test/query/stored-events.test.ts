import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { BoundedStore } from '../../src/query/bounded-store.ts';
import { StoredEvents } from '../../src/query/stored-events.ts';
import type { GivableQuery } from '../../src/store/postgres.ts';

const MiB = 1024 * 1024;
const IDENTITY = { sourceType: 'user', sourceId: 'octocat', id: 'e1' };

function open(query: GivableQuery, { timeoutMs = 1_000, bytesMax = 8 * MiB } = {}) {
  const budget = new BufferBudget({ bytesMax, eventsMax: 0 });
  const bounds = { underWayMax: 9, timeoutMs, isUp: () => true, onFault: () => {}, onAsked: () => {} };
  return { budget, events: new StoredEvents(new BoundedStore({ query, ...bounds }), budget) };
}

describe('stored events', () => {
  it('count what a question may bring until it is over, also when it was given up', async () => {
    const { promise, resolve } = Promise.withResolvers<never[]>();
    const { budget, events } = open(() => promise, { timeoutMs: 20 });
    assert.equal(await events.event(IDENTITY), 'store-unavailable');
    assert.ok(budget.bytes > 0);
    resolve([]);
    await promise;
    await new Promise(setImmediate);
    assert.equal(budget.bytes, 0);
  });
});
