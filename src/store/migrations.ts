import type { Store } from './postgres.ts';

/**
 * The tables of the event store. Each step is applied once, in order, and never changed afterwards; a later version of
 * this list adds steps at its end.
 *
 * Texts compare by their bytes (`collate "C"`): it is what identity means, and the fastest.
 */
const STEPS: readonly string[] = [
  `
  create table dual_stream.store (
    is_only boolean primary key default true check (is_only),
    -- Another one: what was said about a store before, its seq for one, means nothing here.
    epoch uuid not null default gen_random_uuid(),
    -- Of the cursors that the query API gives out; the same for all its instances.
    cursor_key bytea not null
      default decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
  );
  insert into dual_stream.store default values;

  -- The offset of the next record to store, for each partition. It moves in the transaction that stores its records.
  create table dual_stream.positions (
    cluster text collate "C" not null,
    topic text collate "C" not null,
    partition integer not null,
    next bigint not null,
    primary key (cluster, topic, partition)
  );

  create table dual_stream.events (
    -- The order in which events became visible, see event-writer.ts. It has holes.
    seq bigint generated always as identity primary key,
    source_type text collate "C" not null,
    source_id text collate "C" not null,
    id text collate "C" not null,
    type text collate "C" not null,
    -- The record: where the first copy of the event lies, when Kafka took it, and its bytes.
    partition integer not null,
    "offset" bigint not null,
    recorded_at timestamptz not null,
    value bytea not null,
    constraint events_identity unique (source_type, source_id, id)
  );
  create index events_of_source on dual_stream.events (source_type, source_id, seq);
  -- No BRIN: where the room of removed events is used again, its ranges only ever grow.
  create index events_by_age on dual_stream.events (recorded_at);
  `,
];

/** The version that this program needs. */
export const SCHEMA_VERSION = STEPS.length;

/** Held while the tables are made or changed. An arbitrary number, of this purpose alone. */
const MIGRATION_LOCK = 7_262_315_401;

/**
 * Brings the tables up to date, one program at a time.
 * @returns the version that was found, 0 for none
 * @throws Error when they were made by a later version of this program, which would understand them otherwise, or when the
 * database cannot hold every text
 */
export async function migrate(store: Store): Promise<number> {
  return store.transaction(async (query) => {
    await query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    const [encoding] = await query<{ server_encoding: string }>('show server_encoding');
    if (encoding?.server_encoding !== 'UTF8') throw new Error('the database must have the encoding UTF8');
    const found = await versionOf(query);
    if (found > SCHEMA_VERSION)
      throw new Error(`the store has version ${found}, and this program knows ${SCHEMA_VERSION} at most`);
    if (found === SCHEMA_VERSION) return found;
    // If it is there, the right to make one is not needed.
    const [schema] = await query<{ is_there: boolean }>(
      "select to_regnamespace('dual_stream') is not null as is_there",
    );
    if (!schema?.is_there) await query('create schema dual_stream');
    await query(
      'create table if not exists dual_stream.migrations (version integer primary key, applied_at timestamptz not null default now())',
    );
    for (const [index, step] of STEPS.entries()) {
      if (index < found) continue;
      await query(step);
      await query('insert into dual_stream.migrations (version) values ($1)', [index + 1]);
    }
    return found;
  });
}

/** The version of the tables that are there; 0: there are none. */
export async function versionOf(query: Store['query']): Promise<number> {
  const [known] = await query<{ is_there: boolean }>(
    "select to_regclass('dual_stream.migrations') is not null as is_there",
  );
  if (!known?.is_there) return 0;
  const [row] = await query<{ version: number }>(
    'select coalesce(max(version), 0) as version from dual_stream.migrations',
  );
  return row?.version ?? 0;
}
