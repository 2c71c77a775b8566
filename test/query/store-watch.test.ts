import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StoreIdentity } from '../../src/query/cursor.ts';
import { StoreWatch } from '../../src/query/store-watch.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const STORE: StoreIdentity = { epoch: 'first', cursorKey: Buffer.alloc(32) };

function open(look: () => Promise<StoreIdentity | 'no-tables'>) {
  const clock = new ManualClock();
  const states: string[] = [];
  const stores: string[] = [];
  let looks = 0;
  const watch = new StoreWatch({
    clock,
    look: () => {
      looks += 1;
      return look();
    },
    onState: (state, reason) => states.push(reason === undefined ? state : `${state}: ${reason}`),
    onStore: ({ epoch }) => stores.push(epoch),
  });
  return { clock, states, stores, watch, looks: () => looks };
}

describe('the watch over the store', () => {
  it('tells each change once, and which store it is', async () => {
    const refused = Object.assign(new Error('SECRET'), { code: 'ECONNREFUSED' });
    const found: (StoreIdentity | 'no-tables' | Error)[] = [
      refused,
      refused,
      'no-tables',
      STORE,
      STORE,
      refused,
      STORE,
      { ...STORE, epoch: 'second' },
    ];
    const { clock, states, stores, watch } = open(async () => {
      const next = found.shift() ?? STORE;
      if (next instanceof Error) throw next;
      return next;
    });
    assert.equal(watch.state, 'connecting');
    await clock.advance(7_500);
    assert.deepEqual(states, ['down: ECONNREFUSED', 'no-tables', 'up', 'down: ECONNREFUSED', 'up']);
    assert.deepEqual(stores, ['first', 'second']);
    watch.close();
  });

  it('calls a store down that does not answer, and looks again only when that look is over', async () => {
    let answer = Promise.withResolvers<StoreIdentity>();
    const { clock, states, watch, looks } = open(() => answer.promise);
    answer.resolve(STORE);
    await clock.advance(500);
    assert.equal(watch.state, 'up');
    answer = Promise.withResolvers();
    await clock.advance(10_000);
    assert.deepEqual([watch.state, looks()], ['down', 2]);
    answer.resolve(STORE);
    await clock.advance(10);
    assert.deepEqual(states, ['up', 'down: timeout', 'up']);
    watch.close();
    await clock.advance(5_000);
    assert.equal(looks(), 2);
  });
});
