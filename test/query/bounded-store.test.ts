import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { BoundedStore, type BoundedStoreOptions } from '../../src/query/bounded-store.ts';
import { storeFaultLog } from '../../src/query/store-fault.ts';
import type { GivableQuery } from '../../src/store/postgres.ts';

let kinds: string[];
let took: number[];

beforeEach(() => {
  kinds = [];
  took = [];
});

const open = (changes: Partial<BoundedStoreOptions> = {}) =>
  new BoundedStore({
    query: async () => [],
    underWayMax: 2,
    timeoutMs: 1_000,
    isUp: () => true,
    onFault: (kind) => kinds.push(kind),
    onAsked: (seconds) => took.push(seconds),
    ...changes,
  });

const failing = (parts: object) => async () => {
  throw Object.assign(new Error('SECRET in select * from events'), parts);
};

describe('the bounded store', () => {
  it('answers what the store answers', async () => {
    assert.equal(await open().ask(async () => 42), 42);
    assert.equal(took.length, 1);
  });

  it('takes so many questions at a time, and refuses more at once', async () => {
    const store = open();
    const { promise, resolve } = Promise.withResolvers<number>();
    const answers = [store.ask(() => promise), store.ask(() => promise)];
    assert.equal(await store.ask(async () => 1), 'busy');
    resolve(7);
    assert.deepEqual(await Promise.all(answers), [7, 7]);
    assert.equal(await store.ask(async () => 1), 1);
  });

  it('gives up a question that is not answered, and counts it as long as it lasts', async () => {
    const store = open({ timeoutMs: 20, underWayMax: 1 });
    const { promise, resolve } = Promise.withResolvers<number>();
    assert.equal(await store.ask(() => promise), 'store-unavailable');
    assert.deepEqual(kinds, ['timeout']);
    assert.equal(await store.ask(async () => 1), 'busy');
    resolve(7);
    await delay(1);
    assert.equal(await store.ask(async () => 1), 1);
  });

  it('sends nothing more for a question that is given up', async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const query: GivableQuery = async (_text, _values, givenUp) => {
      signals.push(givenUp);
      await promise;
      return [];
    };
    const over: Promise<unknown>[] = [];
    const asked = open({ query, timeoutMs: 20 }).ask(
      (ask) => ask('select 1'),
      (givenUp) => over.push(givenUp),
    );
    await delay(1);
    assert.deepEqual([signals[0]?.aborted, over.length], [false, 0]);
    assert.equal(await asked, 'store-unavailable');
    assert.deepEqual([signals[0]?.aborted, over.length], [true, 1]);
    assert.equal(await Promise.race([over[0], delay(20, 'under way')]), 'under way');
    resolve();
    assert.notEqual(await Promise.race([over[0], delay(20, 'under way')]), 'under way');
  });

  it('asks nothing of a store that is known to be down', async () => {
    const store = open({ isUp: () => false });
    assert.equal(await store.ask(() => assert.fail()), 'store-unavailable');
  });

  it('says in a word what the store failed with, and nothing of what was asked', async () => {
    const faults = [
      { code: 'ECONNREFUSED' },
      { code: '57P01', severity: 'FATAL' },
      { code: '57014', severity: 'ERROR' },
      { code: '53300', severity: 'FATAL' },
      { code: '28P01', severity: 'FATAL' },
      { code: '42P01', severity: 'ERROR' },
      { code: '42501', severity: 'ERROR' },
      { code: 'XX000', severity: 'ERROR' },
      { message: 'timeout exceeded when trying to connect' },
    ];
    for (const fault of faults) assert.equal(await open().ask(failing(fault)), 'store-unavailable');
    assert.deepEqual(
      kinds,
      faults.map(({ code, message }) => code ?? message),
    );
  });

  it('rejects where the statement is wrong, without the words of PostgreSQL', async () => {
    for (const code of ['42601', '42703', '22P02']) {
      await assert.rejects(open().ask(failing({ code, severity: 'ERROR' })), (error: Error) => {
        assert.equal(error.message, `PostgreSQL refuses a statement: ${code}`);
        assert.doesNotMatch(JSON.stringify([error.stack, error.cause]), /SECRET/);
        return true;
      });
    }
    assert.deepEqual(kinds, []);
  });
});

describe('the log of faults', () => {
  it('has each kind once in ten seconds, with the count of those in between', () => {
    const lines: unknown[] = [];
    let now = 0;
    const note = storeFaultLog({ warn: (line: unknown) => lines.push(line) } as never, () => now);
    for (let count = 0; count < 5; count += 1) note('57P01');
    note('ECONNREFUSED');
    now = 10_000;
    note('57P01');
    assert.deepEqual(lines, [
      { reason: '57P01', left_out: 0 },
      { reason: 'ECONNREFUSED', left_out: 0 },
      { reason: '57P01', left_out: 4 },
    ]);
  });
});
