import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { ms } from '../faults/judge.ts';
import type { StoreScenario, StoreStage } from './scenario.ts';
import { until } from './until.ts';

const CALM_MS = 5_000;
const NOTICED_MS_MAX = 10_000;
const BACK_MS_MAX = 30_000;
const DELETED_SHARE = 0.2;
/** As PostgreSQL names it. */
const DEADLOCK_DETECTED = '40P01';

/** An operator deletes rows and has the topic read again from its beginning. */
export const replay: StoreScenario = {
  name: 'replay',
  summary: 'rows are deleted and positions set back, under load and while nothing comes in: they come back',
  processors: 2,
  isCountedWhole: true,
  async run(stage) {
    const { load, assert } = stage;
    await delay(CALM_MS);
    const loaded = await replayAll(stage, 'under load');
    assert('replayed under load', loaded.back === loaded.deleted, `${loaded.back} of ${loaded.deleted}`);
    assert('noticed under load', loaded.noticedMs <= NOTICED_MS_MAX, ms(loaded.noticedMs));
    await delay(CALM_MS);
    await load.pause();
    await stage.untilCaughtUp();
    const idle = await replayAll(stage, 'while idle');
    assert('replayed while idle', idle.back === idle.deleted, `${idle.back} of ${idle.deleted}`);
    assert('noticed while idle', idle.noticedMs <= NOTICED_MS_MAX, ms(idle.noticedMs));
    load.resume();
    await delay(CALM_MS);
  },
};

/** `noticedMs`: until something of each partition was read again. */
async function replayAll(
  stage: StoreStage,
  when: string,
): Promise<{ deleted: number; back: number; noticedMs: number }> {
  const { tell, row } = stage;
  const { deleted, behind } = await setBack(stage);
  const setBackAt = performance.now();
  const identities = deleted.map(({ identity }) => identity);
  tell(`deleted ${deleted.length} rows, and set the positions back`);
  stage.replayed(
    deleted.map(({ seq }) => Number(seq)),
    behind,
  );
  const noticedMs = await until(BACK_MS_MAX, async () =>
    [...(await stage.positions()).values()].every((next) => next > 0),
  );
  tell(`every partition is read again after ${ms(noticedMs)}`);
  await until(BACK_MS_MAX, async () => (await present(stage, identities)) === identities.length);
  const back = await present(stage, identities);
  const found = `${back} of ${identities.length} after ${ms(performance.now() - setBackAt)}`;
  tell(`${found} are back`);
  row(`came back ${when}`, found);
  return { deleted: identities.length, back, noticedMs };
}

interface DeletedRow {
  readonly seq: string;
  readonly identity: string;
}

/** As an operator does it, who knows nothing of locks; so it can be a deadlock's victim, and is done again. */
async function setBack({ postgres }: StoreStage): Promise<{ deleted: DeletedRow[]; behind: number }> {
  const client = new Client({ connectionString: postgres.url });
  await client.connect();
  try {
    for (;;) {
      try {
        await client.query('begin');
        // From here on nothing is stored, so that the rows below are all that there are.
        await client.query('update dual_stream.positions set next = 0');
        const { rows: highest } = await client.query<{ seq: string }>(
          'select max(seq) as seq from dual_stream.events',
        );
        const { rows: deleted } = await client.query<DeletedRow>(
          `delete from dual_stream.events where random() < ${DELETED_SHARE}
           returning seq, source_type || ' ' || source_id || ' ' || id as identity`,
        );
        await client.query('commit');
        return { deleted, behind: Number(highest[0]?.seq) };
      } catch (error) {
        await client.query('rollback');
        if ((error as { code?: string }).code !== DEADLOCK_DETECTED) throw error;
      }
    }
  } finally {
    await client.end();
  }
}

/** How many of these events have a row. */
async function present({ sql }: StoreStage, identities: readonly string[]): Promise<number> {
  const [row] = await sql<{ count: number }>(
    `select count(*)::integer as count from dual_stream.events
      where source_type || ' ' || source_id || ' ' || id = any ($1)`,
    [identities],
  );
  return row?.count ?? 0;
}
