import type { Clock } from '../../src/clock.ts';

interface Due {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Time that jumps from one thing that is due to the next. Deterministic: ties go to what was asked for first. */
export class VirtualTime implements Clock {
  #now = 0;
  #order = 0;
  readonly #heap: Due[] = [];

  now(): number {
    return this.#now;
  }

  soon(callback: () => void): void {
    this.at(this.#now, callback);
  }

  every(everyMs: number, callback: () => void): () => void {
    let isOver = false;
    const again = () =>
      this.at(this.#now + everyMs, () => {
        if (isOver) return;
        again();
        callback();
      });
    again();
    return () => {
      isOver = true;
    };
  }

  at(time: number, callback: () => void): void {
    this.#order += 1;
    this.#push({ at: Math.max(time, this.#now), order: this.#order, callback });
  }

  after(ms: number, callback: () => void): void {
    this.at(this.#now + ms, callback);
  }

  /** Runs everything that is due until `end`, promises included; `afterEach` looks at every step. */
  async runUntil(end: number, afterEach: () => void): Promise<void> {
    for (let due = this.#heap[0]; due !== undefined && due.at <= end; due = this.#heap[0]) {
      this.#pop();
      this.#now = due.at;
      due.callback();
      // The longest chain of promises in the lanes has fewer links than this.
      for (let link = 0; link < 4; link += 1) await undefined;
      afterEach();
    }
    this.#now = end;
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let index = heap.push(due) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(due, heap[parent] as Due)) break;
      heap[index] = heap[parent] as Due;
      index = parent;
    }
    heap[index] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Due;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Due, heap[child] as Due)) child += 1;
      if (!isBefore(heap[child] as Due, last)) break;
      heap[index] = heap[child] as Due;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
