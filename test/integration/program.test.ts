import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../dev/free-port.ts';

const SERVER = join(import.meta.dirname, '..', '..', 'src', 'ingest', 'server.ts');

describe('the program', () => {
  it('ends with one line for each problem of its configuration, and exit code 1', async () => {
    const { code, stdout, stderr } = await run({ AUTH_MODE: 'basic', PORT: 'x' });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    const lines = stderr.trim().split('\n');
    assert.deepEqual(
      lines.map((line) => line.split(' ').slice(0, 2).join(' ')),
      ['dual-stream: PORT', 'dual-stream: AUTH_MODE', 'dual-stream: KAFKA_BROKERS', 'dual-stream: REDIS_URL'],
    );
  });

  it('ends with one line when the file of API keys cannot be used, and exit code 1', async () => {
    const settings = { ...(await unreachable()), AUTH_MODE: 'api-key', LOG_LEVEL: 'error' };
    const missing = await run({ ...settings, AUTH_KEYS_FILE: '/nowhere/keys.json' });
    assert.deepEqual(
      [missing.code, missing.stdout, missing.stderr],
      [1, '', 'dual-stream: AUTH_KEYS_FILE cannot be used: ENOENT\n'],
    );
    const broken = await run({ ...settings, AUTH_KEYS_FILE: import.meta.filename });
    assert.deepEqual(
      [broken.code, broken.stderr],
      [1, 'dual-stream: AUTH_KEYS_FILE cannot be used: it is not JSON\n'],
    );
  });

  it('ends with one line when the port is in use, and exit code 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    assert.ok(address && typeof address === 'object');
    const { code, stdout, stderr } = await run({
      ...(await unreachable()),
      PORT: String(address.port),
      LOG_LEVEL: 'error',
    });
    other.close();
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.equal(stderr, `dual-stream: cannot listen on 127.0.0.1: port ${address.port} is in use\n`);
  });

  it('starts without Kafka and Redis, is alive and not ready, refuses events truthfully, and ends on SIGTERM with 0', async () => {
    const port = await freePort();
    const managementPort = await freePort();
    const running = start({
      ...(await unreachable()),
      PORT: String(port),
      MANAGEMENT_PORT: String(managementPort),
    });
    const base = `http://127.0.0.1:${port}`;
    await answering(`${base}/livez`);
    assert.equal((await fetch(`${base}/livez`)).status, 200);
    const readyz = await fetch(`${base}/readyz`);
    assert.equal(readyz.status, 503);
    assert.deepEqual(await readyz.json(), { status: 'unavailable' }, 'no details where strangers may ask');
    assert.equal((await fetch(`${base}/metrics`)).status, 404);
    assert.equal((await fetch(`http://127.0.0.1:${managementPort}/metrics`)).status, 200);
    const details = await (await fetch(`http://127.0.0.1:${managementPort}/readyz`)).json();
    assert.deepEqual((details as { dependencies: object }).dependencies, {
      kafka: 'connecting',
      redis: 'down',
    });
    const refused = await fetch(`${base}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"a","type":"t","source_type":"user","source_id":"s"}',
    });
    assert.equal(refused.status, 503);
    assert.deepEqual(
      (({ code, id }: { code: string; id: string }) => [code, id])((await refused.json()) as never),
      ['kafka-unavailable', 'a'],
    );
    running.child.kill('SIGTERM');
    assert.equal((await running.ended).code, 0);
  });

  it('ends with exit code 1 and the reason when a promise is rejected that nobody looks at', async () => {
    const fault = "setTimeout(() => Promise.reject(new Error('nobody looks at this')), 300)";
    const { code, stdout } = await start(await unreachable(), ['--import', `data:text/javascript,${fault}`])
      .ended;
    assert.equal(code, 1);
    const last = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}');
    assert.equal(last.level, 60);
    assert.equal(last.err.message, 'nobody looks at this');
    assert.equal(last.origin, 'unhandledRejection');
  });

  it('P7: serves on for SHUTDOWN_DELAY_MS with readyz 503; a repeated signal ends it at once', async () => {
    const port = await freePort();
    const running = start({ ...(await unreachable()), PORT: String(port), SHUTDOWN_DELAY_MS: '60000' });
    const base = `http://127.0.0.1:${port}`;
    await answering(`${base}/livez`);
    running.child.kill('SIGTERM');
    running.child.kill('SIGINT');
    await delay(1_100);
    assert.equal((await fetch(`${base}/livez`)).status, 200, 'two signals close together are one');
    assert.deepEqual(
      (({ status }: { status: string }) => status)((await (await fetch(`${base}/readyz`)).json()) as never),
      'leaving',
    );
    running.child.kill('SIGTERM');
    assert.equal((await running.ended).code, 1);
  });
});

/** Settings with which it starts, though nothing is there. */
async function unreachable(): Promise<NodeJS.ProcessEnv> {
  return {
    AUTH_MODE: 'none',
    PORT: String(await freePort()),
    KAFKA_BROKERS: `127.0.0.1:${await freePort()}`,
    REDIS_URL: `redis://127.0.0.1:${await freePort()}`,
  };
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(env: NodeJS.ProcessEnv, nodeOptions: readonly string[] = []) {
  const child = spawn(
    process.execPath,
    ['--disable-warning=TimeoutNegativeWarning', ...nodeOptions, SERVER],
    {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 30_000,
      killSignal: 'SIGKILL',
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const ended: Promise<Ended> = once(child, 'close').then(([code]) => ({ code, stdout, stderr }));
  return { child, ended };
}

function run(env: NodeJS.ProcessEnv): Promise<Ended> {
  return start(env).ended;
}

async function answering(url: string): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer) return;
    await delay(25);
  }
  assert.fail(`${url} does not answer`);
}
