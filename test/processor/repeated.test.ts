import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Repeated } from '../../src/processor/repeated.ts';

describe('work that is repeated', () => {
  it('is done at once when it is asked for, one at a time, and once more if it is asked for meanwhile', async () => {
    let underWay = 0;
    let done = 0;
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const repeated = new Repeated(60_000, async () => {
      underWay += 1;
      assert.equal(underWay, 1);
      await held;
      underWay -= 1;
      done += 1;
    });
    for (let asked = 0; asked < 5; asked += 1) {
      repeated.soon();
      await delay(0);
    }
    letGo();
    await delay(5);
    assert.equal(done, 2);
    await repeated.close();
  });

  it('is done every so often', async () => {
    let done = 0;
    const { promise: often, resolve } = Promise.withResolvers<void>();
    const repeated = new Repeated(1, async () => {
      done += 1;
      if (done === 3) resolve();
    });
    await often;
    await repeated.close();
    const atEnd = done;
    await delay(10);
    assert.equal(done, atEnd);
  });

  it('ends when what is under way has ended', async () => {
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    let isDone = false;
    const repeated = new Repeated(60_000, async () => {
      await held;
      isDone = true;
    });
    repeated.soon();
    await delay(0);
    const closing = repeated.close();
    letGo();
    await closing;
    assert.ok(isDone);
  });
});
