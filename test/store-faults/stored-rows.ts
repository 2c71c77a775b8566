import type { StoreStage } from './scenario.ts';
import type { StoredRow } from './store-judge.ts';

const ROWS_AT_ONCE = 10_000;

/** All rows of the store, in the order of their seq. */
export async function readRows(sql: StoreStage['sql']): Promise<StoredRow[]> {
  const rows: StoredRow[] = [];
  for (;;) {
    const some = await sql<Omit<StoredRow, 'seq' | 'offset'> & { seq: string; offset: string }>(
      `select seq, partition, "offset", source_type || ' ' || source_id || ' ' || id as identity, md5(value) as digest
         from dual_stream.events where seq > $1 order by seq limit ${ROWS_AT_ONCE}`,
      [rows.at(-1)?.seq ?? 0],
    );
    for (const row of some) rows.push({ ...row, seq: Number(row.seq), offset: Number(row.offset) });
    if (some.length < ROWS_AT_ONCE) return rows;
  }
}
