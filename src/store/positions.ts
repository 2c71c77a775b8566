import type { Query } from './postgres.ts';

/** Which log the positions are of: a topic of one Kafka cluster. */
export interface Log {
  readonly cluster: string;
  readonly topic: string;
}

/** The offset of the next record to store, by partition. */
export type Positions = ReadonlyMap<number, number>;

/** The positions of all partitions that were ever read, or of the one that is asked for. */
export async function readPositions(query: Query, log: Log, partition?: number): Promise<Positions> {
  const rows = await query<{ partition: number; next: string }>(
    'select partition, next from dual_stream.positions where cluster = $1 and topic = $2 and ($3::integer is null or partition = $3)',
    [log.cluster, log.topic, partition ?? null],
  );
  return new Map(rows.map((row) => [row.partition, Number(row.next)]));
}

/** Gives a partition its first position. One that it has already stays. */
export async function addPosition(query: Query, log: Log, partition: number, next: number): Promise<void> {
  await query(
    'insert into dual_stream.positions (cluster, topic, partition, next) values ($1, $2, $3, $4) on conflict do nothing',
    [log.cluster, log.topic, partition, next],
  );
}

/** One partition's position, from where it has to be to where it goes. */
export interface Move {
  readonly partition: number;
  readonly from: number;
  readonly next: number;
}

/**
 * Moves positions, each only if it is where it has to be.
 * @returns the partitions that were moved; the position of any other is somewhere else, so that somebody else has it now
 */
export async function movePositions(query: Query, log: Log, moves: readonly Move[]): Promise<Set<number>> {
  const rows = await query<{ partition: number }>(
    `update dual_stream.positions as p set next = m.next
       from unnest($3::integer[], $4::bigint[], $5::bigint[]) as m (partition, was, next)
      where p.cluster = $1 and p.topic = $2 and p.partition = m.partition and p.next = m.was
      returning p.partition`,
    [
      log.cluster,
      log.topic,
      moves.map(({ partition }) => partition),
      moves.map(({ from }) => from),
      moves.map(({ next }) => next),
    ],
  );
  return new Set(rows.map(({ partition }) => partition));
}
