import type { Query } from '../store/postgres.ts';
import type { StoreIdentity } from './cursor.ts';

/** What is asked of the store, a statement each. */

export interface Source {
  readonly sourceType: string;
  readonly sourceId: string;
}

export interface EventIdentity extends Source {
  readonly id: string;
}

/** From where a list is looked at, and which way: from newer to older events, or from older to newer ones. */
export interface Look {
  readonly way: 'older' | 'newer';
  /** The seq beside which it begins; `undefined`: at the newest event. */
  readonly from: bigint | undefined;
  /** Events of other types are passed by. */
  readonly type: string | undefined;
  readonly limit: number;
}

/** What was seen of a list, in the order in which it was looked at. */
export interface Seen {
  readonly epoch: string;
  /** The events that fit, as many as the limit allows. */
  readonly events: readonly { readonly seq: bigint; readonly bytes: number }[];
  /** The rows that were looked at, whether they fit or not; `undefined`: there are none. */
  readonly newest: bigint | undefined;
  readonly oldest: bigint | undefined;
  /** Whether the source has events before all of those, and before where it began. */
  readonly hasOlder: boolean;
}

/** Among events of which few have the type that is asked for, so many are looked at for one page. */
export const LOOKED_AT_MAX = 10_000;

const SEQ_MAX = 2n ** 63n - 1n;

/** How large an event is, with its bytes if they are no more than `bytesMax`; `undefined`: it is not there. */
export async function storedEvent(
  query: Query,
  { sourceType, sourceId, id }: EventIdentity,
  bytesMax: number,
): Promise<{ readonly bytes: number; readonly value: Buffer | null } | undefined> {
  const [row] = await query<{ bytes: number; value: Buffer | null }>(
    `select octet_length(value) as bytes, case when octet_length(value) <= $4 then value end as value
     from dual_stream.events where source_type = $1 and source_id = $2 and id = $3`,
    [sourceType, sourceId, id, bytesMax],
  );
  return row;
}

/**
 * Looks at a list without reading the events. A seq is assigned under a lock that is held until its transaction commits
 * (event-writer.ts), so events become visible in the order of their seq: what comes later lies behind all that was seen,
 * and whoever goes on from there misses nothing.
 */
export async function lookAtEvents(
  query: Query,
  { sourceType, sourceId }: Source,
  look: Look,
): Promise<Seen> {
  const { way, type, limit, from = SEQ_MAX } = look;
  const [row] = await query<{
    epoch: string;
    newest: string | null;
    oldest: string | null;
    has_older: boolean;
    seqs: string[] | null;
    sizes: number[] | null;
  }>(way === 'older' ? LOOK_AT_OLDER : LOOK_AT_NEWER, [
    sourceType,
    sourceId,
    from,
    type === undefined ? limit : LOOKED_AT_MAX,
    type,
    limit,
  ]);
  if (row === undefined) throw new Error('a statement that has one row has none');
  const { epoch, newest, oldest, has_older: hasOlder, seqs, sizes } = row;
  return {
    epoch,
    events: (seqs ?? []).map((seq, index) => ({ seq: BigInt(seq), bytes: sizes?.[index] ?? 0 })),
    newest: newest === null ? undefined : BigInt(newest),
    oldest: oldest === null ? undefined : BigInt(oldest),
    hasOlder,
  };
}

const lookText = (order: 'asc' | 'desc', beyond: '<' | '>', older: string) => `
  with looked as materialized (
    select seq, type, octet_length(value) as bytes from dual_stream.events
    where source_type = $1 and source_id = $2 and seq ${beyond} $3::bigint
    order by seq ${order} limit $4
  ), fitting as (
    select seq, bytes from looked where $5::text is null or type = $5 order by seq ${order} limit $6
  ), ends as (
    select max(seq) as newest, min(seq) as oldest from looked
  )
  select
    (select epoch::text from dual_stream.store) as epoch, newest, oldest,
    exists (
      select from dual_stream.events where source_type = $1 and source_id = $2 and seq ${older}
    ) as has_older,
    (select array_agg(seq order by seq ${order}) from fitting) as seqs,
    (select array_agg(bytes order by seq ${order}) from fitting) as sizes
  from ends`;
const LOOK_AT_OLDER = lookText('desc', '<', '< coalesce(oldest, $3::bigint)');
const LOOK_AT_NEWER = lookText('asc', '>', '<= $3::bigint');

/** The bytes of events of a source, the newest first. What was removed since it was seen is not among them. */
export async function valuesOf(
  query: Query,
  { sourceType, sourceId }: Source,
  seqs: readonly bigint[],
): Promise<readonly Buffer[]> {
  const rows = await query<{ value: Buffer }>(
    `select value from dual_stream.events
     where seq = any ($3::bigint[]) and source_type = $1 and source_id = $2 order by seq desc`,
    [sourceType, sourceId, seqs],
  );
  return rows.map(({ value }) => value);
}

/** For each of many identities whether there is such an event. */
export async function areStored(
  query: Query,
  identities: readonly EventIdentity[],
): Promise<readonly boolean[]> {
  // Lateral, so that each is looked up in the index, whatever the planner believes of how many there are.
  const rows = await query<{ at: string }>(
    `select asked.at from unnest($1::text[], $2::text[], $3::text[])
       with ordinality as asked (source_type, source_id, id, at)
     cross join lateral (
       select from dual_stream.events as stored
       where stored.source_type = asked.source_type and stored.source_id = asked.source_id and stored.id = asked.id
       limit 1
     ) as found`,
    [
      identities.map(({ sourceType }) => sourceType),
      identities.map(({ sourceId }) => sourceId),
      identities.map(({ id }) => id),
    ],
  );
  const found = new Set(rows.map(({ at }) => Number(at)));
  return identities.map((_, index) => found.has(index + 1));
}

export async function storeIdentity(query: Query): Promise<StoreIdentity> {
  const [row] = await query<{ epoch: string; cursor_key: Buffer }>(
    'select epoch::text, cursor_key from dual_stream.store',
  );
  if (row === undefined) throw new Error('dual_stream.store is empty');
  return { epoch: row.epoch, cursorKey: row.cursor_key };
}
