import type { Clock } from '../clock.ts';
import type { ErrorCode } from '../errors.ts';
import { Availability, type KafkaReadiness, type KafkaState } from './availability.ts';
import { backoffMs } from './backoff.ts';
import { brokerTimeoutMs, type Flight, Flights } from './flights.ts';
import type { Attempt, PartitionRecords, SendOptions, SendResult } from './kafka-producer.ts';
import type { TopicMetadata } from './kafka-protocol.ts';
import type { BatchLimits, Entry, Lane } from './lane.ts';
import { LaneMap, NO_LEADER } from './lane-map.ts';
import { Leaders } from './leaders.ts';
import type { Outcome } from './outcome.ts';
import { produceError } from './produce-errors.ts';

/** How often deadlines, retries and slow attempts are looked at. */
const TICK_MS = 50;
const METADATA_AGE_MAX_MS = 60_000;
/** In doubt, metadata is asked for this often. */
const METADATA_DOUBT_MS = 1_000;
/** After a failure metadata is asked for at once, but not more often than this. */
const METADATA_PAUSE_MS = 100;
/** Bytes of one Produce request over all its partitions; brokers take 100 MB, an event loop wants less. */
const REQUEST_BYTES_MAX = 8 * 1024 * 1024;

export interface LanesOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly batchLimits: () => BatchLimits;
  readonly publishTimeoutMs: number;
  /** One attempt; see KafkaProducer.send. */
  readonly send: (options: SendOptions) => Attempt;
  /** A channel is not needed any more. */
  readonly release: (leader: number, channel: string) => void;
  readonly refreshMetadata: () => void;
  /** Called once with the outcome of an entry, and again when one that ended unknown turns out stored. */
  readonly settle: (entry: Entry, outcome: Outcome, now: number) => void;
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

/** A lane per partition, and what becomes of the events in them: sent, retried, settled by their deadlines. */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #availability: Availability;
  readonly #flights = new Flights();
  readonly #leaders: Leaders;
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
    this.#leaders = new Leaders(options.random);
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
    this.#leaders.keepOnly((leader) => this.#map.leads(leader));
    const isUsable = metadata.partitions.some(
      // A topic with fewer replicas than it demands in sync: since version 4 Kafka then demands all that there are.
      ({ leader, inSyncReplicas, replicas }) =>
        leader !== NO_LEADER && inSyncReplicas >= Math.min(minInSyncReplicas, replicas),
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
      if (leader === NO_LEADER || !isReady(lane, now) || !this.#leaders.mayBeSentTo(leader, now)) continue;
      this.#start(leader, this.#flights.channelOf(lane, leader, now), now);
    }
  }

  /** The lanes that go along are chosen when the connection is ready to write, not before. */
  #start(leader: number, channel: string, now: number): void {
    const flight = this.#flights.begin(leader, channel, now);
    if (flight === undefined) return;
    flight.attempt = this.#options.send({
      leader,
      channel,
      brokerTimeoutMs: brokerTimeoutMs(channel),
      take: () => this.#board(flight),
    });
    void flight.attempt.result.then((result) => {
      this.#flights.end(flight);
      this.#land(flight, result);
      this.#map.change();
      this.#flush();
    });
  }

  #board(flight: Flight): readonly PartitionRecords[] {
    const { leader } = flight;
    const now = this.#options.clock.now();
    if (this.#leaders.isThrottled(leader, now)) return [];
    const { lanes } = this.#map;
    flight.writtenAt = now;
    const boarded: PartitionRecords[] = [];
    let bytes = 0;
    // Another lane is first each time, so that none is left out again and again when a request is full.
    this.#firstLane += 1;
    for (let step = 0; step < lanes.length && bytes < REQUEST_BYTES_MAX; step += 1) {
      const lane = lanes[(this.#firstLane + step) % lanes.length] as Lane;
      if (this.#map.leaderOf(lane) !== leader || !isReady(lane, now)) continue;
      if (!this.#flights.carries(flight, lane, now)) continue;
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
        this.#options.metrics.kafkaRequestTook((now - (flight.writtenAt ?? now)) / 1000);
        this.#leaders.answered(flight.leader, now, result.throttleTimeMs);
        for (const lane of flight.lanes) {
          const answer = result.partitions.find(({ partition }) => partition === lane.partition);
          if (answer?.errorCode === 0) this.#store(lane, answer.baseOffset, now);
          else this.#refuse(lane, answer?.errorCode ?? -1, now);
        }
        if (this.#flights.isNeedless(flight, now)) this.#options.release(flight.leader, flight.channel);
      }
    }
  }

  #landUnsent(flight: Flight, reason: string, now: number): void {
    if (reason === 'nothing to send') {
      if (this.#flights.isNeedless(flight, now)) this.#options.release(flight.leader, flight.channel);
      return;
    }
    if (!this.#flights.notOpened(flight, now)) this.#leaders.notReached(flight.leader, now);
    this.#options.metrics.kafkaError('unreachable');
    this.#lastReason = reason;
    this.#askForMetadataSoon();
  }

  #store(lane: Lane, baseOffset: number, now: number): void {
    this.#availability.acknowledged();
    lane.failures = 0;
    lane.retryAt = 0;
    let offset = baseOffset;
    const { settle, letGo } = this.#options;
    for (const entry of lane.landed(() => true)) {
      settle(entry, { status: 'stored', partition: lane.partition, offset }, now);
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
      const ended = lane.landed(() => true);
      this.#finish(ended, now, { status, code: error.code });
      return;
    }
    const settled = lane.landed(({ isSettled }) => isSettled);
    this.#finish(settled, now);
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
    this.#finish(settled, now);
    this.#backOff(lane, reason, now);
  }

  #backOff(lane: Lane, reason: string, now: number): void {
    lane.failures += 1;
    lane.retryAt = now + backoffMs(lane.failures, this.#options.random);
    this.#lastReason = reason;
    this.#askForMetadataSoon();
  }

  /** Settles what is not settled, as `outcome` unless an earlier attempt made it ambiguous, and lets all go. */
  #finish(entries: readonly Entry[], now: number, outcome?: Outcome): void {
    const { settle, letGo } = this.#options;
    for (const entry of entries) {
      if (!entry.isSettled && outcome) settle(entry, entry.isAmbiguous ? UNKNOWN : outcome, now);
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
      this.#leaders.keepOnly(() => false);
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
    const isTroubled = failing > 0 || this.#leaders.hasUnreachable;
    if (isTroubled !== this.#wasTroubled) this.#options.onTrouble(isTroubled, failing, this.#lastReason);
    this.#wasTroubled = isTroubled;
    return isTroubled;
  }

  #expireLane(lane: Lane, now: number): void {
    const { ended, inFlight } = lane.expire(now);
    this.#finish(ended, now, { status: 'not_stored', code: this.#trouble });
    for (const entry of inFlight) this.#options.settle(entry, UNKNOWN, now);
    if (lane.isEmpty) lane.failures = 0;
  }

  /** True while a flight is slow. One whose lanes have another leader by now is given up. */
  #doubtFlights(now: number): boolean {
    const slow = this.#flights.slow(now);
    for (const { leader, lanes, attempt } of slow) {
      const leaders = lanes.map((lane) => this.#map.leaderOf(lane));
      if (leaders.some((each) => each !== leader && each !== NO_LEADER)) attempt?.abandon();
    }
    return slow.length > 0;
  }

  #askForMetadata(): void {
    this.#metadataAskedAt = this.#options.clock.now();
    this.#options.refreshMetadata();
  }

  /** After a failure: at once, but not for every failing lane again. */
  #askForMetadataSoon(): void {
    if (this.#options.clock.now() - this.#metadataAskedAt >= METADATA_PAUSE_MS) this.#askForMetadata();
  }
}

const UNKNOWN: Outcome = { status: 'unknown', code: 'outcome-unknown' };

function isReady(lane: Lane, now: number): boolean {
  return !lane.inFlight && !lane.isEmpty && lane.retryAt <= now;
}
