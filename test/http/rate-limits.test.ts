import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RateLimiter } from '../../src/http/rate-limits.ts';

function limiter(requestsPerSecond: number | undefined, bytesPerSecond?: number) {
  let now = 0;
  let sweep: (() => void) | undefined;
  const clock = {
    now: () => now,
    every: (_ms: number, callback: () => void) => {
      sweep = callback;
      return () => {};
    },
    soon: () => {},
  };
  const limits = new RateLimiter({ requestsPerSecond, bytesPerSecond }, clock);
  return {
    limits,
    pass: (seconds: number) => {
      now += seconds * 1_000;
    },
    sweep: () => sweep?.(),
    /** How many of so many requests are let through. */
    taken: (client: string, count: number) =>
      Array.from({ length: count }, () => limits.request(client)).filter(
        ({ retryAfterS }) => retryAfterS === 0,
      ).length,
  };
}

describe('rate limits', () => {
  it("let ten seconds' worth of requests through at once, and then as many as come in", () => {
    const { taken, pass, limits } = limiter(5);
    assert.equal(taken('a', 80), 50);
    assert.equal(limits.request('a').retryAfterS, 1);
    pass(2);
    assert.equal(taken('a', 80), 10);
    pass(3_600);
    assert.equal(taken('a', 80), 50, 'what is not used does not add up');
  });

  it('are for each client alone', () => {
    const { taken } = limiter(1);
    assert.equal(taken('a', 20), 10);
    assert.equal(taken('b', 20), 10);
  });

  it('of bytes are counted when they have arrived, and have to come in again', () => {
    const { limits, pass } = limiter(undefined, 1_000);
    assert.equal(limits.request('a').retryAfterS, 0);
    limits.received('a', 25_000);
    assert.equal(limits.request('a').retryAfterS, 16, '15,000 too many, and one');
    pass(15);
    assert.equal(limits.request('a').retryAfterS, 1);
    pass(1);
    assert.equal(limits.request('a').retryAfterS, 0);
  });

  it('tell what they are and what is left', () => {
    const { limits, pass } = limiter(5, 1_000);
    assert.equal(limits.request('a').policy, '"requests";q=50;w=10, "bytes";q=10000;w=10');
    limits.received('a', 2_500);
    assert.equal(limits.request('a').remaining, '"requests";r=48;t=1, "bytes";r=7500;t=3');
    pass(60);
    assert.equal(limits.request('a').remaining, '"requests";r=49;t=1, "bytes";r=10000;t=0');
  });

  it('keep count of 10,000 clients at most, and forget those who have everything left', () => {
    const { limits, taken, pass, sweep } = limiter(1);
    assert.equal(taken('first', 20), 10);
    for (let index = 0; index < 9_999; index += 1) limits.request(`client ${index}`);
    assert.equal(taken('first', 20), 0, 'still known');
    limits.request('one more');
    assert.equal(taken('first', 20), 0, 'it was seen a moment ago');
    for (let index = 0; index < 9_999; index += 1) limits.request(`other ${index}`);
    limits.request('and one');
    assert.equal(taken('first', 20), 10, 'forgotten');
    assert.equal(taken('second', 20), 10);
    pass(9);
    sweep();
    assert.equal(taken('second', 20), 9, 'who has used something is kept');
    pass(60);
    sweep();
    assert.equal(taken('second', 20), 10);
  });
});
