import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keyFor, valueFor } from './fault-event.ts';
import { Ledger, type Verdict } from './ledger.ts';

/** What a faultless run of three events, all stored in partition 0, gives in these counts. */
const CLEAN: Partial<Verdict> = {
  offered: 3,
  stored: 3,
  lost: 0,
  absent: 0,
  phantom: 0,
  orderBreaks: 0,
  corrupt: 0,
  duplicates: 0,
  unexplainedDuplicates: 0,
  notifiedWrongly: 0,
  longestAnswerMs: 10,
};

function threeOffered(): Ledger {
  const ledger = new Ledger();
  for (let number = 0; number < 3; number += 1) {
    assert.equal(ledger.offer(7, number, 1_000), number);
    ledger.attempted(number, number);
  }
  return ledger;
}

function store(ledger: Ledger, number: number, offset = number): void {
  ledger.answered(number, { status: 'stored', partition: 0, offset }, number + 10);
  ledger.notified(number);
}

function find(ledger: Ledger, numbers: readonly number[]): void {
  numbers.forEach((number, offset) => {
    ledger.found({ partition: 0, offset, key: keyFor(7), value: valueFor(number, 7) });
  });
}

function expect(ledger: Ledger, differing: Partial<Verdict>): void {
  const verdict = ledger.verdict();
  const expected = { ...CLEAN, ...differing };
  const found = Object.fromEntries(
    Object.keys(expected).map((name) => [name, verdict[name as keyof Verdict]]),
  );
  assert.deepEqual(found, expected);
}

describe('the ledger of the fault runs', () => {
  it('finds nothing wrong with a run in which nothing went wrong', () => {
    const ledger = threeOffered();
    for (const number of [0, 1, 2]) store(ledger, number);
    find(ledger, [0, 1, 2]);
    expect(ledger, {});
  });

  it('finds what was answered stored and is not there', () => {
    const ledger = threeOffered();
    for (const number of [0, 1, 2]) store(ledger, number);
    find(ledger, [0, 1]);
    expect(ledger, { lost: 1, absent: 1, notifiedWrongly: 1 });
  });

  it('finds what lies somewhere else than the answer said', () => {
    const ledger = threeOffered();
    for (const number of [0, 1]) store(ledger, number);
    store(ledger, 2, 77);
    find(ledger, [0, 1, 2]);
    expect(ledger, { lost: 1 });
  });

  it('finds what was answered not_stored and is there', () => {
    const ledger = threeOffered();
    for (const number of [0, 1]) store(ledger, number);
    ledger.answered(2, { status: 'not_stored', code: 'kafka-unavailable' }, 12);
    find(ledger, [0, 1, 2]);
    expect(ledger, { stored: 2, notStored: 1, phantom: 1 });
  });

  it('finds a later event before an earlier one, and takes an extra copy behind it for no break', () => {
    const ledger = threeOffered();
    store(ledger, 0, 0);
    store(ledger, 1, 2);
    store(ledger, 2, 1);
    ledger.attempted(0, 3);
    find(ledger, [0, 2, 1, 0]);
    expect(ledger, { orderBreaks: 1, duplicates: 1 });
  });

  it('leaves unknown events out of the order', () => {
    const ledger = threeOffered();
    store(ledger, 1, 0);
    store(ledger, 2, 1);
    ledger.answered(0, { status: 'unknown', code: 'outcome-unknown' }, 10);
    find(ledger, [1, 2, 0]);
    expect(ledger, { stored: 2, unknown: 1 });
  });

  it('finds more copies than there were attempts', () => {
    const ledger = threeOffered();
    for (const number of [0, 1, 2]) store(ledger, number);
    find(ledger, [0, 1, 2, 2]);
    expect(ledger, { duplicates: 1, unexplainedDuplicates: 1 });
  });

  it('finds a changed value, a wrong key and a stranger', () => {
    const ledger = threeOffered();
    for (const number of [0, 1, 2]) store(ledger, number);
    ledger.found({ partition: 0, offset: 0, key: keyFor(7), value: `${valueFor(0, 7)} ` });
    ledger.found({ partition: 0, offset: 1, key: keyFor(8), value: valueFor(1, 7) });
    ledger.found({ partition: 0, offset: 2, key: keyFor(7), value: valueFor(2, 7) });
    ledger.found({ partition: 0, offset: 3, key: keyFor(7), value: '{}' });
    ledger.found({ partition: 0, offset: 4, key: keyFor(7), value: valueFor(99, 7) });
    expect(ledger, { corrupt: 4 });
  });

  it('finds that an event was written after its deadline, or never answered', () => {
    const ledger = new Ledger();
    ledger.offer(7, 0, 1_000);
    ledger.attempted(0, 1_051);
    assert.equal(ledger.verdict().writtenLate, 1);
    assert.equal(ledger.verdict().unanswered, 1);
  });

  it('tells a notification of what is nowhere from one that is missing', () => {
    const ledger = threeOffered();
    for (const number of [0, 1]) store(ledger, number);
    ledger.answered(2, { status: 'stored', partition: 0, offset: 2 }, 12);
    find(ledger, [0]);
    expect(ledger, { lost: 2, absent: 2, notifiedWrongly: 2, notifiedAbsent: 1, notNotified: 1 });
  });

  it('measures the answers of a span of time, and what was stored in it', () => {
    const ledger = new Ledger();
    for (let number = 0; number < 4; number += 1) ledger.offer(7, number * 10, 1_000);
    for (const [number, took] of [5, 7, 9].entries()) {
      ledger.answered(number, { status: 'stored', partition: 0, offset: number }, number * 10 + took);
    }
    ledger.answered(3, { status: 'not_stored', code: 'buffer-full' }, 31);
    assert.deepEqual(ledger.storedMs(10, 40), { p50Ms: 9, p99Ms: 9 });
    assert.equal(ledger.storedAnsweredBetween(6, 29), 1);
    assert.equal(ledger.storedAnsweredBetween(0, 40), 3);
  });

  it('measures until every partition stores again', () => {
    const ledger = new Ledger();
    for (let number = 0; number < 3; number += 1) ledger.offer(7, 0, 1_000);
    ledger.answered(0, { status: 'stored', partition: 0, offset: 0 }, 90);
    ledger.answered(1, { status: 'stored', partition: 0, offset: 1 }, 110);
    ledger.answered(2, { status: 'stored', partition: 1, offset: 0 }, 150);
    assert.equal(ledger.storedAgainMs(100, 2), 50);
    assert.equal(ledger.storedAgainMs(120, 2), Number.POSITIVE_INFINITY);
  });
});
