import type { Attempt } from './kafka-producer.ts';
import type { Lane } from './lane.ts';

/** An attempt older than this is slow. */
const SLOW_MS = 1_000;
/** A lane whose oldest event is older is behind: many times what a healthy Kafka takes. */
const BEHIND_MS = 250;
/**
 * How long the broker waits for its in-sync replicas. Kafka answers a request when every partition in it is decided,
 * so what is shared by lanes that keep up is decided soon. What is behind is a lot, to be copied in vain if it is
 * decided too soon; Kafka's own patience with a dead replica is shorter than this (ARCHITECTURE.md, timing).
 */
const BROKER_TIMEOUT_MS = 10_000;
const BROKER_TIMEOUT_SHARED_MS = 1_000;

/** After a leader refused another connection, all lanes share the one there is for so long. */
const CROWDED_MS = 5_000;

/** Each is a connection of its own to a leader; a lane that travels alone has one with the name of its partition. */
const SHARED = 'shared';
const BEHIND = 'behind';

/** One attempt under way, and the lanes it carries once it is written. */
export interface Flight {
  readonly leader: number;
  readonly channel: string;
  readonly lanes: Lane[];
  readonly startedAt: number;
  /** When it was written; before that it waits for its connection. */
  writtenAt: number | undefined;
  attempt: Attempt | undefined;
}

/**
 * The attempts under way, one on each connection, and the connection that each lane takes.
 *
 * Lanes with the same leader share one with their like: those that keep up, and those that are behind. A lane that
 * failed travels alone until it succeeds, so that a stuck partition does not stall its siblings (docs/decisions).
 */
export class Flights {
  readonly #underWay = new Map<string, Flight>();
  /** Leaders that took no connection beside the shared one: until when none is tried. */
  readonly #crowdedUntil = new Map<number, number>();

  /** Notes a new flight; `undefined`: the channel has one under way. */
  begin(leader: number, channel: string, startedAt: number): Flight | undefined {
    const key = keyOf(leader, channel);
    if (this.#underWay.has(key)) return undefined;
    const flight: Flight = {
      leader,
      channel,
      lanes: [],
      startedAt,
      writtenAt: undefined,
      attempt: undefined,
    };
    this.#underWay.set(key, flight);
    return flight;
  }

  end({ leader, channel }: Flight): void {
    this.#underWay.delete(keyOf(leader, channel));
  }

  /** How the lane travels: with its like, unless it failed or would have to wait for a slow flight. */
  channelOf(lane: Lane, leader: number, now: number): string {
    if ((this.#crowdedUntil.get(leader) ?? 0) > now) return SHARED;
    if (lane.failures > 0) return String(lane.partition);
    const keepsUp = now - (lane.oldestAcceptedAt ?? now) <= BEHIND_MS;
    if (keepsUp && !this.#isSlow(leader, SHARED, now)) return SHARED;
    return this.#isSlow(leader, BEHIND, now) ? String(lane.partition) : BEHIND;
  }

  /** The flight's connection could not be opened. Returns whether its leader still has the shared one to be tried. */
  notOpened({ leader, channel }: Flight, now: number): boolean {
    if (channel === SHARED) return false;
    this.#crowdedUntil.set(leader, now + CROWDED_MS);
    return true;
  }

  /** Whether the flight may carry the lane. */
  carries({ leader, channel }: Flight, lane: Lane, now: number): boolean {
    return channel === String(lane.partition) || channel === this.channelOf(lane, leader, now);
  }

  /** Whether a connection beside the shared one has become needless to the lanes that it carried. */
  isNeedless({ leader, channel, lanes }: Flight, now: number): boolean {
    return channel !== SHARED && lanes.every((lane) => this.channelOf(lane, leader, now) !== channel);
  }

  slow(now: number): readonly Flight[] {
    return [...this.#underWay.values()].filter(({ startedAt }) => now - startedAt > SLOW_MS);
  }

  #isSlow(leader: number, channel: string, now: number): boolean {
    const flight = this.#underWay.get(keyOf(leader, channel));
    return flight?.writtenAt !== undefined && now - flight.writtenAt > SLOW_MS;
  }
}

/** How long the broker may wait for its in-sync replicas, in a request on this channel. */
export function brokerTimeoutMs(channel: string): number {
  return channel === SHARED ? BROKER_TIMEOUT_SHARED_MS : BROKER_TIMEOUT_MS;
}

function keyOf(leader: number, channel: string): string {
  return `${leader}/${channel}`;
}
