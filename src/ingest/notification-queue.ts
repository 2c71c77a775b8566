import type { TraceContext } from '../tracing.ts';

/** One stored event on its way to the subscribers. */
export interface Notification {
  /** That it is a part of; `undefined`: nobody collects it. */
  readonly span: TraceContext | undefined;
  readonly channel: string;
  /** The channel of the source type, where that is published to as well. */
  readonly aggregate: string | undefined;
  readonly message: string;
  /** What it keeps in memory, estimated, rounded up. */
  readonly bytes: number;
  /** On the clock of `performance.now()`. */
  readonly queuedAt: number;
}

export interface NotificationQueueLimits {
  readonly countMax: number;
  readonly bytesMax: number;
}

/**
 * A ring of notifications, oldest first, bounded by count and by bytes. Full, it gives up its oldest: a subscriber
 * has more use for what has just happened. Bounded here because ioredis's own queue is not.
 */
export class NotificationQueue {
  readonly #limits: NotificationQueueLimits;
  readonly #ring: (Notification | undefined)[];
  #head = 0;
  #count = 0;
  #bytes = 0;

  constructor(limits: NotificationQueueLimits) {
    this.#limits = limits;
    this.#ring = Array.from({ length: limits.countMax });
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the newest. Returns how many fell out to make room for it, itself included if it is larger than the ring. */
  push(notification: Notification): number {
    const { countMax, bytesMax } = this.#limits;
    if (notification.bytes > bytesMax) return 1;
    let dropped = 0;
    while (this.#count === countMax || this.#bytes + notification.bytes > bytesMax) {
      this.#shift();
      dropped += 1;
    }
    this.#ring[(this.#head + this.#count) % countMax] = notification;
    this.#count += 1;
    this.#bytes += notification.bytes;
    return dropped;
  }

  /** Drops what was queued before `instant`. Returns how many. */
  dropOlderThan(instant: number): number {
    let dropped = 0;
    for (
      let oldest = this.#oldest();
      oldest !== undefined && oldest.queuedAt < instant;
      oldest = this.#oldest()
    ) {
      this.#shift();
      dropped += 1;
    }
    return dropped;
  }

  /** Takes the oldest out, in order, at most so many and so many bytes, yet at least one if there is one. */
  take(most: NotificationQueueLimits): Notification[] {
    const taken: Notification[] = [];
    let bytes = 0;
    while (taken.length < most.countMax) {
      const next = this.#oldest();
      if (next === undefined || (taken.length > 0 && bytes + next.bytes > most.bytesMax)) break;
      this.#shift();
      bytes += next.bytes;
      taken.push(next);
    }
    return taken;
  }

  #oldest(): Notification | undefined {
    return this.#ring[this.#head];
  }

  #shift(): void {
    this.#bytes -= this.#ring[this.#head]?.bytes ?? 0;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#limits.countMax;
    this.#count -= 1;
  }
}
