/**
 * Counts the bytes that requests keep in memory, from the first byte of a body until the last of its events is
 * settled and its sends are over (promise P3). A request is counted whole, because a slice of a body keeps the
 * whole body alive.
 */

/**
 * What one request and one event cost beside the body. A waiting request costs 18 KB of resident memory with its
 * connection; the check of P3 allows two bytes for each that is counted, and 48 MB on top.
 */
const REQUEST_OVERHEAD_BYTES = 8192;
const EVENT_OVERHEAD_BYTES = 512;

export interface BufferLimits {
  readonly bytesMax: number;
  readonly eventsMax: number;
}

interface Held {
  bytes: number;
  /** The part of `bytes` whose bodies are not complete. */
  arrivingBytes: number;
  events: number;
}

export class BufferBudget {
  readonly limits: BufferLimits;
  readonly #held: Held = { bytes: 0, arrivingBytes: 0, events: 0 };

  constructor(limits: BufferLimits) {
    this.limits = limits;
  }

  get bytes(): number {
    return this.#held.bytes;
  }

  get events(): number {
    return this.#held.events;
  }

  /** Opens the account of one request. `undefined`: there is no room for another request. */
  open(): Hold | undefined {
    const hold = new Hold(this.limits, this.#held);
    return hold.grow(REQUEST_OVERHEAD_BYTES) ? hold : undefined;
  }
}

/** One request's account. Closed once, by whoever holds the request's bytes last. */
export class Hold {
  readonly #limits: BufferLimits;
  readonly #held: Held;
  #bytes = 0;
  #events = 0;
  #isArriving = true;
  #isClosed = false;

  constructor(limits: BufferLimits, held: Held) {
    this.#limits = limits;
    this.#held = held;
  }

  /** Everything that this request holds. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Counts bytes of a body that is arriving or being decoded. `false`: there is no room, and none were counted.
   * All that arrives may hold a quarter, so that slow senders cannot shut out those that are ready.
   */
  grow(bytes: number): boolean {
    const held = this.#held;
    if (held.bytes + bytes > this.#limits.bytesMax) return false;
    if (held.arrivingBytes + bytes > this.#limits.bytesMax / 4) return false;
    held.bytes += bytes;
    held.arrivingBytes += bytes;
    this.#bytes += bytes;
    return true;
  }

  /** The body is complete and within limits: it no longer counts as arriving. */
  arrived(): void {
    if (!this.#isArriving) return;
    this.#isArriving = false;
    this.#held.arrivingBytes -= this.#bytes;
  }

  /** Counts one event of this request, after it has arrived. `false`: there is no room. */
  takeEvent(): boolean {
    const held = this.#held;
    if (held.events + 1 > this.#limits.eventsMax) return false;
    if (held.bytes + EVENT_OVERHEAD_BYTES > this.#limits.bytesMax) return false;
    held.events += 1;
    held.bytes += EVENT_OVERHEAD_BYTES;
    this.#events += 1;
    this.#bytes += EVENT_OVERHEAD_BYTES;
    return true;
  }

  /** Gives everything back. May be called twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.arrived();
    this.#held.bytes -= this.#bytes;
    this.#held.events -= this.#events;
  }
}
