import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';

/** A row as a reader saw it when it became visible. */
export interface SeenRow {
  readonly identity: string;
  /** MD5 of its value. */
  readonly digest: string;
}

/**
 * Reads the store as those do who follow it: again and again what is behind the highest seq that it saw, on a connection
 * of its own that is made again when it breaks.
 */
export interface TailReader {
  /** Each row that it saw, by its seq, in the order in which it saw them. */
  readonly seen: ReadonlyMap<number, SeenRow>;
  /** The longest time without a new row, of the partition that had to wait longest, in this span. */
  longestGapMs(from: number, until: number): number;
  /** Reads once more, and ends. */
  stop(): Promise<void>;
}

const POLL_MS = 20;
const RECONNECT_MS = 100;
const ROWS_MAX = 2_000;
const QUERY_TIMEOUT_MS = 10_000;

const BEHIND = `
  select seq, partition, source_type || ' ' || source_id || ' ' || id as identity, md5(value) as digest
    from dual_stream.events where seq > $1 order by seq limit ${ROWS_MAX}`;

interface TailRow extends SeenRow {
  readonly seq: string;
  readonly partition: number;
}

export function startTailReader(url: string): TailReader {
  const seen = new Map<number, SeenRow>();
  const arrivals = new Map<number, number[]>();
  let last = 0;
  let isEnding = false;

  const readOnce = async (client: Client): Promise<number> => {
    const { rows } = await client.query<TailRow>(BEHIND, [last]);
    const now = performance.now();
    for (const { seq, partition, identity, digest } of rows) {
      last = Number(seq);
      seen.set(last, { identity, digest });
      const times = arrivals.get(partition) ?? [];
      if (times.at(-1) !== now) times.push(now);
      arrivals.set(partition, times);
    }
    return rows.length;
  };
  const follow = async () => {
    const client = new Client({ connectionString: url, query_timeout: QUERY_TIMEOUT_MS });
    client.on('error', () => {}); // the query says so too
    try {
      await client.connect();
      let isLast = false;
      while (!isLast) {
        isLast = isEnding;
        while ((await readOnce(client)) === ROWS_MAX);
        if (!isLast) await delay(POLL_MS);
      }
      return true;
    } catch {
      // PostgreSQL is away.
      return false;
    } finally {
      await client.end().catch(() => {});
    }
  };
  const following = (async () => {
    while (!(await follow())) await delay(RECONNECT_MS);
  })();

  return {
    seen,
    longestGapMs: (from, until) =>
      Math.max(0, ...[...arrivals.values()].map((times) => longestGapMs(times, from, until))),
    stop: async () => {
      isEnding = true;
      await following;
    },
  };
}

/** The longest gap between arrivals that begins or lasts in the span, from there to its end. */
function longestGapMs(times: readonly number[], from: number, until: number): number {
  let longest = 0;
  for (let index = 1; index < times.length; index += 1) {
    const [before = 0, after = 0] = [times[index - 1], times[index]];
    if (after > from && before < until) longest = Math.max(longest, after - Math.max(before, from));
  }
  return longest;
}
