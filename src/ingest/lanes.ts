import type { ErrorCode } from '../errors.ts';
import { Availability, type KafkaReadiness, type KafkaState } from './availability.ts';
import type { Clock } from './clock.ts';
import type { Outcome } from './dual-publisher.ts';
import type { Attempt, PartitionRecords, SendResult } from './kafka-producer.ts';
import type { TopicMetadata } from './kafka-protocol.ts';
import type { BatchLimits, Entry, Lane } from './lane.ts';
import { LaneMap, NO_LEADER } from './lane-map.ts';
import { produceError } from './produce-errors.ts';

/** How often deadlines, retries and slow attempts are looked at. */
const TICK_MS = 50;
/** An attempt older than this is slow: other lanes no longer wait for it, and its leader is doubted. */
const SLOW_MS = 1_000;
const METADATA_AGE_MAX_MS = 60_000;
/** In doubt, metadata is asked for this often. */
const METADATA_DOUBT_MS = 1_000;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 1_000;
/** Bytes of one Produce request over all its partitions; brokers take 100 MB, an event loop wants less. */
const REQUEST_BYTES_MAX = 8 * 1024 * 1024;

export interface LanesOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly batchLimits: () => BatchLimits;
  readonly publishTimeoutMs: number;
  /** One attempt on the channel `name` of a leader; see KafkaProducer.send. */
  readonly send: (leader: number, name: string, take: () => readonly PartitionRecords[]) => Attempt;
  /** A channel is not needed any more. */
  readonly release: (leader: number, name: string) => void;
  readonly refreshMetadata: () => void;
  /** Called once with the outcome of an entry, and again when one that ended unknown turns out stored. */
  readonly settle: (entry: Entry, outcome: Outcome) => void;
  /** No attempt refers to the entry any more. */
  readonly letGo: (entry: Entry) => void;
  readonly onState: (state: KafkaState) => void;
  /** Partitions began to fail or leaders cannot be reached, or all that is over. */
  readonly onTrouble: (isTroubled: boolean, failingPartitions: number, reason: string) => void;
  readonly metrics: {
    kafkaError(reason: string): void;
    kafkaRequestTook(seconds: number): void;
    batchSent(events: number): void;
  };
}

/** One attempt under way, and the lanes it carries once it is written. */
interface Flight {
  readonly leader: number;
  readonly name: string;
  readonly lanes: Lane[];
  readonly startedAt: number;
  attempt: Attempt | undefined;
}

const SHARED = 'shared';

/**
 * A lane per partition, and the flights that carry them. Lanes with the same leader share a flight; a lane that
 * failed, or would have to wait for a slow flight, travels alone, so that a stuck partition does not stall its
 * siblings (docs/decisions).
 */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #availability: Availability;
  readonly #flights = new Map<string, Flight>();
  /** Leaders that could not be connected to: when to try again. */
  readonly #unreachable = new Map<number, { failures: number; retryAt: number }>();
  /**
   * Leaders over quota, until when. The broker would leave a request unread for so long, and the time-out of that
   * request would make it ambiguous.
   */
  readonly #throttled = new Map<number, number>();
  readonly #map = new LaneMap();
  #trouble: ErrorCode = 'kafka-unavailable';
  #wasTroubled = false;
  /** What the latest failure was, in Kafka's words or the connection's. */
  #lastReason = '';
  #isFlushDue = false;
  #firstLane = 0;
  #metadataAskedAt = Number.NEGATIVE_INFINITY;
  #tickedAt: number;
  readonly #stopTicking: () => void;

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#availability = new Availability(options.publishTimeoutMs, options.onState);
    this.#tickedAt = options.clock.now();
    this.#stopTicking = options.clock.every(TICK_MS, () => this.#tick());
    this.#askForMetadata();
  }

  get state(): KafkaState {
    return this.#availability.state;
  }

  /** Whether a request may come in now; on trial, this takes its turn. */
  admits(): boolean {
    return this.#availability.admits(this.#options.clock.now());
  }

  /** Why Kafka takes no events, as far as metadata says. */
  get trouble(): ErrorCode {
    return this.#trouble;
  }

  get isEmpty(): boolean {
    return this.#map.isEmpty;
  }

  get readiness(): KafkaReadiness {
    if (this.state === 'trial') return 'degraded';
    const isDegraded = this.#wasTroubled || this.#map.hasLeaderless;
    return this.state === 'available' && isDegraded ? 'degraded' : this.state;
  }

  /** Milliseconds since the oldest unsettled event was accepted; 0 while there is none. */
  get oldestAgeMs(): number {
    const now = this.#options.clock.now();
    return now - Math.min(now, ...this.#map.all.map(({ oldestAcceptedAt }) => oldestAcceptedAt ?? now));
  }

  get partitionCount(): number {
    return this.#map.lanes.length;
  }

  /** The lane that an event with this key would wait in. Only after the first metadata. */
  laneOf(keyHash: number): Lane {
    return this.#map.laneOf(keyHash);
  }

  /** Takes an entry into its lane, to settle it once. */
  accept(entry: Entry, lane: Lane): void {
    lane.accept(entry);
    this.#flushSoon();
  }

  /** Takes note of leaders, partitions and errors. */
  update(metadata: TopicMetadata, minInSyncReplicas: number): void {
    this.#map.update(metadata.partitions.map(({ leader }) => leader));
    for (const leader of this.#unreachable.keys())
      if (!this.#map.leads(leader)) this.#unreachable.delete(leader);
    const isUsable = metadata.partitions.some(
      ({ leader, inSyncReplicas }) => leader !== NO_LEADER && inSyncReplicas >= minInSyncReplicas,
    );
    this.#trouble = metadata.errorCode === 0 ? 'kafka-unavailable' : produceError(metadata.errorCode).code;
    this.#availability.metadata(isUsable);
    this.#flushSoon();
  }

  /** Stops looking at the clock. What is unsettled stays so. */
  stop(): void {
    this.#stopTicking();
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#options.clock.soon(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  /** Starts a flight for every lane that has something to send and none under way. */
  #flush(): void {
    const now = this.#options.clock.now();
    for (const lane of this.#map.lanes) {
      const leader = this.#map.leaderOf(lane);
      if (leader === NO_LEADER || !isReady(lane, now)) continue;
      if ((this.#unreachable.get(leader)?.retryAt ?? 0) > now || this.#isThrottled(leader, now)) continue;
      if (this.#travelsAlone(lane, leader, now)) this.#start(leader, String(lane.partition), [lane], now);
      else this.#start(leader, SHARED, this.#map.lanes, now);
    }
  }

  #isThrottled(leader: number, now: number): boolean {
    return (this.#throttled.get(leader) ?? 0) > now;
  }

  #travelsAlone(lane: Lane, leader: number, now: number): boolean {
    if (lane.failures > 0) return true;
    const shared = this.#flights.get(keyOf(leader, SHARED));
    return shared !== undefined && now - shared.startedAt > SLOW_MS;
  }

  /** The lanes that go along are chosen when the connection is ready to write, not before. */
  #start(leader: number, name: string, candidates: readonly Lane[], now: number): void {
    const key = keyOf(leader, name);
    if (this.#flights.has(key)) return;
    const flight: Flight = { leader, name, lanes: [], startedAt: now, attempt: undefined };
    this.#flights.set(key, flight);
    flight.attempt = this.#options.send(leader, name, () => this.#board(flight, candidates));
    void flight.attempt.result.then((result) => {
      this.#flights.delete(key);
      this.#land(flight, result);
      this.#map.change();
      this.#flush();
    });
  }

  #board(flight: Flight, candidates: readonly Lane[]): readonly PartitionRecords[] {
    const now = this.#options.clock.now();
    if (this.#isThrottled(flight.leader, now)) return [];
    const boarded: PartitionRecords[] = [];
    let bytes = 0;
    // Another lane is first each time, so that none is left out again and again when a request is full.
    this.#firstLane += 1;
    for (let step = 0; step < candidates.length && bytes < REQUEST_BYTES_MAX; step += 1) {
      const lane = candidates[(this.#firstLane + step) % candidates.length] as Lane;
      const isOurs =
        this.#map.leaderOf(lane) === flight.leader && (flight.name !== SHARED || lane.failures === 0);
      if (!isOurs || !isReady(lane, now)) continue;
      this.#expireLane(lane, now);
      const batch = lane.take(this.#options.batchLimits());
      if (batch.length === 0) continue;
      flight.lanes.push(lane);
      boarded.push({ partition: lane.partition, records: batch.map(({ event }) => event) });
      for (const { recordBytesMax } of batch) bytes += recordBytesMax;
      this.#options.metrics.batchSent(batch.length);
    }
    return boarded;
  }

  #land(flight: Flight, result: SendResult): void {
    const now = this.#options.clock.now();
    switch (result.status) {
      case 'unsent':
        this.#landUnsent(flight, result.reason, now);
        return;
      case 'lost':
        for (const lane of flight.lanes) this.#fail(lane, result.reason, now);
        return;
      case 'answered': {
        this.#options.metrics.kafkaRequestTook((now - flight.startedAt) / 1000);
        this.#unreachable.delete(flight.leader);
        if (result.throttleTimeMs > 0) this.#throttled.set(flight.leader, now + result.throttleTimeMs);
        for (const lane of flight.lanes) {
          const answer = result.partitions.find(({ partition }) => partition === lane.partition);
          if (answer?.errorCode === 0) this.#store(lane, answer.baseOffset);
          else this.#refuse(lane, answer?.errorCode ?? -1, now);
        }
        const isSlow = this.#travelsAlone(flight.lanes[0] as Lane, flight.leader, now);
        if (flight.name !== SHARED && !isSlow) this.#options.release(flight.leader, flight.name);
      }
    }
  }

  #landUnsent(flight: Flight, reason: string, now: number): void {
    if (reason === 'nothing to send') return;
    const failures = (this.#unreachable.get(flight.leader)?.failures ?? 0) + 1;
    this.#unreachable.set(flight.leader, { failures, retryAt: now + this.#backoffMs(failures) });
    this.#options.metrics.kafkaError('unreachable');
    this.#lastReason = reason;
    this.#askForMetadataSoon();
  }

  #store(lane: Lane, baseOffset: number): void {
    this.#availability.acknowledged();
    lane.failures = 0;
    lane.retryAt = 0;
    let offset = baseOffset;
    const { settle, letGo } = this.#options;
    for (const entry of lane.landed(() => true)) {
      settle(entry, { status: 'stored', partition: lane.partition, offset });
      letGo(entry);
      offset += 1;
    }
  }

  /** Kafka answered an error for the lane's batch. */
  #refuse(lane: Lane, errorCode: number, now: number): void {
    const error = produceError(errorCode);
    if (error.appended === 'maybe') {
      this.#fail(lane, error.name, now);
      return;
    }
    this.#options.metrics.kafkaError(error.name);
    if (error.retry === 'never' || (error.retry === 'split' && lane.batchSize === 1)) {
      const status = error.retry === 'split' ? 'refused' : 'not_stored';
      this.#finish(
        lane.landed(() => true),
        { status, code: error.code },
      );
      return;
    }
    this.#finish(lane.landed(({ isSettled }) => isSettled));
    if (error.retry === 'split') lane.split();
    else this.#backOff(lane, error.name, now);
  }

  /** The attempt may have appended the lane's batch. */
  #fail(lane: Lane, reason: string, now: number): void {
    this.#options.metrics.kafkaError(reason);
    const settled = lane.landed((entry) => {
      entry.isAmbiguous = true;
      return entry.isSettled;
    });
    this.#finish(settled);
    this.#backOff(lane, reason, now);
  }

  #backOff(lane: Lane, reason: string, now: number): void {
    lane.failures += 1;
    lane.retryAt = now + this.#backoffMs(lane.failures);
    this.#lastReason = reason;
    this.#askForMetadataSoon();
  }

  #backoffMs(failures: number): number {
    const full = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (failures - 1));
    return full * (0.5 + this.#options.random() / 2);
  }

  /** Settles what is not settled, as `outcome` unless an earlier attempt made it ambiguous, and lets all go. */
  #finish(entries: readonly Entry[], outcome?: Outcome): void {
    const { settle, letGo } = this.#options;
    for (const entry of entries) {
      if (!entry.isSettled && outcome) settle(entry, entry.isAmbiguous ? UNKNOWN : outcome);
      letGo(entry);
    }
  }

  #tick(): void {
    const now = this.#options.clock.now();
    const isWaiting = !this.isEmpty;
    this.#availability.passed(now - this.#tickedAt, isWaiting);
    this.#tickedAt = now;
    if (isWaiting) {
      for (const lane of this.#map.all) this.#expireLane(lane, now);
      this.#map.change();
      this.#flush();
    } else {
      // Nothing waits for those leaders, so nothing would ever show that they are back.
      this.#unreachable.clear();
    }
    const isSlow = this.#doubtFlights(now);
    const isTroubled = this.#isTroubled();
    const isInDoubt = isSlow || isTroubled || this.state !== 'available';
    const ageMax = isInDoubt ? METADATA_DOUBT_MS : METADATA_AGE_MAX_MS;
    if (now - this.#metadataAskedAt >= ageMax) this.#askForMetadata();
  }

  /** True while a lane fails or a leader cannot be reached. Says so when it begins and when it ends. */
  #isTroubled(): boolean {
    const failing = this.#map.lanes.filter(({ failures }) => failures > 0).length;
    const isTroubled = failing > 0 || this.#unreachable.size > 0;
    if (isTroubled !== this.#wasTroubled) this.#options.onTrouble(isTroubled, failing, this.#lastReason);
    this.#wasTroubled = isTroubled;
    return isTroubled;
  }

  #expireLane(lane: Lane, now: number): void {
    const { ended, inFlight } = lane.expire(now);
    this.#finish(ended, { status: 'not_stored', code: this.#trouble });
    for (const entry of inFlight) this.#options.settle(entry, UNKNOWN);
    if (lane.isEmpty) lane.failures = 0;
  }

  /** True while a flight is slow. One whose lanes have another leader by now is given up. */
  #doubtFlights(now: number): boolean {
    let isSlow = false;
    for (const { leader, lanes, startedAt, attempt } of this.#flights.values()) {
      if (now - startedAt <= SLOW_MS) continue;
      isSlow = true;
      const hasMoved = lanes.some(
        (lane) => this.#map.leaderOf(lane) !== leader && this.#map.leaderOf(lane) !== NO_LEADER,
      );
      if (hasMoved) attempt?.abandon();
    }
    return isSlow;
  }

  #askForMetadata(): void {
    this.#metadataAskedAt = this.#options.clock.now();
    this.#options.refreshMetadata();
  }

  /** After a failure: at once, but not for every failing lane again. */
  #askForMetadataSoon(): void {
    if (this.#options.clock.now() - this.#metadataAskedAt >= BACKOFF_MIN_MS) this.#askForMetadata();
  }
}

const UNKNOWN: Outcome = { status: 'unknown', code: 'outcome-unknown' };

function isReady(lane: Lane, now: number): boolean {
  return !lane.inFlight && !lane.isEmpty && lane.retryAt <= now;
}

function keyOf(leader: number, name: string): string {
  return `${leader}/${name}`;
}
