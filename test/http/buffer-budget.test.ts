import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BufferBudget, REQUEST_BYTES } from '../../src/http/buffer-budget.ts';

const MiB = 1024 * 1024;
const EVENT_BYTES = 250;

describe('the buffer', () => {
  it('P3: at its default holds 11,000 single requests and 12,000 more events in requests of 30', () => {
    const budget = new BufferBudget({ bytesMax: 64 * MiB, eventsMax: 100_000 });
    const accept = (events: number) => {
      const hold = budget.open();
      assert.ok(budget.take(REQUEST_BYTES) && hold.take(events * EVENT_BYTES));
      for (let count = 0; count < events; count += 1) assert.ok(hold.takeEvent());
    };
    for (let count = 0; count < 11_000; count += 1) accept(1);
    for (let count = 0; count < 12_000; count += 30) accept(30);
    assert.equal(budget.events, 23_000);
    assert.ok(budget.bytes <= 64 * MiB);
  });

  it('P3: bodies that begin and do not end hold a quarter at most, and shut out none that come in one piece', () => {
    const budget = new BufferBudget({ bytesMax: MiB, eventsMax: 10 });
    const [slow, late, ready] = [budget.open(), budget.open(), budget.open()];
    assert.ok(slow.grow(200_000));
    assert.ok(!late.grow(200_000), 'two of them would hold more');
    assert.ok(ready.take(200_000));
    slow.arrived();
    assert.ok(late.grow(200_000));
    for (const hold of [slow, late, ready]) hold.close();
    assert.equal(budget.bytes, 0);
    assert.ok(budget.open().grow(200_000), 'nothing counts as arriving any more');
  });
});
