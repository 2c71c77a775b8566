import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before as beforeAll, describe, it } from 'node:test';
import { pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import { readConfig } from '../../src/config.ts';
import { IngestMetrics } from '../../src/ingest/metrics.ts';
import { redisSettings } from '../../src/ingest/redis-settings.ts';
import type { Server } from '../../src/ingest/server.ts';
import { openTlsFiles } from '../../src/tls-files.ts';
import { certificateFile } from '../certificates.ts';
import { type RecordedNotifier, recordedNotifier } from '../fakes/recorded-notifier.ts';
import { startService, until } from './local-service.ts';
import { type Subscriber, subscribeTo, tell } from './redis-subscriber.ts';

/** A real Redis that wants TLS, certificates and users, and lets them do no more than docs/least-privilege.md says. */

const PASSWORD = 'secret';
const QUICK = { backoffMaxMs: 100, probeIntervalMs: 100 };
/** The commands of the document, in its order. */
const [STANDALONE = '', CLUSTER = '', SHARDED = '', SENTINEL = ''] = [
  ...readFileSync(new URL('../../docs/least-privilege.md', import.meta.url), 'utf8').matchAll(
    /^ {4}(ACL .+)$/gm,
  ),
].map(([, command = '']) => command);

const silent = pino({ enabled: false });
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A notifier as the service would have it with these settings. */
function notifierWith(settings: NodeJS.ProcessEnv): RecordedNotifier {
  const config = readConfig({ AUTH_MODE: 'none', KAFKA_BROKERS: '127.0.0.1:1', ...settings });
  const files = openTlsFiles(
    'REDIS_TLS',
    { ca: config.REDIS_TLS_CA_FILE, cert: config.REDIS_TLS_CERT_FILE, key: config.REDIS_TLS_KEY_FILE },
    { log: silent, metrics: new IngestMetrics() },
  );
  const redis = redisSettings(config, files) ?? assert.fail();
  const recorded = recordedNotifier({ redis, times: QUICK });
  closers.push(
    () => files.close(),
    () => recorded.notifier.close(500),
  );
  return recorded;
}

const isUp = (recorded: RecordedNotifier) => () => recorded.notifier.state === 'up';

async function heardAt(
  port: number,
  command: 'PSUBSCRIBE' | 'SSUBSCRIBE' = 'PSUBSCRIBE',
  channel = 'events:*',
): Promise<Subscriber> {
  const subscriber = await subscribeTo(port, command, [channel]);
  closers.push(() => subscriber.close());
  return subscriber;
}

const asUser = (port: number, scheme = 'redis') => `${scheme}://dual-stream:${PASSWORD}@127.0.0.1:${port}`;

/** What the log of Redis names when a right is missing. */
const MISSED: Readonly<Record<string, string>> = {
  '+role': 'role',
  '+time': 'time',
  '+eval': 'eval',
  '+publish': 'publish',
  '&events:*': 'events:user:octocat',
};

describe('a Redis that wants certificates and users', () => {
  let redis: LocalRedis;
  let tlsPort: number;
  beforeAll(async () => {
    tlsPort = await freePort();
    redis = await startRedis({
      config: [
        `tls-port ${tlsPort}`,
        `tls-cert-file ${certificateFile('server.pem')}`,
        `tls-key-file ${certificateFile('server.key')}`,
        `tls-ca-cert-file ${certificateFile('ca.pem')}`,
        'tls-auth-clients yes',
      ],
    });
    await tell(redis.port, ...STANDALONE.split(' '));
  });
  after(() => redis.stop());

  const withTls = (
    client: 'client' | 'expired-client' | 'foreign',
    ca: 'ca.pem' | 'other-ca.pem' = 'ca.pem',
  ) => ({
    REDIS_URL: asUser(tlsPort, 'rediss'),
    REDIS_TLS_CA_FILE: certificateFile(ca),
    REDIS_TLS_CERT_FILE: certificateFile(`${client}.pem`),
    REDIS_TLS_KEY_FILE: certificateFile(`${client}.key`),
  });

  it('is told of events by TLS, by a user who may nothing else', async () => {
    const subscriber = await heardAt(redis.port);
    const before = await scriptCalls(redis.port);
    const recorded = notifierWith(withTls('client'));
    await until(isUp(recorded));
    recorded.notify(100);
    await until(() => subscriber.heard.length === 100);
    assert.deepEqual(recorded.counts, { sent: 100, failed: 0, dropped: 0 });
    assert.equal(
      recorded.log.filter(({ level }) => level === 'warn').length,
      0,
      JSON.stringify(recorded.log),
    );
    assert.ok((await scriptCalls(redis.port)) > before, 'by scripts');
    for (const forbidden of [
      'GET x',
      'SET x 1',
      'KEYS *',
      'CONFIG GET *',
      'PUBLISH other 1',
      'SUBSCRIBE events:a',
    ]) {
      const said = await tell(redis.port, 'ACL', 'DRYRUN', 'dual-stream', ...forbidden.split(' '));
      assert.match(String(said), /no permissions|can't|cannot|has no/i, forbidden);
    }
  });

  it('needs each of these rights', async () => {
    for (const right of Object.keys(MISSED)) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await tell(redis.port, ...STANDALONE.replace(`${right} `, '').replace(` ${right}`, '').split(' '));
      const recorded = notifierWith({ REDIS_URL: asUser(redis.port) });
      // oxlint-disable-next-line no-await-in-loop
      await until(() => recorded.notifier.state !== 'connecting');
      recorded.notify(1);
      // oxlint-disable-next-line no-await-in-loop
      await until(() => recorded.settled() === 1 || recorded.notifier.state === 'down');
      // oxlint-disable-next-line no-await-in-loop
      await recorded.notifier.close(0);
      // oxlint-disable-next-line no-await-in-loop
      const denied = JSON.stringify(await tell(redis.port, 'ACL', 'LOG'));
      assert.ok(denied.includes(`"${MISSED[right]}"`), `${right} is not missed: ${denied}`);
      // oxlint-disable-next-line no-await-in-loop
      await tell(redis.port, 'ACL', 'LOG', 'RESET');
    }
    await tell(redis.port, ...STANDALONE.split(' '));
  });

  it('is not told of anything by those whose certificate is wrong, nor with one that is not trusted', async () => {
    for (const [settings, reason] of [
      [withTls('expired-client'), /certificate expired|alert|closed|ECONNRESET/],
      [withTls('foreign'), /unknown ca|alert|closed|ECONNRESET/],
      [withTls('client', 'other-ca.pem'), /unable to verify|self-signed|issuer/],
    ] as const) {
      const recorded = notifierWith(settings);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await until(() => recorded.notifier.state === 'down');
      const [line] = recorded.log;
      assert.match(line?.text ?? '', reason);
    }
  });

  it('is told again when an expired certificate is replaced, without a restart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'redis-security-'));
    closers.push(() => rmSync(folder, { recursive: true }));
    const file = (name: string) => join(folder, name);
    const use = (name: 'client' | 'expired-client') => {
      copyFileSync(certificateFile(`${name}.pem`), file('cert'));
      copyFileSync(certificateFile(`${name}.key`), file('key'));
    };
    use('expired-client');
    const recorded = notifierWith({
      ...withTls('client'),
      REDIS_TLS_CERT_FILE: file('cert'),
      REDIS_TLS_KEY_FILE: file('key'),
    });
    await until(() => recorded.notifier.state === 'down');
    use('client');
    await until(isUp(recorded));
  });

  it('P2: a wrong password changes no answer, is logged once and without it, and is over when it is right', async () => {
    const kafka: LocalKafka = await startKafka();
    closers.push(() => kafka.stop());
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line) => void lines.push(line) });
    await tell(redis.port, 'ACL', 'SETUSER', 'late', 'on', '>other', '+@all', '&*');
    const url = `redis://late:canary-password@127.0.0.1:${redis.port}`;
    const server: Server = await startService(kafka, { url }, {}, log);
    closers.push(() => server.close());
    const status = async () => {
      const answer = await fetch(`${server.address}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"type":"t","source_type":"user","source_id":"s"}',
      });
      return answer.status;
    };
    const readyz = async () => (await (await fetch(`${server.address}/readyz`)).json()) as { status: string };
    assert.equal(await status(), 201);
    assert.equal((await readyz()).status, 'degraded');
    const said = () => lines.filter((line) => line.includes('WRONGPASS'));
    await until(() => said().length > 0);
    await tell(redis.port, 'ACL', 'SETUSER', 'late', '>canary-password');
    await until(async () => (await readyz()).status === 'ready');
    assert.equal(said().length, 1);
    assert.equal(await status(), 201);
    assert.ok(!lines.join().includes('canary-password'));
  });
});

describe('a Cluster with users', () => {
  const nodes: LocalRedis[] = [];
  beforeAll(async () => {
    const busPort = await freePort();
    nodes.push(
      await startRedis({
        config: ['cluster-enabled yes', `cluster-port ${busPort}`, 'cluster-require-full-coverage no'],
      }),
    );
    await tell(nodes[0]?.port ?? 0, 'CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
    await until(async () =>
      String(await tell(nodes[0]?.port ?? 0, 'CLUSTER', 'INFO')).includes('cluster_state:ok'),
    );
  });
  after(() => Promise.all(nodes.map((node) => node.kill())));

  for (const [acl, sharded] of [
    [CLUSTER, 'false'],
    [SHARDED, 'true'],
  ] as const) {
    it(`is told of events by a user who may nothing else, sharded: ${sharded}`, async () => {
      const [node] = nodes;
      assert.ok(node);
      await tell(node.port, ...acl.split(' '));
      const subscriber =
        sharded === 'true'
          ? await heardAt(node.port, 'SSUBSCRIBE', 'events:user:octocat')
          : await heardAt(node.port);
      const recorded = notifierWith({
        REDIS_MODE: 'cluster',
        REDIS_SHARDED_PUBSUB: sharded,
        REDIS_URL: asUser(node.port),
      });
      await until(isUp(recorded));
      recorded.notify(50);
      await until(() => subscriber.heard.length === 50);
      assert.deepEqual(recorded.counts, { sent: 50, failed: 0, dropped: 0 });
      assert.equal(
        recorded.log.filter(({ level }) => level === 'warn').length,
        0,
        JSON.stringify(recorded.log),
      );
    });
  }
});

describe('Sentinels with users', () => {
  it('lead to the master by a user who may nothing else', async () => {
    const master = await startRedis();
    closers.push(() => master.kill());
    await tell(master.port, ...STANDALONE.split(' '));
    const sentinel = await startRedis({
      args: ['--sentinel'],
      config: [`sentinel monitor main 127.0.0.1 ${master.port} 1`],
    });
    closers.push(() => sentinel.kill());
    await tell(sentinel.port, ...SENTINEL.split(' '));
    const recorded = notifierWith({
      REDIS_MODE: 'sentinel',
      REDIS_SENTINEL_MASTER: 'main',
      REDIS_URL: asUser(sentinel.port),
      REDIS_USERNAME: 'dual-stream',
      REDIS_PASSWORD: PASSWORD,
    });
    const subscriber = await heardAt(master.port);
    await until(isUp(recorded));
    recorded.notify(10);
    await until(() => subscriber.heard.length === 10);
    assert.equal(
      recorded.log.filter(({ level }) => level === 'warn').length,
      0,
      JSON.stringify(recorded.log),
    );
  });
});

/** How often Redis ran a script. */
async function scriptCalls(port: number): Promise<number> {
  const said = String(await tell(port, 'INFO', 'commandstats'));
  return Number(/cmdstat_eval:calls=(\d+)/.exec(said)?.[1] ?? 0);
}
