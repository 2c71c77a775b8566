import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BufferBudget, REQUEST_BYTES } from '../../src/http/buffer-budget.ts';
import { BoundedStore } from '../../src/query/bounded-store.ts';
import { StoredEvents } from '../../src/query/stored-events.ts';
import type { GivableQuery } from '../../src/store/postgres.ts';

const MiB = 1024 * 1024;
/** Three bytes are counted for each, beside the request itself. */
const READABLE_BYTES = Math.floor((8 * MiB - REQUEST_BYTES) / 3);
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

  for (const [what, bytes, hasRoom, isRead] of [
    ['as large as there can be room for', READABLE_BYTES, true, true],
    ['as large as there can be room for, while others have it', READABLE_BYTES, false, 'busy'],
    ['larger than that', READABLE_BYTES + 1, true, 'event-too-large-to-read'],
    ['larger than that, while others have the room', READABLE_BYTES + 1, false, 'event-too-large-to-read'],
  ] as const) {
    it(`are told apart: ${what}`, async () => {
      const value = Buffer.alloc(bytes);
      const look = { epoch: '', newest: '1', oldest: '1', has_older: false, seqs: ['1'], sizes: [bytes] };
      const query = async (text: string, values?: readonly unknown[]) => {
        if (text.includes('with looked')) return [look];
        if (text.startsWith('select value')) return [{ value }];
        return [{ bytes, value: bytes <= Number(values?.[3]) ? value : null }];
      };
      const { budget, events } = open(query as GivableQuery);
      assert.ok(budget.take(hasRoom ? REQUEST_BYTES : 4 * MiB));
      const source = { sourceType: 'user', sourceId: 'octocat' };
      const page = await events.page(source, { way: 'older', from: undefined, type: undefined, limit: 1 });
      assert.deepEqual(
        [await events.event(IDENTITY), typeof page === 'string' ? page : page.values],
        isRead === true ? [value, [value]] : [isRead, isRead],
      );
    });
  }
});
