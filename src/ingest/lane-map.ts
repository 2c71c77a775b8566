import { Lane } from './lane.ts';
import { partitionOf } from './partitioner.ts';

export const NO_LEADER = -1;

/** The lanes of a topic, who leads each, and the change from one number of partitions to another (promise P6). */
export class LaneMap {
  /** By partition. */
  lanes: readonly Lane[] = [];
  #leaders: readonly number[] = [];
  /** What arrives while the number of partitions changes waits here, until the lanes of the old one are empty. */
  readonly #parked = new Lane(-1);
  #nextCount: number | undefined;

  get isEmpty(): boolean {
    return this.#parked.isEmpty && this.lanes.every((lane) => lane.isEmpty);
  }

  /** Every lane, the one for those who wait for a change included. */
  get all(): readonly Lane[] {
    return [...this.lanes, this.#parked];
  }

  get hasLeaderless(): boolean {
    return this.#leaders.includes(NO_LEADER);
  }

  /** The lane that an event with this key would wait in. Only after the first metadata. */
  laneOf(keyHash: number): Lane {
    if (this.#nextCount !== undefined) return this.#parked;
    const lane = this.lanes[partitionOf(keyHash, this.lanes.length)];
    if (lane === undefined) throw new Error('an event before the first metadata');
    return lane;
  }

  /** The node id of the lane's leader, or NO_LEADER. */
  leaderOf(lane: Lane): number {
    return this.#leaders[lane.partition] ?? NO_LEADER;
  }

  leads(leader: number): boolean {
    return this.#leaders.includes(leader);
  }

  /** Takes note of the leaders, by partition. An answer without partitions says nothing about their number. */
  update(leaders: readonly number[]): void {
    this.#leaders = leaders;
    const count = leaders.length;
    if (count === 0) return;
    // Those who are parked were promised a change, even if a broker that lags behind still tells the old number.
    const isChange = count !== this.lanes.length || !this.#parked.isEmpty;
    this.#nextCount = isChange ? count : undefined;
    this.change();
  }

  /** Makes a change of the number of partitions that is due, if the lanes of the old one are empty by now. */
  change(): void {
    const count = this.#nextCount;
    if (count === undefined || this.lanes.some((lane) => !lane.isEmpty)) return;
    this.#nextCount = undefined;
    this.lanes = Array.from({ length: count }, (_, partition) => new Lane(partition));
    for (const entry of this.#parked.takeAll()) this.laneOf(entry.keyHash).accept(entry);
  }
}
