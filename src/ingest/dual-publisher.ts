import type { Clock } from '../clock.ts';
import type { ErrorCode } from '../errors.ts';
import { type BufferBudget, EVENT_BYTES, type Hold } from '../http/buffer-budget.ts';
import type { TraceContext } from '../tracing.ts';
import type { Entry, Lane } from './lane.ts';
import { Lanes, type LanesOptions } from './lanes.ts';
import type { EventOutcome } from './metrics.ts';
import type { Outcome } from './outcome.ts';
import { hashKey } from './partitioner.ts';
import { recordSizeMax } from './record-batch.ts';

/** A valid event, ready to be a Kafka record. */
export interface PublishableEvent {
  readonly id: string;
  readonly type: string;
  readonly sourceType: string;
  readonly sourceId: string;
  /**
   * How the record's value begins: `{`, followed by the members that the service assigned, each with its comma,
   * e.g. `{"id":"0193…","time":"2026-11-23T12:00:00.000Z",`. ASCII only.
   */
  readonly head: string;
  /** The rest of the value: the sender's bytes after their opening brace, to the closing brace, as sent. */
  readonly tail: Buffer;
  /** Of the record; see record-batch.ts. */
  readonly headers?: Buffer | undefined;
  /** That its notification is a part of; `undefined`: nobody collects it. */
  readonly span?: TraceContext | undefined;
}

export interface PublishRequest {
  readonly events: readonly PublishableEvent[];
  /** The account of the request's bytes; the publisher closes it. */
  readonly hold: Hold;
  /** How long the client waits, at most the publish timeout. Milliseconds. */
  readonly timeoutMs: number;
  /** Called once, when every event is settled, in a microtask: outcomes in the order of `events`. */
  readonly settled: (outcomes: readonly Outcome[]) => void;
}

export interface DualPublisherOptions extends Omit<LanesOptions, 'settle' | 'letGo' | 'metrics'> {
  readonly budget: BufferBudget;
  /** Tells subscribers of an event that is stored since `now`: best effort, returns at once, never throws. */
  readonly notify: (event: PublishableEvent, now: number) => void;
  readonly metrics: LanesOptions['metrics'] & {
    eventsSettled(outcome: EventOutcome, count: number): void;
    publishTook(seconds: number): void;
  };
}

const SAMPLE_MS = 1_000;
const RETRY_AFTER_MAX_S = 30;
/** While nothing drains there is no rate to go by; Kafka is probed each second, so this is soon enough. */
const RETRY_AFTER_STALLED_S = 5;

/**
 * Publishes to Kafka first and, what is stored, to Redis: accepts what fits the budget into the lanes, and settles
 * each request when its last event is settled. It knows neither client, only functions.
 */
export class DualPublisher {
  readonly #options: DualPublisherOptions;
  readonly #lanes: Lanes;
  readonly #drain: DrainRate;
  /** Requests so far: the latest one's number. */
  #requests = 0;
  #isDraining = false;

  constructor(options: DualPublisherOptions) {
    this.#options = options;
    this.#drain = new DrainRate(options.clock);
    this.#lanes = new Lanes({
      ...options,
      settle: (entry, outcome, now) => this.#settle(entry as QueuedEvent, outcome, now),
      letGo: (entry) => (entry as QueuedEvent).request.letGo(),
    });
  }

  get lanes(): Lanes {
    return this.#lanes;
  }

  /** Accepts what there is room for, in order; the rest is settled as not stored at once (promise P3). */
  publish({ events, hold, timeoutMs, settled }: PublishRequest): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      hold.close();
      this.#options.metrics.eventsSettled('not_stored', events.length);
      const outcomes = events.map((): Outcome => ({ status: 'not_stored', code: refusal }));
      queueMicrotask(() => settled(outcomes));
      return;
    }
    this.#requests += 1;
    const acceptedAt = this.#options.clock.now();
    const request = new OpenRequest(events.length, hold, settled);
    const deadline = acceptedAt + timeoutMs;
    events.forEach((event, index) => {
      const keyHash = hashKey(event.sourceId);
      const lane = this.#lanes.laneOf(keyHash);
      const heldBytes = this.#takeRoom(lane, hold);
      const entry = new QueuedEvent({
        event,
        request,
        index,
        keyHash,
        acceptedAt,
        deadline,
        heldBytes: heldBytes ?? 0,
      });
      if (heldBytes === undefined) {
        this.#settle(entry, { status: 'not_stored', code: 'buffer-full' }, acceptedAt);
        request.letGo();
      } else {
        this.#lanes.accept(entry, lane);
      }
    });
  }

  /** When a refused client should try again, in seconds: as long as what waits takes to drain. */
  retryAfterSeconds(): number {
    const { perSecond } = this.#drain;
    if (perSecond < 1) return RETRY_AFTER_STALLED_S;
    return Math.min(RETRY_AFTER_MAX_S, Math.max(1, Math.ceil(this.#options.budget.events / perSecond)));
  }

  /**
   * Refuses new events and waits, at most `timeoutMs`, until every accepted one is settled and no longer in flight.
   * @returns how many events were left unsettled (promise P7).
   */
  async close(timeoutMs: number): Promise<number> {
    this.#isDraining = true;
    const { clock, budget } = this.#options;
    const giveUpAt = clock.now() + timeoutMs;
    await new Promise<void>((resolve) => {
      const stop = clock.every(20, () => {
        if (!this.#lanes.isEmpty && clock.now() < giveUpAt) return;
        stop();
        resolve();
      });
    });
    this.#lanes.stop();
    this.#drain.stop();
    return this.#lanes.isEmpty ? 0 : budget.events;
  }

  #refusal(): ErrorCode | undefined {
    if (this.#isDraining) return 'shutting-down';
    return this.#lanes.admits() ? undefined : this.#lanes.trouble;
  }

  /**
   * The bytes that the lane keeps alive on behalf of one more event of the latest request; `undefined`: there is no
   * room. Nothing is given back while the events of a request are accepted, so once a lane had none, the later ones get
   * none in it either (their order).
   */
  #takeRoom(lane: Lane, hold: Hold): number | undefined {
    const heldBytes = lane.joinedBy === this.#requests ? EVENT_BYTES : hold.bytes + EVENT_BYTES;
    // One stuck partition may not hold everything.
    const { bytesMax } = this.#options.budget.limits;
    const laneBytesMax = this.#lanes.partitionCount > 1 ? bytesMax / 2 : bytesMax;
    if (lane.heldBytes + heldBytes > laneBytesMax || !hold.takeEvent()) return undefined;
    lane.joinedBy = this.#requests;
    return heldBytes;
  }

  #settle(entry: QueuedEvent, outcome: Outcome, now: number): void {
    const { metrics, notify } = this.#options;
    const isLate = entry.isSettled;
    if (outcome.status === 'stored') {
      this.#drain.count();
      metrics.publishTook((now - entry.acceptedAt) / 1000);
      notify(entry.event, now);
    }
    metrics.eventsSettled(isLate ? 'stored_late' : outcome.status, 1);
    if (isLate) return;
    entry.isSettled = true;
    entry.request.settle(entry.index, outcome);
  }
}

/** One event of a request, in a lane. */
class QueuedEvent implements Entry {
  readonly event: PublishableEvent;
  readonly request: OpenRequest;
  readonly index: number;
  readonly keyHash: number;
  readonly acceptedAt: number;
  readonly deadline: number;
  readonly heldBytes: number;
  readonly recordBytesMax: number;
  isAmbiguous = false;
  isSettled = false;

  constructor(
    of: Pick<
      QueuedEvent,
      'event' | 'request' | 'index' | 'keyHash' | 'acceptedAt' | 'deadline' | 'heldBytes'
    >,
  ) {
    this.event = of.event;
    this.request = of.request;
    this.index = of.index;
    this.keyHash = of.keyHash;
    this.acceptedAt = of.acceptedAt;
    this.deadline = of.deadline;
    this.heldBytes = of.heldBytes;
    this.recordBytesMax = recordSizeMax(of.event);
  }
}

/** A request whose events are settled one by one, and answered together. */
class OpenRequest {
  readonly #outcomes: Outcome[] = [];
  readonly #settled: PublishRequest['settled'];
  readonly #hold: Hold;
  #unsettled: number;
  #held: number;

  constructor(events: number, hold: Hold, settled: PublishRequest['settled']) {
    this.#outcomes.length = events; // Array.from would take longer than all else here
    this.#unsettled = events;
    this.#held = events;
    this.#hold = hold;
    this.#settled = settled;
  }

  settle(index: number, outcome: Outcome): void {
    this.#outcomes[index] = outcome;
    this.#unsettled -= 1;
    // Later in this turn: what Kafka answered is worked through first, and the next batch is on its way to it.
    if (this.#unsettled === 0) queueMicrotask(() => this.#settled(this.#outcomes));
  }

  /** An event's bytes are no longer needed; after the last one, none of the request's are. */
  letGo(): void {
    this.#held -= 1;
    if (this.#held === 0) this.#hold.close();
  }
}

/** How many events Kafka acknowledges a second, smoothed over the last few seconds. */
class DrainRate {
  perSecond = 0;
  #counted = 0;
  readonly stop: () => void;

  constructor(clock: Clock) {
    this.stop = clock.every(SAMPLE_MS, () => {
      this.perSecond += (this.#counted - this.perSecond) * 0.3;
      this.#counted = 0;
    });
  }

  count(): void {
    this.#counted += 1;
  }
}
