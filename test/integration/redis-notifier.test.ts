import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../../dev/folders.ts';
import { freePort } from '../../dev/free-port.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import type { RedisNotifierOptions } from '../../src/ingest/redis-notifier.ts';
import { type RecordedNotifier, recordedNotifier, until } from '../fakes/recorded-notifier.ts';
import { type Subscriber, subscribeTo, tell } from './redis-subscriber.ts';
import { cert, key } from './self-signed.ts';

/** What a test has opened, whether or not it succeeds. */
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function subscribe(port: number): Promise<Subscriber> {
  const subscriber = await subscribeTo(port, 'PSUBSCRIBE', ['events:*']);
  closers.push(() => subscriber.close());
  return subscriber;
}

async function openUp(url: string, options: Partial<RedisNotifierOptions> = {}): Promise<RecordedNotifier> {
  const recorded = recordedNotifier({ redis: { mode: 'standalone', url }, ...options });
  closers.push(() => recorded.notifier.close(1000));
  await until(() => recorded.notifier.state === 'up', 'up');
  return recorded;
}

const upTo = (count: number, first = 0) => Array.from({ length: count }, (_, index) => first + index);

describe('a real Redis', () => {
  let redis: LocalRedis;
  let tlsPort: number;
  before(async () => {
    const folder = temporaryFolder('tls');
    writeFileSync(join(folder, 'cert.pem'), cert);
    writeFileSync(join(folder, 'key.pem'), key);
    tlsPort = await freePort();
    redis = await startRedis({
      config: [
        `tls-port ${tlsPort}`,
        `tls-cert-file ${join(folder, 'cert.pem')}`,
        `tls-key-file ${join(folder, 'key.pem')}`,
        'tls-auth-clients no',
      ],
    });
  });
  after(async () => {
    await redis.stop();
  });

  test('P8: a subscriber hears of a stored event by its ids alone, on the channel of its source', async () => {
    const subscriber = await subscribe(redis.port);
    const { notifier } = await openUp(redis.url);
    notifier.notify(
      { id: 'e-1', type: 'repo.starred', sourceType: 'repo', sourceId: 'owner/repo' },
      performance.now(),
    );
    notifier.notify(
      { id: 'é"1', type: 'user.日本', sourceType: 'user', sourceId: 'x:😀' },
      performance.now(),
    );
    await until(() => subscriber.heard.length === 2, 'heard');
    assert.deepEqual(
      subscriber.heard.map(({ channel, message }) => [channel, message]),
      [
        ['events:repo:owner/repo', '{"id":"e-1","type":"repo.starred","source_id":"owner/repo"}'],
        ['events:user:x:😀', '{"id":"é\\"1","type":"user.日本","source_id":"x:😀"}'],
      ],
    );
  });

  test('rediss:// is TLS, with a certificate that is verified', async () => {
    const url = `rediss://127.0.0.1:${tlsPort}`;
    const trusting = await openUp(url, { redis: { mode: 'standalone', url, tls: { ca: cert } } });
    trusting.notify(1);
    await until(() => trusting.counts.sent === 1, 'sent');

    const doubting = recordedNotifier({ redis: { mode: 'standalone', url } });
    closers.push(() => doubting.notifier.close(0));
    await until(() => doubting.notifier.state === 'down', 'down');
    assert.match(doubting.log[0]?.text ?? '', /self-signed certificate/);
  });

  test('keeps the order of each source through 20,000 notifications, and loses none', async () => {
    const subscriber = await subscribe(redis.port);
    const { notifier, counts, settled } = await openUp(redis.url, { aggregateChannels: true });
    for (let n = 0; n < 20_000; n += 1) {
      notifier.notify(
        { id: String(n), type: 't', sourceType: 'user', sourceId: `s${n % 7}` },
        performance.now(),
      );
      // oxlint-disable-next-line no-await-in-loop -- turns of different sizes
      if (n % 100 === n % 13) await new Promise(setImmediate);
    }
    await until(() => subscriber.heard.length === 40_000 && settled() === 20_000, 'heard');
    assert.deepEqual(counts, { sent: 20_000, failed: 0, dropped: 0 });
    for (let source = 0; source < 7; source += 1) {
      const ofSource = subscriber.heard.filter(({ channel }) => channel === `events:user:s${source}`);
      const ids = ofSource.map(({ message }) => Number(JSON.parse(message).id));
      assert.deepEqual(
        ids,
        upTo(20_000).filter((n) => n % 7 === source),
      );
    }
    const aggregate = subscriber.heard.filter(({ channel }) => channel === 'events:user');
    assert.deepEqual(
      aggregate.map(({ message }) => Number(JSON.parse(message).id)),
      upTo(20_000),
    );
  });

  test('scripts thrown out of the cache, or a Redis without memory, keep nothing back', async () => {
    const subscriber = await subscribe(redis.port);
    const recorded = await openUp(redis.url);
    await tell(redis.port, 'SCRIPT', 'FLUSH');
    recorded.notify(10);
    await until(() => subscriber.heard.length === 10, 'heard after SCRIPT FLUSH');
    await tell(redis.port, 'CONFIG', 'SET', 'maxmemory', '1');
    recorded.notify(10, 10);
    await until(() => recorded.settled() === 20, 'heard without memory');
    await tell(redis.port, 'CONFIG', 'SET', 'maxmemory', '0');
    await until(() => subscriber.heard.length === 20, 'heard');
    assert.deepEqual(subscriber.ids(), upTo(20));
    assert.deepEqual(recorded.counts, { sent: 20, failed: 0, dropped: 0 });
  });

  test('scripts forbidden by ACL: plain commands instead, and a forbidden channel fails alone', async () => {
    await tell(redis.port, ...'ACL SETUSER plain on >pw ~* &* +@all -eval -evalsha -script'.split(' '));
    await tell(redis.port, ...'ACL SETUSER narrow on >pw ~* resetchannels &events:user:a +@all'.split(' '));
    const subscriber = await subscribe(redis.port);

    const plain = await openUp(redis.url.replace('//', '//plain:pw@'));
    plain.notify(100);
    await until(() => plain.settled() === 100, 'sent');
    await until(() => subscriber.heard.length === 100, 'heard');
    assert.deepEqual(subscriber.ids(), upTo(100));
    assert.deepEqual(plain.counts, { sent: 100, failed: 0, dropped: 0 });
    assert.equal(plain.log.filter(({ text }) => text.includes('refuses scripts')).length, 1);

    const narrow = await openUp(redis.url.replace('//', '//narrow:pw@'));
    for (const source of ['a', 'b', 'a', 'c', 'a']) narrow.notify(1, 0, source);
    await until(() => narrow.settled() === 5, 'settled');
    assert.deepEqual(narrow.counts, { sent: 3, failed: 2, dropped: 0 });
    await until(() => subscriber.heard.length === 103, 'heard');
  });

  test('P2: a replica is noticed, counted as failed, and used again when it is a master', async () => {
    const recorded = await openUp(redis.url, { times: { probeIntervalMs: 100, backoffMaxMs: 100 } });
    await tell(redis.port, 'REPLICAOF', '127.0.0.1', '1');
    await until(() => recorded.notifier.state === 'down', 'down');
    recorded.notify(10);
    await sleep(300);
    assert.equal(recorded.notifier.state, 'down');
    assert.equal(recorded.counts.sent, 0);
    await tell(redis.port, 'REPLICAOF', 'NO', 'ONE');
    await until(() => recorded.notifier.state === 'up', 'up');
    recorded.notify(1);
    await until(() => recorded.counts.sent >= 1, 'sent');
  });

  test('P2: killed and started again, it is used again by itself', async () => {
    const recorded = await openUp(redis.url);
    await redis.kill();
    await until(() => recorded.notifier.state === 'down', 'down');
    recorded.notify(5);
    await redis.start();
    const subscriber = await subscribe(redis.port);
    await until(() => recorded.notifier.state === 'up', 'up');
    recorded.notify(5, 5);
    await until(() => subscriber.heard.length >= 5, 'heard');
    await recorded.notifier.close(1000);
    assert.equal(recorded.settled(), 10);
    assert.deepEqual(recorded.states, [true, false, true]);
  });

  test('P2: what lay in the socket of a stopped Redis was counted as failed, and is not published when it goes on', async () => {
    const subscriber = await subscribe(redis.port);
    const recorded = await openUp(redis.url, { times: { answerTimeoutMs: 200 } });
    redis.pause();
    closers.push(() => redis.resume());
    recorded.notify(100);
    await until(() => recorded.counts.failed === 100, 'failed');
    // A timer of Node may be early by what its turn took.
    await sleep(50);
    redis.resume();
    await until(() => recorded.notifier.state === 'up', 'up again');
    recorded.notify(1, 100);
    await until(() => subscriber.heard.length > 0, 'heard');
    assert.deepEqual(subscriber.ids(), [100]);
  });

  test('P2: a stopped Redis costs no more than the bound of the queue, and hears nothing old afterwards', async () => {
    const ageMaxMs = 1000;
    const subscriber = await subscribe(redis.port);
    const recorded = await openUp(redis.url, {
      ageMaxMs,
      queue: { countMax: 2000, bytesMax: 1024 * 1024 },
      times: { answerTimeoutMs: 300, backoffMaxMs: 200 },
    });
    const notifiedAt: number[] = [];
    const load = setInterval(() => {
      for (let n = 0; n < 50; n += 1) {
        recorded.notify(1, notifiedAt.length);
        notifiedAt.push(performance.now());
      }
    }, 5);
    closers.push(
      () => clearInterval(load),
      () => redis.resume(),
    );
    await sleep(500);
    const heapBefore = process.memoryUsage().rss;
    redis.pause();
    const firstPaused = notifiedAt.length;
    const heardBefore = subscriber.heard.length;
    await sleep(4000);
    const grownBytes = process.memoryUsage().rss - heapBefore;
    assert.equal(recorded.notifier.state, 'down');
    const sockets = process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap');
    assert.ok(sockets.length <= 2, `${sockets.length} sockets: the subscriber's, and that of one attempt`);
    const resumedAt = performance.now();
    redis.resume();
    await until(() => recorded.notifier.state === 'up', 'up again');
    await sleep(300);
    clearInterval(load);
    await recorded.notifier.close(2000);
    await until(() => subscriber.ids().at(-1) === notifiedAt.length - 1, 'the newest is heard');

    const { sent, failed, dropped } = recorded.counts;
    assert.equal(sent + failed + dropped, notifiedAt.length);
    assert.ok(failed + dropped > 10_000, `${failed} failed, ${dropped} dropped`);
    assert.ok(grownBytes < 20e6, `${grownBytes} bytes`);
    const late = subscriber.heard.slice(heardBefore).map(({ message, at }) => {
      const id = Number(JSON.parse(message).id);
      return { id, ageMs: at - (notifiedAt[id] as number), at };
    });
    // What Redis had published and not yet written to its subscribers when it was stopped is out of our hands.
    const old = late.filter(
      ({ id, ageMs, at }) => id >= firstPaused && at > resumedAt && ageMs > ageMaxMs + 300,
    );
    assert.deepEqual(old, []);
    const ids = subscriber.ids();
    assert.ok(
      ids.every((id, index) => index === 0 || id > (ids[index - 1] as number)),
      'in order, none twice',
    );
    assert.ok(recorded.log.length < 12, `${recorded.log.length} log lines`);
  });
});
