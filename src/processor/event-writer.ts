import { type Log, type Move, movePositions } from '../store/positions.ts';
import type { Query, Store } from '../store/postgres.ts';
import type { EventRecord } from './record-reader.ts';

/** What was read from one partition, from the position that it has to have to the one it has afterwards. */
export interface PartitionWrite extends Move {
  readonly events: readonly EventRecord[];
}

/** `moved`: the position was not where it had to be, so the partition is somebody else's, and nothing was stored. */
export type WriteOutcome = 'stored' | 'moved';

/** What became of the events of one transaction. */
export interface WriteCounts {
  readonly stored: number;
  /** Of an event that was there already, from another record. The first one stays. */
  readonly copies: number;
  /** Of those, the ones that say something else. */
  readonly conflicts: number;
  /** Older than the store keeps events, and left out: those that were removed would come back in a replay. */
  readonly expired: number;
}

export interface EventWriterOptions {
  readonly store: Pick<Store, 'transaction'>;
  readonly log: Log;
  /** How long the store keeps events, by its own clock; `undefined`: for ever. */
  readonly retentionMs: number | undefined;
  readonly onWritten: (counts: WriteCounts, seconds: number) => void;
}

/** Held by whoever gives out values of seq, to the end of the transaction. An arbitrary number, of this purpose alone. */
const SEQ_LOCK = 7_262_315_402;
/** With the time of the transaction by PostgreSQL's clock. */
const LOCK = 'select pg_advisory_xact_lock($1), extract(epoch from now())::float8 * 1000 as now_ms';
/** One transaction, about. */
export const EVENTS_MAX = 10_000;
const BYTES_MAX = 8 * 1024 * 1024;
/** After a copy so many transactions expect more of them: copies come in groups, and a replay is nothing else. */
const EXPECTED_FOR = 100;

interface Waiting {
  readonly write: PartitionWrite;
  readonly resolve: (outcome: WriteOutcome) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Stores events and moves the positions of their partitions in one transaction, so that a crash, a lost answer or another
 * owner leaves no gap and stores nothing twice. There is one transaction at a time, and what came meanwhile goes into the
 * next together: the lock below would put them in a row anyway.
 */
export class EventWriter {
  readonly #options: EventWriterOptions;
  #waiting: Waiting[] = [];
  #isWriting = false;
  /** For how many transactions more copies are expected. */
  #copiesExpected = 0;

  constructor(options: EventWriterOptions) {
    this.#options = options;
  }

  /** Rejects when the store cannot be asked, or did not say how it ended: the position tells. */
  write(write: PartitionWrite): Promise<WriteOutcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, resolve, reject });
      if (!this.#isWriting) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const together = this.#takeWaiting();
      try {
        const moved = await this.#store(together.map(({ write }) => write));
        for (const { write, resolve } of together) resolve(moved.has(write.partition) ? 'stored' : 'moved');
      } catch (error) {
        for (const { reject } of together) reject(error);
      }
    }
    this.#isWriting = false;
  }

  /** As many as fit one transaction, and at least one. */
  #takeWaiting(): Waiting[] {
    let events = 0;
    let bytes = 0;
    const end = this.#waiting.findIndex(({ write }, index) => {
      events += write.events.length;
      bytes += write.events.reduce((sum, { value }) => sum + value.length, 0);
      return index > 0 && (events > EVENTS_MAX || bytes > BYTES_MAX);
    });
    const taken = end === -1 ? this.#waiting : this.#waiting.slice(0, end);
    this.#waiting = end === -1 ? [] : this.#waiting.slice(end);
    return taken;
  }

  /** Returns the partitions that were still ours. */
  async #store(writes: readonly PartitionWrite[]): Promise<Set<number>> {
    const { store, log, retentionMs = Number.POSITIVE_INFINITY, onWritten } = this.#options;
    const startedAt = performance.now();
    const [moved, counts] = await store.transaction(async (query) => {
      // A value of seq is seen no later than any higher one: PostgreSQL makes a transaction visible before it lets go of
      // the lock. Otherwise a reader that goes on behind the highest seq it saw could pass over a slower transaction.
      const [clock] = await query<{ now_ms: number }>(LOCK, [SEQ_LOCK]);
      const keptFromMs = (clock?.now_ms ?? 0) - retentionMs;
      const ours = await movePositions(query, log, writes);
      const read = writes.filter(({ partition }) => ours.has(partition)).flatMap((write) => write.events);
      const events = read.filter(({ recordedAtMs }) => recordedAtMs >= keptFromMs);
      const found = await this.#insert(query, events);
      return [ours, { ...found, expired: read.length - events.length }];
    });
    onWritten(counts, (performance.now() - startedAt) / 1_000);
    return moved;
  }

  async #insert(query: Query, events: readonly EventRecord[]): Promise<Omit<WriteCounts, 'expired'>> {
    if (events.length === 0) return { stored: 0, copies: 0, conflicts: 0 };
    const values = columnsOf(events);
    if (this.#copiesExpected > 0) {
      this.#copiesExpected -= 1;
    } else {
      await query('savepoint all_new');
      try {
        await query(INSERT, values);
        return { stored: events.length, copies: 0, conflicts: 0 };
      } catch (error) {
        if (!isCopy(error as Error)) throw error;
        await query('rollback to savepoint all_new');
        this.#copiesExpected = EXPECTED_FOR;
      }
    }
    const [inserted] = await query<{ stored: number }>(INSERT_NEW, values);
    const stored = inserted?.stored ?? 0;
    if (stored === events.length) return { stored, copies: 0, conflicts: 0 };
    const [compared] = await query<{ copies: number; conflicts: number }>(COMPARE, values.slice(0, -1));
    return { stored, copies: compared?.copies ?? 0, conflicts: compared?.conflicts ?? 0 };
  }
}

/**
 * The events as a table. Each column goes over in one parameter: names hold no line breaks (event.ts), and the bytes of
 * all values follow each other. An array of byte strings would be written as text, twice as long, and read again.
 */
const GIVEN = `
  select sent.*, substring($8::bytea from sent.start for sent.length) as value
    from unnest(
      string_to_array($1, E'\\n'), string_to_array($2, E'\\n'), string_to_array($3, E'\\n'), string_to_array($4, E'\\n'),
      string_to_array($5, ',')::integer[], string_to_array($6, ',')::bigint[], string_to_array($7, ',')::bigint[],
      string_to_array($9, ',')::integer[], string_to_array($10, ',')::integer[]
    ) with ordinality as sent
      (source_type, source_id, id, type, partition, "offset", recorded_at_ms, start, length, place)`;

/**
 * Values of seq follow the log, and rows are made source by source: that is the order of both indexes, in which it takes
 * a quarter less time. Within a source the order is that of the log, so that of two copies the first one wins.
 */
const INSERT = `
  with block as materialized (
    select setval(seqs.name, nextval(seqs.name) + $11::integer - 1) - $11::integer as before
      from pg_get_serial_sequence('dual_stream.events', 'seq') as seqs (name)
  )
  insert into dual_stream.events
    (seq, source_type, source_id, id, type, partition, "offset", recorded_at, value)
  overriding system value
  select block.before + given.place, source_type, source_id, id, type, partition, "offset",
         to_timestamp(recorded_at_ms / 1000.0), value
    from block, (${GIVEN}) as given
   order by source_type, source_id, place`;

/** Of events that may be there already, which takes a third more. */
const INSERT_NEW = `
  with inserted as (${INSERT}
    on conflict on constraint events_identity do nothing
    returning 1
  )
  select count(*)::integer as stored from inserted`;

/** A record that is read again, in a replay, is no copy. */
const COMPARE = `
  select count(*) filter (where (e.partition, e."offset") <> (given.partition, given."offset"))::integer as copies,
         count(*) filter (where e.value <> given.value)::integer as conflicts
    from (${GIVEN}) as given
    join dual_stream.events as e using (source_type, source_id, id)`;

/** Whether an event was there already (PostgreSQL, unique_violation). */
function isCopy(error: Error & { readonly code?: string; readonly constraint?: string }): boolean {
  return error.code === '23505' && error.constraint === 'events_identity';
}

function columnsOf(events: readonly EventRecord[]): unknown[] {
  let end = 1; // substring counts from 1
  const starts = events.map(({ value }) => {
    const start = end;
    end += value.length;
    return start;
  });
  return [
    events.map(({ sourceType }) => sourceType).join('\n'),
    events.map(({ sourceId }) => sourceId).join('\n'),
    events.map(({ id }) => id).join('\n'),
    events.map(({ type }) => type).join('\n'),
    events.map(({ partition }) => partition).join(','),
    events.map(({ offset }) => offset).join(','),
    events.map(({ recordedAtMs }) => recordedAtMs).join(','),
    Buffer.concat(events.map(({ value }) => value)),
    starts.join(','),
    events.map(({ value }) => value.length).join(','),
    events.length,
  ];
}
