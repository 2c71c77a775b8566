import type { Logger } from 'pino';
import { aggregateChannelOf, channelOf, messageOf } from '../notification.ts';
import type { Notified, TraceContext } from '../tracing.ts';
import type { IngestMetrics } from './metrics.ts';
import { type Notification, NotificationQueue, type NotificationQueueLimits } from './notification-queue.ts';
import { RedisCluster } from './redis-cluster.ts';
import { RedisConnection, type RedisState, type RedisTimes } from './redis-connection.ts';
import type { Unpublished } from './redis-publish.ts';
import { masterBehind, type RedisSettings, serverAt } from './redis-settings.ts';

export interface RedisNotifierOptions {
  readonly redis: RedisSettings;
  /** Publish to `events:{source_type}` as well, right after the source's own channel. */
  readonly aggregateChannels?: boolean;
  /** What may wait for Redis. */
  readonly queue?: NotificationQueueLimits;
  /** A notification that has waited longer is dropped: by then it misleads more than it helps. */
  readonly ageMaxMs?: number;
  readonly times?: Partial<RedisTimes>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly metrics: Pick<IngestMetrics, 'notified' | 'redisPublishTook'>;
  /** Called when Redis becomes usable, and when it ceases to be or the first attempt has failed. */
  readonly onState?: (isUp: boolean) => void;
  /** Called with each flush that is over, where somebody collects spans. `startedAt`: of `performance.now()`. */
  readonly onPublished?: ((notifications: readonly Notified[], startedAt: number) => void) | undefined;
}

export interface NotifiableEvent {
  readonly id: string;
  readonly type: string;
  readonly sourceType: string;
  readonly sourceId: string;
  /** That its notification is a part of. */
  readonly span?: TraceContext | undefined;
}

/** One Redis, or a Cluster. `publish` takes channel, message, channel, ... and neither rejects nor waits for ever. */
interface RedisTarget {
  readonly state: RedisState;
  readonly reason: string;
  publish(pairs: readonly string[]): Promise<Unpublished>;
  close(): void;
}

const QUEUE_LIMITS: NotificationQueueLimits = { countMax: 20_000, bytesMax: 8 * 1024 * 1024 };
/** One flush: little enough to be built and answered in a few milliseconds. */
const FLUSH_LIMITS: NotificationQueueLimits = { countMax: 1024, bytesMax: 1024 * 1024 };
const AGE_MAX_MS = 5000;
const TIMES: RedisTimes = {
  answerTimeoutMs: 1000,
  connectTimeoutMs: 2000,
  probeIntervalMs: 2000,
  backoffMinMs: 50,
  backoffMaxMs: 2000,
};
const SWEEP_INTERVAL_MS = 1000;
const SUMMARY_INTERVAL_MS = 10_000;
/** Of a notification in memory, beside its characters. */
const NOTIFICATION_OVERHEAD_BYTES = 128;
/** Of the identity of a span, beside what vendors add. */
const SPAN_OVERHEAD_BYTES = 320;

/**
 * Tells Redis subscribers which events are stored (promises P2 and P8). Best effort: what Redis does not take is
 * counted and forgotten, and nothing that Redis does is felt by the caller.
 *
 *     notify ─► queue ── a flush at a time ─► Redis
 *                 └── full, or too old ─────► dropped while Redis is up, failed while it is not
 *
 * A flush begins when the one before is over, so what arrives meanwhile shares the next; a source's notifications
 * are published in the order of the calls.
 */
export class RedisNotifier {
  readonly #options: RedisNotifierOptions;
  readonly #queue: NotificationQueue;
  readonly #ageMaxMs: number;
  readonly #target: RedisTarget;
  readonly #sweeper: NodeJS.Timeout;
  #wasUp: boolean | undefined;
  #isScheduled = false;
  #isFlushing = false;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;
  /** How many fell out of the queue and are not counted yet: a stopped Redis makes it every one, so in sums. */
  #fallen = 0;
  #unsummed = { failed: 0, dropped: 0 };
  #summaryAt = Number.NEGATIVE_INFINITY;
  #reason = '';

  /** Begins to connect. Throws a TypeError if the settings cannot be used. */
  constructor(options: RedisNotifierOptions) {
    this.#options = options;
    this.#queue = new NotificationQueue(options.queue ?? QUEUE_LIMITS);
    this.#ageMaxMs = options.ageMaxMs ?? AGE_MAX_MS;
    this.#target = this.#open({ ...TIMES, ...options.times });
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS);
  }

  get state(): RedisState {
    return this.#closing === undefined ? this.#target.state : 'closed';
  }

  /**
   * Queues the notification of an event that is stored since `now` (`performance.now()`). Returns at once and never
   * throws. Keeps nothing of what it is given but the span: channel and message are copies.
   */
  notify(event: NotifiableEvent, now: number): void {
    if (this.#closing !== undefined) {
      this.#count('dropped', 1);
      return;
    }
    const channel = channelOf(event.sourceType, event.sourceId);
    const message = messageOf(event);
    const aggregate = this.#options.aggregateChannels ? aggregateChannelOf(event.sourceType) : undefined;
    const bytes =
      NOTIFICATION_OVERHEAD_BYTES +
      copiedBytes(channel) +
      copiedBytes(message) +
      copiedBytes(aggregate ?? '') +
      (event.span === undefined ? 0 : spanBytes(event.span));
    this.#fallen += this.#queue.push({ channel, aggregate, message, bytes, queuedAt: now, span: event.span });
    this.#schedule();
  }

  /** Publishes what is queued, within the deadline and if Redis is up, then disconnects. May be called twice. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#drain(deadlineMs);
    return this.#closing;
  }

  #open(times: RedisTimes): RedisTarget {
    const { redis, log } = this.#options;
    const common = { times, log, onState: () => this.#changed() };
    if (redis.mode === 'cluster') {
      const seeds = redis.urls.map((url) => serverAt(url, redis.tls));
      return new RedisCluster({ ...common, seeds, publishBy: redis.sharded ? 'SPUBLISH' : 'PUBLISH' });
    }
    const server = redis.mode === 'sentinel' ? masterBehind(redis) : serverAt(redis.url, redis.tls);
    return new RedisConnection({ ...common, server, publishBy: 'PUBLISH' });
  }

  #changed(): void {
    const { state } = this.#target;
    if (state === 'closed') return;
    const isUp = state === 'up';
    if (isUp !== this.#wasUp) {
      // What has fallen so far is counted under the state it fell in.
      this.#countFallen();
      this.#wasUp = isUp;
      this.#options.onState?.(isUp);
    }
    this.#schedule();
    this.#tellIfIdle();
  }

  /** Waits for the turn to end: all that one answer of Kafka settles shares a flush. */
  #schedule(): void {
    if (this.#isScheduled || this.#isFlushing || this.#queue.count === 0 || this.#target.state !== 'up')
      return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#flush();
    });
  }

  /** Publishes until nothing is queued. What arrives meanwhile shares the next pipeline. Never rejects. */
  async #flush(): Promise<void> {
    this.#isFlushing = true;
    while (this.#target.state === 'up') {
      this.#dropOld();
      const batch = this.#queue.take(FLUSH_LIMITS);
      if (batch.length === 0) break;
      // oxlint-disable-next-line no-await-in-loop -- a second flush in flight could overtake the first
      await this.#publish(batch);
    }
    this.#isFlushing = false;
    this.#tellIfIdle();
  }

  async #publish(batch: readonly Notification[]): Promise<void> {
    const pairs: string[] = [];
    for (const { channel, aggregate, message } of batch) {
      pairs.push(channel, message);
      if (aggregate !== undefined) pairs.push(aggregate, message);
    }
    const startedAt = performance.now();
    const { positions, reason } = await this.#target.publish(pairs);
    this.#options.metrics.redisPublishTook((performance.now() - startedAt) / 1000);
    const pairsPerEvent = pairs.length / 2 / batch.length;
    const failed = new Set(positions.map((position) => Math.floor(position / pairsPerEvent)));
    if (failed.size > 0) this.#reason = reason;
    this.#count('failed', failed.size);
    this.#count('sent', batch.length - failed.size);
    this.#options.onPublished?.(
      batch.map(({ span }, index) => ({ span, isSent: !failed.has(index) })),
      startedAt,
    );
  }

  #sweep(): void {
    this.#dropOld();
    this.#countFallen();
    const { failed, dropped } = this.#unsummed;
    const now = performance.now();
    if (failed + dropped === 0 || now - this.#summaryAt < SUMMARY_INTERVAL_MS) return;
    this.#summaryAt = now;
    this.#unsummed = { failed: 0, dropped: 0 };
    const reason = this.#target.state === 'up' ? this.#reason : this.#target.reason;
    this.#options.log.warn({ failed, dropped, reason }, 'Subscribers were not notified of some events');
  }

  #dropOld(): void {
    this.#fallen += this.#queue.dropOlderThan(performance.now() - this.#ageMaxMs);
  }

  #countFallen(): void {
    this.#count(this.#wasUp === true ? 'dropped' : 'failed', this.#fallen);
    this.#fallen = 0;
  }

  #count(result: 'sent' | 'failed' | 'dropped', count: number): void {
    if (count === 0) return;
    this.#options.metrics.notified(result, count);
    if (result !== 'sent') this.#unsummed[result] += count;
  }

  async #drain(deadlineMs: number): Promise<void> {
    await this.#idle(deadlineMs);
    clearInterval(this.#sweeper);
    this.#target.close();
    // Nothing is answered any more, so what is in flight settles now.
    await this.#idle(deadlineMs);
    this.#fallen += this.#queue.dropOlderThan(Number.POSITIVE_INFINITY);
    this.#countFallen();
  }

  #idle(deadlineMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, deadlineMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#tellIfIdle();
    });
  }

  /** Idle: nothing is in flight, and nothing is left that could be sent. */
  #tellIfIdle(): void {
    const { state } = this.#target;
    if (this.#isFlushing || (this.#queue.count > 0 && (state === 'up' || state === 'connecting'))) return;
    this.#onIdle?.();
  }
}

/** What a span's identity keeps, with what vendors add to it. */
function spanBytes({ traceState }: TraceContext): number {
  return SPAN_OVERHEAD_BYTES + (traceState?.serialize().length ?? 0);
}

/**
 * The bytes of a string, which this makes a string of its own: one that was concatenated keeps its parts alive, and a
 * part that was sliced keeps all it was sliced from, here the text of a whole request.
 */
function copiedBytes(text: string): number {
  // Asking for the length in UTF-8 flattens the string. Beyond ASCII, V8 may need two bytes for each character.
  return Buffer.byteLength(text) === text.length ? text.length : text.length * 2;
}
