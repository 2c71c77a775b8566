import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { Client } from 'pg';
import { temporaryFolder } from '../../dev/folders.ts';
import { askPostgres, type LocalPostgres, startPostgres } from '../../dev/local-postgres.ts';
import { StartError } from '../../dev/start-error.ts';
import { isAlive, waitUntil } from './wait-until.ts';

describe('local PostgreSQL', () => {
  let postgres: LocalPostgres;
  before(async () => {
    postgres = await startPostgres();
    await ask(postgres.url, 'CREATE TABLE kept (value int)');
  });
  after(() => postgres.kill());

  it('answers at its url, and is the process it names', async () => {
    assert.deepEqual(await ask(postgres.url, 'SELECT 1 AS one'), [{ one: 1 }]);
    assert.equal(await askPostgres(postgres.port), String(postgres.child.pid));
  });

  it('loses nothing that it has answered, unless it is told so', async () => {
    const rows = await ask(
      postgres.url,
      `SELECT name, setting FROM pg_settings
      WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name`,
    );
    assert.deepEqual(
      rows.map(({ setting }) => setting),
      ['on', 'on', 'on'],
    );
  });

  for (const [end, value] of [
    ['stop', 1],
    ['kill', 2],
  ] as const) {
    it(`keeps its data and its port over ${end} and start, with clients in the middle of something`, async () => {
      const { pid } = postgres.child;
      const processes = processesOf(pid);
      const client = await connect(postgres.url);
      const busy = client.query('SELECT count(*) FROM generate_series(1, 1e12)');
      const cut = assert.rejects(busy);
      await ask(postgres.url, `INSERT INTO kept VALUES (${value})`);
      const { code } = await postgres[end]();
      assert.equal(code, end === 'stop' ? 0 : null);
      await cut;
      for (const each of [pid, ...processes]) assert.equal(isAlive(each), false);
      assert.equal(await askPostgres(postgres.port), undefined);
      await postgres.start();
      assert.equal(await askPostgres(postgres.port), String(postgres.child.pid));
      const [last] = await ask(postgres.url, 'SELECT max(value) AS value FROM kept');
      assert.deepEqual(last, { value });
    });
  }

  it('leaves no shared memory behind when it is killed', async () => {
    const killed = await startPostgres();
    const segment = segmentOf(killed.logFile);
    assert.ok(isThere(segment));
    await killed.kill();
    assert.ok(!isThere(segment));
  });

  it('answers nothing while it is paused, not even to those who are connected, and goes on', async () => {
    const client = await connect(postgres.url);
    postgres.pause();
    const answer = client.query('SELECT 1').then(() => 'answered');
    assert.equal(await askPostgres(postgres.port), undefined);
    assert.equal(await Promise.race([answer, Promise.resolve('waiting')]), 'waiting');
    postgres.resume();
    assert.equal(await answer, 'answered');
    await client.end();
    assert.notEqual(await askPostgres(postgres.port), undefined);
  });

  it('can be stopped and killed while it is paused', async () => {
    for (const end of ['stop', 'kill'] as const) {
      postgres.pause();
      const { code } = await postgres[end]();
      assert.equal(code, end === 'stop' ? 0 : null);
      await postgres.start();
    }
  });

  it('starts again when somebody else has killed it', async () => {
    const client = await connect(postgres.url);
    const cut = assert.rejects(client.query('SELECT count(*) FROM generate_series(1, 1e12)'));
    process.kill(postgres.child.pid, 'SIGKILL');
    await waitUntil(() => postgres.child.hasEnded(), 'its first process ends');
    await postgres.start();
    await cut;
    assert.equal(await askPostgres(postgres.port), String(postgres.child.pid));
  });

  it('takes nobody else on its port for itself', async () => {
    await assert.rejects(startPostgres({ port: postgres.port }), StartError);
    assert.equal(await askPostgres(postgres.port), String(postgres.child.pid));
    const somebody = createServer().listen(0, '127.0.0.1');
    await once(somebody, 'listening');
    const { port } = somebody.address() as AddressInfo;
    await assert.rejects(startPostgres({ port }), /PostgreSQL ended with .* its log is/);
    somebody.close();
  });

  it('runs beside another one, and each has its own data', async () => {
    const pair = await Promise.all([startPostgres(), startPostgres()]);
    for (const { url } of pair) {
      await assert.rejects(ask(url, 'SELECT FROM kept'), /does not exist/);
      await ask(url, 'CREATE TABLE kept (value int)');
    }
    await Promise.all(pair.map((each) => each.kill()));
  });

  it('keeps a folder for the next process, and begins again what was interrupted', async () => {
    const folder = join(temporaryFolder('kept'), 'postgres');
    mkdirSync(join(folder, 'data.unfinished'), { recursive: true });
    writeFileSync(join(folder, 'data.unfinished', 'half'), '');
    if (process.getuid?.() === 0) execFileSync('chmod', ['711', join(folder, '..')]);
    const first = await startPostgres({ folder });
    await ask(first.url, 'CREATE TABLE kept (value int)');
    await first.stop();
    const second = await startPostgres({ folder });
    assert.notEqual(second.port, first.port);
    assert.deepEqual(await ask(second.url, 'SELECT FROM kept'), []);
    await second.kill();
  });

  it('takes arguments, and who may come in', async () => {
    const guarded = await startPostgres({
      args: ['-c', 'work_mem=1MB'],
      hba: ['host all all 127.0.0.1/32 scram-sha-256'],
    });
    const { url } = guarded;
    await assert.rejects(ask(url, 'SELECT 1'), /password/);
    await ask(url.replace(/\w+$/, 'postgres'), `ALTER ROLE dual_stream PASSWORD 'secret'`);
    assert.deepEqual(await ask(url.replace('@', ':secret@'), 'SHOW work_mem'), [{ work_mem: '1MB' }]);
    await guarded.kill();
  });

  it('says where its log is when it does not start', async () => {
    await assert.rejects(startPostgres({ args: ['-c', 'no_such_setting=1'] }), /its log is/);
  });

  it('is killed when its parent is killed, even while it is paused', async () => {
    const module = join(import.meta.dirname, '..', '..', 'dev', 'local-postgres.ts');
    const script = `
      import { startPostgres } from ${JSON.stringify(module)};
      const postgres = await startPostgres();
      console.log(postgres.child.pid);
      console.log(postgres.logFile);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: parent.stdout })[Symbol.asyncIterator]();
    const pid = Number((await lines.next()).value);
    const logFile = String((await lines.next()).value);
    const processes = [pid, ...processesOf(pid)];
    const segment = segmentOf(logFile);
    assert.ok(processes.length > 4);
    for (const each of processes) process.kill(each, 'SIGSTOP');
    parent.kill('SIGKILL');
    await waitUntil(() => !processes.some(isAlive), 'all of its processes end');
    await waitUntil(() => !isThere(segment), 'its shared memory is gone');
    await waitUntil(() => !existsSync(logFile), 'its temporary folder is gone');
  });

  it('can be the one of Maven Central', async () => {
    const fetched = await startPostgres({ installed: false });
    const [row] = await ask(fetched.url, 'SHOW server_version');
    assert.deepEqual(row, { server_version: '17.5' });
    await fetched.stop();
  });
});

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  // Its server is killed in the middle of something.
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function ask(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  try {
    await client.connect();
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** What the first process of a server has started. */
function processesOf(pid: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'ppid=', '-o', 'pid='], { encoding: 'utf8' }).split('\n');
  return lines
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([parent]) => parent === pid)
    .map(([, child]) => child as number);
}

/** The id of the shared memory of a server that runs. */
function segmentOf(logFile: string): string {
  const lines = readFileSync(join(dirname(logFile), 'data', 'postmaster.pid'), 'utf8').split('\n');
  return String(lines[6]?.trim().split(/\s+/)[1]);
}

function isThere(segment: string): boolean {
  return execFileSync('ipcs', ['-m'], { encoding: 'utf8' }).split(/\s+/).includes(segment);
}
