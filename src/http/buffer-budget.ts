/**
 * Counts the bytes that requests keep in memory (promise P3): the request itself from its headers until its answer has
 * left, or is there and nobody reads it; its body, from its beginning, and its events until the last of them is settled
 * and its sends are over. A body is counted whole, because a slice of it keeps all of it alive.
 */

/**
 * What one request and one event cost beside the body. A waiting request was measured to keep 6 to 7 KB resident
 * (docs/decisions); the check of P3 allows two bytes for each that is counted here. Connections are not counted here:
 * they cost the same with and without a request, and have a limit of their own, CONNECTIONS_MAX.
 */
export const REQUEST_BYTES = 4096;
export const EVENT_BYTES = 512;

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

  /** Counts a request, or an answer that is large, until it has left. `false`: there is no room. */
  take(bytes: number): boolean {
    if (this.#held.bytes + bytes > this.limits.bytesMax) return false;
    this.#held.bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#held.bytes -= bytes;
  }

  /** Opens the account of what a request carries: its body and events. */
  open(): Hold {
    return new Hold(this.limits, this.#held);
  }
}

/** The account of one request's body and events. Closed once, by whoever holds these bytes last. */
export class Hold {
  readonly #limits: BufferLimits;
  readonly #held: Held;
  #bytes = 0;
  #arrivingBytes = 0;
  #events = 0;
  #isClosed = false;

  constructor(limits: BufferLimits, held: Held) {
    this.#limits = limits;
    this.#held = held;
  }

  /** All that is kept in memory on behalf of this request: what this account counts, and the request itself. */
  get bytes(): number {
    return REQUEST_BYTES + this.#bytes;
  }

  /** Counts bytes that are here already. `false`: there is no room, and none were counted. */
  take(bytes: number): boolean {
    const held = this.#held;
    if (held.bytes + bytes > this.#limits.bytesMax) return false;
    held.bytes += bytes;
    this.#bytes += bytes;
    return true;
  }

  /**
   * Counts bytes of a body that is still arriving or being decoded, or is announced to come. `false`: there is no room.
   * All that arrives may hold a quarter, so that slow senders cannot shut out those whose bodies come in one piece.
   */
  grow(bytes: number): boolean {
    const held = this.#held;
    if (held.arrivingBytes + bytes > this.#limits.bytesMax / 4 || !this.take(bytes)) return false;
    held.arrivingBytes += bytes;
    this.#arrivingBytes += bytes;
    return true;
  }

  /** The body is complete and within limits: it no longer counts as arriving. */
  arrived(): void {
    this.#held.arrivingBytes -= this.#arrivingBytes;
    this.#arrivingBytes = 0;
  }

  /** Of what was taken or grown, so many bytes are no longer kept. */
  giveBack(bytes: number): void {
    this.#held.bytes -= bytes;
    this.#bytes -= bytes;
  }

  /** Counts one event of this request, after it has arrived. `false`: there is no room. */
  takeEvent(): boolean {
    const held = this.#held;
    if (held.events + 1 > this.#limits.eventsMax || !this.take(EVENT_BYTES)) return false;
    held.events += 1;
    this.#events += 1;
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
