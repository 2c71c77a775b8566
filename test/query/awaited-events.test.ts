import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { AwaitedEvents, type WaitResult } from '../../src/query/awaited-events.ts';
import type { EventIdentity } from '../../src/query/event-queries.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const identity = (id: string): EventIdentity => ({ sourceType: 'user', sourceId: 'octocat', id });
const STAYS = new AbortController().signal;

let clock: ManualClock;
let stored: Set<string>;
let asked: string[][];
let results: WaitResult[];
let find: (identities: readonly EventIdentity[]) => Promise<readonly boolean[] | undefined>;
let awaited: AwaitedEvents;

beforeEach(() => {
  clock = new ManualClock();
  stored = new Set();
  asked = [];
  results = [];
  find = async (identities) => identities.map(({ id }) => stored.has(id));
  awaited = new AwaitedEvents({
    clock,
    find: (identities) => {
      asked.push(identities.map(({ id }) => id));
      return find(identities);
    },
    waitingMax: 1_000,
    onResult: (result) => results.push(result),
  });
});

describe('awaited events', () => {
  it('are found within a poll after they are stored', async () => {
    let result: string | undefined;
    void awaited.wait(identity('a'), 5_000, STAYS).then((found) => {
      result = found;
    });
    await clock.advance(1_000);
    assert.equal(result, undefined);
    stored.add('a');
    await clock.advance(30);
    assert.equal(result, 'found');
    assert.deepEqual([awaited.waiting, results], [0, ['found']]);
  });

  it('are absent when the time is over, and not before', async () => {
    let result: string | undefined;
    void awaited.wait(identity('a'), 2_000, STAYS).then((found) => {
      result = found;
    });
    await clock.advance(1_980);
    assert.equal(result, undefined);
    await clock.advance(40);
    assert.equal(result, 'absent');
  });

  it('share one poll, in which each event is asked for once', async () => {
    const waits = Array.from({ length: 200 }, (_, index) =>
      awaited.wait(identity(`e${index % 10}`), 5_000, STAYS),
    );
    await clock.advance(100);
    assert.equal(asked.length, 5);
    for (const ids of asked) assert.equal(new Set(ids).size, 10);
    for (const ids of asked) assert.equal(ids.length, 10);
    stored.add('e3');
    await clock.advance(20);
    assert.equal(awaited.waiting, 180);
    for (let index = 0; index < 10; index += 1) stored.add(`e${index}`);
    await clock.advance(20);
    assert.deepEqual(new Set(await Promise.all(waits)), new Set(['found']));
  });

  it('are asked for in parts of a bounded size', async () => {
    const waits = Array.from({ length: 600 }, (_, index) =>
      awaited.wait(identity(`e${index}`), 1_000, STAYS),
    );
    await clock.advance(20);
    assert.deepEqual(
      asked.map(({ length }) => length),
      [250, 250, 100],
    );
    await clock.advance(1_000);
    assert.deepEqual(new Set(await Promise.all(waits)), new Set(['absent']));
  });

  it('are not asked for while nobody waits', async () => {
    await clock.advance(1_000);
    const wait = awaited.wait(identity('a'), 1_000, STAYS);
    await clock.advance(1_100);
    await wait;
    const count = asked.length;
    await clock.advance(5_000);
    assert.equal(asked.length, count);
  });

  it('are asked for one poll at a time, however long it takes', async () => {
    const { promise, resolve } = Promise.withResolvers<readonly boolean[]>();
    find = () => promise;
    const wait = awaited.wait(identity('a'), 5_000, STAYS);
    await clock.advance(1_000);
    assert.equal(asked.length, 1);
    resolve([true]);
    await clock.advance(20);
    assert.equal(await wait, 'found');
  });

  it('are not called absent by a store that has not said so lately', async () => {
    find = () => new Promise(() => {});
    const hanging = awaited.wait(identity('a'), 2_000, STAYS);
    await clock.advance(2_100);
    assert.equal(await hanging, 'failed');
  });

  it('are asked for again, with pauses, after the store could not be asked', async () => {
    find = async () => undefined;
    const wait = awaited.wait(identity('a'), 5_000, STAYS);
    await clock.advance(1_000);
    assert.ok(asked.length >= 3 && asked.length <= 5, `${asked.length}`);
    find = async () => [true];
    await clock.advance(300);
    assert.equal(await wait, 'found');
  });

  it('may be waited for by so many and no more', async () => {
    const waits = Array.from({ length: 1_000 }, () => awaited.wait(identity('a'), 1_000, STAYS));
    assert.equal(await awaited.wait(identity('a'), 1_000, STAYS), 'busy');
    await clock.advance(1_100);
    await Promise.all(waits);
    const again = awaited.wait(identity('a'), 1_000, STAYS);
    await clock.advance(1_100);
    assert.equal(await again, 'absent');
  });

  it('are no longer waited for by those who went away', async () => {
    const gone = new AbortController();
    const wait = awaited.wait(identity('a'), 5_000, gone.signal);
    const other = awaited.wait(identity('a'), 5_000, STAYS);
    gone.abort();
    assert.equal(await wait, 'left');
    assert.equal(awaited.waiting, 1);
    assert.equal(await awaited.wait(identity('b'), 5_000, gone.signal), 'left');
    stored.add('a');
    await clock.advance(20);
    assert.equal(await other, 'found');
    assert.deepEqual(results, ['left', 'left', 'found']);
  });

  it('are waited for by nobody once the program stops', async () => {
    const wait = awaited.wait(identity('a'), 5_000, STAYS);
    awaited.close();
    assert.equal(await wait, 'left');
    assert.equal(await awaited.wait(identity('a'), 5_000, STAYS), 'left');
    await clock.advance(100);
    assert.equal(asked.length, 0);
  });

  it('make a bug known to all who wait', async () => {
    find = async () => {
      throw new Error('a bug');
    };
    const waits = [awaited.wait(identity('a'), 5_000, STAYS), awaited.wait(identity('b'), 5_000, STAYS)];
    const settled = Promise.allSettled(waits);
    await clock.advance(20);
    assert.deepEqual(
      (await settled).map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.equal(awaited.waiting, 0);
  });
});
