import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before as beforeAll, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { type LocalPostgres, startPostgres } from '../../dev/local-postgres.ts';
import { makeApiKey, writeApiKeys } from '../../src/api-keys.ts';
import { type QueryServer, startQuery } from '../../src/query/server.ts';
import { migrate } from '../../src/store/migrations.ts';
import { openStore, type Store } from '../../src/store/postgres.ts';
import { readQueryConfig } from '../../src/store-config.ts';
import { RawClient } from '../raw-client.ts';
import { readDocument } from '../specification.ts';
import { until } from './local-service.ts';

const EVENT = 'GET /v1/sources/{source_type}/{source_id}/events/{id}';
const LIST = 'GET /v1/sources/{source_type}/{source_id}/events';
const { assertPromised } = readDocument('query.yaml');

let postgres: LocalPostgres;
let store: Store;
let server: QueryServer;
let offset = 0;
const lines: string[] = [];
const log = pino({ level: 'info' }, { write: (line) => void lines.push(line) });

async function start(settings: NodeJS.ProcessEnv = {}): Promise<QueryServer> {
  const env = {
    AUTH_MODE: 'none',
    POSTGRES_URL: postgres.url,
    PORT: String(await freePort()),
    SHUTDOWN_TIMEOUT_MS: '3000',
    ...settings,
  };
  return startQuery(readQueryConfig(env), log);
}

const isReady = async (at = server) => (await fetch(`${at.address}/readyz`)).ok;

beforeAll(async () => {
  postgres = await startPostgres();
  store = openStore({
    url: postgres.url,
    tls: undefined,
    applicationName: 'test',
    connectionsMax: 4,
    statementTimeoutMs: 30_000,
    log,
  });
  server = await start();
});
after(async () => {
  await server.close();
  await store.close();
  await postgres.stop();
});

interface Row {
  readonly id: string;
  readonly sourceType?: string;
  readonly sourceId?: string;
  readonly type?: string;
  readonly value?: Buffer | string;
}

const textOf = ({ id, sourceType = 'user', sourceId = 'octocat', type = 'push' }: Row) =>
  JSON.stringify({ id, time: '2026-11-23T12:00:00Z', type, source_type: sourceType, source_id: sourceId });

async function insert(...rows: Row[]): Promise<void> {
  for (const row of rows) {
    const { id, sourceType = 'user', sourceId = 'octocat', type = 'push', value = textOf(row) } = row;
    offset += 1;
    await store.query(
      `insert into dual_stream.events (source_type, source_id, id, type, partition, "offset", recorded_at, value)
       values ($1, $2, $3, $4, 0, $5, now(), $6)`,
      [sourceType, sourceId, id, type, offset, Buffer.from(value)],
    );
  }
}

async function get(path: string, headers: Record<string, string> = {}, at = server) {
  const startedAt = performance.now();
  const response = await fetch(at.address + path, { headers });
  const bytes = Buffer.from(await response.arrayBuffer());
  const tookMs = performance.now() - startedAt;
  const answer = { status: response.status, headers: new Map(response.headers), body: bytes.toString() };
  if (path.startsWith('/v1/')) assertPromised(/\/events\//.test(path) ? EVENT : LIST, answer);
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    tookMs,
    json: () => JSON.parse(answer.body),
  };
}

const eventPath = ({ id, sourceType = 'user', sourceId = 'octocat' }: Row) =>
  `/v1/sources/${sourceType}/${encodeURIComponent(sourceId)}/events/${encodeURIComponent(id)}`;
const listPath = (sourceId: string, query: Record<string, string> = {}) =>
  `/v1/sources/user/${encodeURIComponent(sourceId)}/events?${new URLSearchParams(query)}`;

interface Page {
  readonly events: readonly { readonly id: string }[];
  readonly before?: string;
  readonly after: string;
}

async function page(sourceId: string, query: Record<string, string> = {}, at = server): Promise<Page> {
  const answer = await get(listPath(sourceId, query), {}, at);
  assert.equal(answer.status, 200, answer.bytes.toString());
  return answer.json();
}

async function questionsAsked(): Promise<number> {
  const { bytes } = await get('/metrics');
  return Number(/dual_stream_store_query_duration_seconds_count (\d+)/.exec(bytes.toString())?.[1]);
}

const keyOf = (client: string, scopes: string[]) => makeApiKey({ client, scopes }, new Date());
const as = (key: string) => ({ authorization: `Bearer ${key}`, 'x-request-id': 'same' });

describe('the query API on a real PostgreSQL', () => {
  it('is not ready without tables, and becomes so when they are made', async () => {
    await until(async () => (await get('/readyz')).json().dependencies.postgres === 'no-tables');
    assert.equal((await get(eventPath({ id: 'a' }))).status, 503);
    assert.equal((await get(listPath('octocat'))).json().code, 'store-unavailable');
    await migrate(store);
    await until(() => isReady());
    assert.equal((await get(eventPath({ id: 'a' }))).status, 404);
  });

  it('answers with the bytes that are stored, whatever they are', async () => {
    const values = [
      '{ "id":"odd-0",\n\t"type":"n" , "source_type":"user","source_id":"octocat","time":"2026-01-02T03:04:05+01:00","data":[9007199254740993, 12345678901234567890, 1.10, 1e400, -0, "\\u00e9é漢😀", {"b":1,"a":2}] }\n',
      '{"id":"odd-1","time":"2026-01-02T03:04:05Z","type":"\\u0041","source_type":"user","source_id":"octocat","data":"\\\\x00\\u0000"}',
      `{"id":"odd-2","time":"2026-01-02T03:04:05Z","type":"n","source_type":"user","source_id":"octocat","data":"${'x'.repeat(1_000_000)}"}`,
      `{"id":"odd-3","time":"2026-01-02T03:04:05Z","type":"n","source_type":"user","source_id":"octocat","data":"${randomBytes(300_000).toString('base64')}"}`,
    ];
    await insert(...values.map((value, index) => ({ id: `odd-${index}`, sourceId: 'odd', value })));
    for (const [index, value] of values.entries()) {
      const { status, bytes, headers } = await get(eventPath({ id: `odd-${index}`, sourceId: 'odd' }));
      assert.equal(status, 200);
      assert.ok(bytes.equals(Buffer.from(value)), `odd-${index}`);
      const etag = headers.get('etag') ?? '';
      const known = await get(eventPath({ id: `odd-${index}`, sourceId: 'odd' }), { 'if-none-match': etag });
      assert.deepEqual([known.status, known.bytes.length], [304, 0]);
    }
    const { bytes } = await get(listPath('odd'));
    assert.ok(bytes.includes(values.toReversed().join(',')));
  });

  it('finds events by names of all kinds', async () => {
    const names = [
      'octocat/hello-world',
      'a%2Fb',
      '%25',
      "o';--",
      '漢字😀',
      '"',
      '$1',
      '{}',
      '😀'.repeat(128),
    ];
    for (const name of names) {
      await insert({ id: name, sourceId: name }, { id: 'same', sourceId: name });
      const { status, bytes } = await get(eventPath({ id: name, sourceId: name }));
      assert.deepEqual([status, bytes.toString()], [200, textOf({ id: name, sourceId: name })]);
      assert.equal((await page(name)).events.length, 2);
    }
  });

  it('lists random events so that each is met once, back and forth, whatever the pages', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('mine', 'other', 'mine-typed'), { minLength: 0, maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 40 }),
        fc.boolean(),
        async (kinds, limit, early, isTyped) => {
          run += 1;
          const sourceId = `paged-${run}`;
          const rows = kinds.map((kind, index) => ({
            id: `${index}`,
            sourceId: kind === 'other' ? `${sourceId}-other` : sourceId,
            type: kind === 'mine-typed' ? 'star' : 'push',
          }));
          const wanted = rows.filter((row) => row.sourceId === sourceId && (!isTyped || row.type === 'star'));
          const ids = wanted.map(({ id }) => id);
          const query = { limit: String(limit), ...(isTyped && { type: 'star' }) };
          await insert(...rows.slice(0, early));
          const first = await page(sourceId, query);
          await insert(...rows.slice(early));

          const backward = first.events.map(({ id }) => id);
          for (let at = first; at.before !== undefined; ) {
            at = await page(sourceId, { ...query, before: at.before });
            assert.ok(at.events.length > 0 || isTyped);
            backward.push(...at.events.map(({ id }) => id));
          }
          const forward: string[] = [];
          for (let at = first; ; ) {
            at = await page(sourceId, { ...query, after: at.after });
            if (at.events.length === 0) break;
            forward.push(...at.events.map(({ id }) => id).toReversed());
          }
          assert.deepEqual([...backward.toReversed(), ...forward], ids);

          // From the beginning to the end, and all the way back.
          let at = await page(sourceId, query);
          while (at.before !== undefined) at = await page(sourceId, { ...query, before: at.before });
          const all = at.events.map(({ id }) => id).toReversed();
          for (;;) {
            at = await page(sourceId, { ...query, after: at.after });
            if (at.events.length === 0) break;
            all.push(...at.events.map(({ id }) => id).toReversed());
          }
          assert.deepEqual(all, ids);
          const back: string[] = [];
          while (at.before !== undefined) {
            at = await page(sourceId, { ...query, before: at.before });
            back.push(...at.events.map(({ id }) => id));
          }
          assert.deepEqual(back, ids.toReversed());
        },
      ),
      { numRuns: 40 },
    );
  });

  it('cuts pages to their size, and misses none for that', async () => {
    // A sixteenth of the buffer: 512 KiB.
    const small = await start({ BUFFER_MAX_BYTES: String(8 * 1024 * 1024) });
    try {
      await until(() => isReady(small));
      const sizes = [600, 100, 500, 12, 512, 1, 200, 311, 1, 200, 312, 1_500, 3, 250, 250, 12];
      const rows = sizes.map((kib, index) => {
        const [id, sourceId] = [`${index}`, 'sizes'];
        return { id, sourceId, value: textOf({ id, sourceId }).padEnd(kib * 1024) };
      });
      await insert(...rows);
      const met: string[] = [];
      const counts: number[] = [];
      for (let query: Record<string, string> | undefined = {}; query !== undefined; ) {
        const answer = await get(listPath('sizes', query), {}, small);
        const { events, before }: Page = answer.json();
        counts.push(events.length);
        assert.ok(events.length === 1 || answer.bytes.length < 513 * 1024);
        met.push(...events.map(({ id }) => id));
        query = before === undefined ? undefined : { before };
      }
      assert.deepEqual(met, rows.map(({ id }) => id).toReversed());
      assert.ok(counts.includes(1) && counts.some((count) => count > 2), String(counts));
    } finally {
      await small.close();
    }
  });

  it('looks at so many events of other types and goes on from there', async () => {
    await store.query(
      `insert into dual_stream.events (source_type, source_id, id, type, partition, "offset", recorded_at, value)
       select 'user', 'mostly', n::text, case when n in (1, 25000) then 'rare' else 'common' end, 0, n, now(),
         convert_to(format('{"id":"%s","time":"2026-11-23T12:00:00Z","type":"t","source_type":"user","source_id":"m"}', n), 'UTF8')
       from generate_series(1, 25000) as n`,
    );
    const first = await page('mostly', { type: 'rare' });
    assert.deepEqual(
      first.events.map(({ id }) => id),
      ['25000'],
    );
    const second = await page('mostly', { type: 'rare', before: first.before ?? '' });
    assert.deepEqual(second.events, []);
    const third = await page('mostly', { type: 'rare', before: second.before ?? '' });
    assert.deepEqual([third.events.map(({ id }) => id), third.before], [['1'], undefined]);
  });

  it('waits for an event, and answers as soon as it is there', async () => {
    const waiting = get(`${eventPath({ id: 'late' })}?wait=5`);
    await delay(1_000);
    await insert({ id: 'late' });
    const storedAt = performance.now();
    const { status, bytes } = await waiting;
    const latencyMs = performance.now() - storedAt;
    assert.deepEqual([status, bytes.toString()], [200, textOf({ id: 'late' })]);
    assert.ok(latencyMs < 100, `${latencyMs} ms`);
    const never = await get(`${eventPath({ id: 'never' })}?wait=1`);
    assert.equal(never.status, 404);
    assert.ok(never.tookMs >= 1_000 && never.tookMs < 1_300, `${never.tookMs} ms`);
  });

  it('lets many wait at the cost of one poll', async () => {
    const waiting = Array.from({ length: 200 }, (_, index) =>
      get(`${eventPath({ id: `many-${index % 50}` })}?wait=5`),
    );
    await until(async () => (await get('/metrics')).bytes.includes('dual_stream_query_waiting 200'));
    const countBefore = await questionsAsked();
    await delay(1_000);
    const polls = (await questionsAsked()) - countBefore;
    assert.ok(polls > 10 && polls < 60, `${polls} polls`);
    await insert(...Array.from({ length: 50 }, (_, index) => ({ id: `many-${index}` })));
    const statuses = new Set((await Promise.all(waiting)).map(({ status }) => status));
    assert.deepEqual([...statuses], [200]);
  });

  it('lets in who has a key, and shows nobody what they may not read', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dual-stream-query-'));
    const file = join(folder, 'keys.json');
    const [repos, writer] = [keyOf('repos', ['events:read:repo']), keyOf('writer', ['events:write'])];
    writeFileSync(file, writeApiKeys([repos.key, writer.key]));
    const guarded = await start({
      AUTH_MODE: 'api-key',
      AUTH_KEYS_FILE: file,
      RATE_LIMIT_REQUESTS_PER_SECOND: '1',
    });
    try {
      await until(() => isReady(guarded));
      await insert({ id: 'a', sourceType: 'repo' }, { id: 'a' });
      assert.equal((await get(eventPath({ id: 'a' }), {}, guarded)).status, 401);
      assert.equal((await get(eventPath({ id: 'a' }), as(writer.credential), guarded)).status, 403);
      assert.equal(
        (await get(eventPath({ id: 'a', sourceType: 'repo' }), as(repos.credential), guarded)).status,
        200,
      );
      const foreign = await get(`${eventPath({ id: 'a' })}?wait=5`, as(repos.credential), guarded);
      const absent = await get(eventPath({ id: 'b', sourceType: 'repo' }), as(repos.credential), guarded);
      assert.deepEqual([foreign.status, foreign.bytes], [absent.status, absent.bytes]);
      assert.ok(foreign.tookMs < 500);
      assert.equal((await get(listPath('octocat'), as(repos.credential), guarded)).status, 404);
      const statuses: number[] = [];
      for (let count = 0; count < 10; count += 1)
        statuses.push(
          (await get(eventPath({ id: 'a', sourceType: 'repo' }), as(repos.credential), guarded)).status,
        );
      assert.ok(statuses.includes(429));
    } finally {
      await guarded.close();
      rmSync(folder, { recursive: true });
    }
  });

  for (const [how, fail, mend] of [
    ['stopped', () => postgres.stop(), () => postgres.start()],
    ['paused', async () => postgres.pause(), async () => postgres.resume()],
    ['killed', () => postgres.kill(), () => postgres.start()],
  ] as const) {
    it(`answers 503 while PostgreSQL is ${how}, and reads again afterwards by itself`, async () => {
      await insert({ id: how });
      await until(() => isReady());
      assert.equal((await get(eventPath({ id: how }))).status, 200);
      const waiting = get(`${eventPath({ id: 'nothing' })}?wait=3`);
      await delay(200);
      lines.length = 0;
      await fail();
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, index) =>
          index % 2 === 0 ? get(eventPath({ id: how })) : get(listPath('octocat')),
        ),
      );
      for (const { status, tookMs, headers } of answers) {
        assert.deepEqual([status, headers.get('retry-after')], [503, '2']);
        assert.ok(tookMs < 6_000, `${tookMs} ms`);
      }
      assert.equal((await waiting).status, 503);
      await until(async () => !(await isReady()));
      // It is known now, and nobody waits to find out again.
      const known = await get(eventPath({ id: how }));
      assert.ok(known.status === 503 && known.tookMs < 200, `${known.status} after ${known.tookMs} ms`);
      assert.ok(lines.length < 20, lines.join(''));
      assert.doesNotMatch(lines.join(''), /select|octocat|"level":50.*a fault/);
      await mend();
      await until(() => isReady());
      assert.equal((await get(eventPath({ id: how }))).status, 200);
      await page('octocat');
    });
  }

  it('sends nothing to PostgreSQL for those who gave up waiting for a connection', async () => {
    const one = openStore({
      url: postgres.url,
      tls: undefined,
      applicationName: 'one',
      connectionsMax: 1,
      statementTimeoutMs: 5_000,
      log,
    });
    try {
      const slow = one.query('select pg_sleep(0.3)');
      const givenUp = new AbortController();
      const second = one.query('create table public.sent ()', [], givenUp.signal);
      givenUp.abort();
      await assert.rejects(second, { name: 'AbortError' });
      await slow;
      const [row] = await one.query(`select to_regclass('public.sent') as sent`);
      assert.deepEqual(row, { sent: null });
    } finally {
      await one.close();
    }
  });

  it('stops within its time, and tells those who wait', async () => {
    const managementPort = await freePort();
    const stopping = await start({ MANAGEMENT_PORT: String(managementPort) });
    await until(() => isReady(stopping));
    const halfSent = await RawClient.connect(managementPort);
    halfSent.write('GET /livez HTTP/1.1\r\nHo');
    const waiting = get(`${eventPath({ id: 'nothing' })}?wait=5`, {}, stopping);
    await delay(200);
    stopping.leave();
    assert.equal((await fetch(`${stopping.address}/readyz`)).status, 503);
    const startedAt = performance.now();
    assert.equal(await stopping.close(), true);
    assert.ok(performance.now() - startedAt < 5_000);
    halfSent.destroy();
    const { status, json } = await waiting;
    assert.deepEqual([status, json().code], [503, 'shutting-down']);
  });
});
