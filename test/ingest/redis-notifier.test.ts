import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { RedisNotifierOptions } from '../../src/ingest/redis-notifier.ts';
import { type RecordedNotifier, recordedNotifier, until } from '../fakes/recorded-notifier.ts';
import { type Answer, ScriptedRedis } from '../fakes/scripted-redis.ts';

const TIMES = {
  answerTimeoutMs: 150,
  connectTimeoutMs: 150,
  probeIntervalMs: 100,
  backoffMinMs: 10,
  backoffMaxMs: 40,
};

const opened: { notifier?: RecordedNotifier; redis?: ScriptedRedis }[] = [];

afterEach(async () => {
  for (const { notifier, redis } of opened.splice(0)) {
    await notifier?.notifier.close(0);
    await redis?.stop();
  }
});

async function startRedis(answer: ScriptedRedis['answer'] = () => undefined): Promise<ScriptedRedis> {
  const redis = await ScriptedRedis.start();
  redis.answer = answer;
  opened.push({ redis });
  return redis;
}

function open(url: string, options: Partial<RedisNotifierOptions> = {}): RecordedNotifier {
  const notifier = recordedNotifier({ redis: { mode: 'standalone', url }, times: TIMES, ...options });
  opened.unshift({ notifier });
  return notifier;
}

/** A notifier that is up, on a Redis that answers so from then on. */
async function upOn(
  answer: ScriptedRedis['answer'] = () => undefined,
  options: Partial<RedisNotifierOptions> = {},
): Promise<{ redis: ScriptedRedis; notifier: RecordedNotifier }> {
  const redis = await startRedis();
  const notifier = open(redis.url, options);
  await until(() => notifier.notifier.state === 'up', 'up');
  redis.answer = answer;
  return { redis, notifier };
}

const isPublishing = ([name, ...args]: readonly string[]) =>
  name === 'PUBLISH' || (name === 'EVAL' && args.length > 3);

const when =
  (matches: (command: readonly string[]) => boolean, answer: Answer) => (command: readonly string[]) =>
    matches(command) ? answer : undefined;

const idsOf = (redis: ScriptedRedis) => redis.published.map(([, message]) => Number(JSON.parse(message).id));

const upTo = (count: number, first = 0) => Array.from({ length: count }, (_, index) => first + index);

describe('while Redis answers', () => {
  test('P8: publishes id, type and source_id to the channel of the source, and nothing else', async () => {
    const { redis, notifier } = await upOn();
    notifier.notify(1, 7, 'owner/repo 日本'.replace(' ', '-'));
    await until(() => notifier.counts.sent === 1, 'sent');
    assert.deepEqual(redis.published, [
      ['events:user:owner/repo-日本', '{"id":"7","type":"test","source_id":"owner/repo-日本"}'],
    ]);
  });

  test('all of one turn share one write, 64 to a script, in order', async () => {
    const { redis, notifier } = await upOn();
    const before = redis.commands.length;
    notifier.notify(150);
    await until(() => notifier.counts.sent === 150, 'sent');
    const publishing = redis.commands.slice(before).filter(isPublishing);
    assert.deepEqual(
      publishing.map((command) => (command.length - 4) / 2),
      [64, 64, 22],
    );
    assert.deepEqual(idsOf(redis), upTo(150));
  });

  test('only one flush is in flight, and what arrives meanwhile keeps its order', async () => {
    let inFlight = 0;
    let inFlightMax = 0;
    const redis = await startRedis((command) => {
      if (!isPublishing(command)) return undefined;
      inFlight += 1;
      inFlightMax = Math.max(inFlightMax, inFlight);
      setTimeout(() => {
        inFlight -= 1;
        redis.say('*0\r\n');
      }, 5);
      return 'silence';
    });
    const notifier = open(redis.url);
    await until(() => notifier.notifier.state === 'up', 'up');
    for (let n = 0; n < 60; n += 1) {
      notifier.notify(1, n);
      await sleep(1);
    }
    await until(() => notifier.counts.sent === 60, 'sent');
    assert.deepEqual(idsOf(redis), upTo(60));
    assert.equal(inFlightMax, 1);
  });

  test('an aggregate channel comes right after that of the source, and the event counts once', async () => {
    const { redis, notifier } = await upOn(undefined, { aggregateChannels: true });
    notifier.notify(40);
    await until(() => notifier.counts.sent === 40, 'sent');
    assert.deepEqual(
      redis.published.map(([channel]) => channel),
      upTo(80).map((n) => (n % 2 === 0 ? 'events:user:octocat' : 'events:user')),
    );
    assert.deepEqual(
      idsOf(redis),
      upTo(80).map((n) => Math.floor(n / 2)),
    );
    assert.deepEqual(notifier.counts, { sent: 40, failed: 0, dropped: 0 });
  });

  test('a refused pair fails its event alone, also where both of its channels are refused', async () => {
    // Pairs 2 and 3 are the two channels of event 1, pair 8 is the channel of event 4.
    const refusal = '*4\r\n$24\r\nNOPERM no such channel..\r\n:2\r\n:3\r\n:8\r\n';
    const { notifier } = await upOn(when(isPublishing, refusal), { aggregateChannels: true });
    notifier.notify(10);
    await until(() => notifier.settled() === 10, 'settled');
    assert.deepEqual(notifier.counts, { sent: 8, failed: 2, dropped: 0 });
    assert.equal(notifier.notifier.state, 'up');
  });

  test('a notification that waited longer than it may is dropped and counted, not published', async () => {
    const { redis, notifier } = await upOn(when(isPublishing, 'silence'), {
      ageMaxMs: 80,
      times: { ...TIMES, answerTimeoutMs: 300 },
    });
    notifier.notify(1);
    await until(() => redis.published.length === 1, 'first flush');
    notifier.notify(5, 1);
    await sleep(120);
    redis.answer = () => undefined;
    redis.say('*0\r\n');
    notifier.notify(1, 6);
    await until(() => idsOf(redis).length === 2, 'second flush');
    assert.deepEqual(idsOf(redis), [0, 6]);
    await notifier.notifier.close(500);
    assert.deepEqual(notifier.counts, { sent: 2, failed: 0, dropped: 5 });
  });

  test('P2: a full queue gives up its oldest and counts them', async () => {
    const { redis, notifier } = await upOn(when(isPublishing, 'silence'), {
      queue: { countMax: 10, bytesMax: 1e6 },
    });
    notifier.notify(1);
    await until(() => redis.published.length === 1, 'first flush');
    notifier.notify(25, 1);
    redis.answer = () => undefined;
    redis.say('*0\r\n');
    await until(() => notifier.counts.sent === 11, 'sent');
    assert.deepEqual(idsOf(redis), [0, ...upTo(10, 16)]);
    await notifier.notifier.close(500);
    assert.deepEqual(notifier.counts, { sent: 11, failed: 0, dropped: 15 });
  });
});

describe('when Redis does not do as it should', () => {
  test('P2: a flush that is not answered is counted as failed, its connection destroyed, and it is not sent again', async () => {
    const { redis, notifier } = await upOn(when(isPublishing, 'silence'));
    notifier.notify(5);
    await until(() => notifier.counts.failed === 5, 'failed');
    redis.answer = () => undefined;
    await until(() => notifier.notifier.state === 'up', 'up again');
    await until(() => redis.openConnections === 1, 'the first connection is gone');
    notifier.notify(5, 5);
    await until(() => notifier.counts.sent === 5, 'sent');
    assert.deepEqual(idsOf(redis), upTo(10));
    assert.deepEqual(notifier.states, [true, false, true]);
  });

  test('P2: a half-open connection is noticed while nothing is published', async () => {
    const { redis, notifier } = await upOn(() => 'silence');
    await until(() => notifier.notifier.state === 'down', 'down');
    redis.answer = () => undefined;
    await until(() => notifier.notifier.state === 'up', 'up again');
  });

  test('P2: a server that accepts and says nothing holds one connection, and no more than the queue', async () => {
    const redis = await startRedis(() => 'silence');
    const notifier = open(redis.url, { queue: { countMax: 100, bytesMax: 1e6 } });
    await until(() => redis.connections >= 3, 'several attempts');
    notifier.notify(1000);
    await notifier.notifier.close(50);
    assert.deepEqual(notifier.counts, { sent: 0, failed: 1000, dropped: 0 });
    await until(() => redis.openConnections === 0, 'no connection left');
    assert.deepEqual(notifier.states, [false]);
  });

  for (const [fault, answer] of Object.entries({
    'closes on each publish': 'close',
    'answers nonsense': 'HTTP/1.1 400 Bad Request\r\n\r\n',
    'answers something else than the script': '+OK\r\n',
    'answers with positions that do not exist': '*2\r\n+ERR\r\n:64000\r\n',
    'answers with an error': '-LOADING Redis is loading the dataset in memory\r\n',
    'answers twice': '*0\r\n*0\r\n',
  })) {
    test(`P2: a server that ${fault} does no harm, and all is counted`, async () => {
      const { redis, notifier } = await upOn(when(isPublishing, answer));
      notifier.notify(100);
      await until(() => notifier.settled() === 100, 'settled');
      if (fault !== 'answers twice') assert.equal(notifier.counts.sent, 0);
      redis.answer = () => undefined;
      await until(() => notifier.notifier.state === 'up', 'up');
      const { sent } = notifier.counts;
      notifier.notify(1, 100);
      await until(() => notifier.counts.sent === sent + 1, 'sent afterwards');
    });
  }

  test('P2: a server that refuses connections is asked again and again, and what waited is sent', async () => {
    const first = await ScriptedRedis.start();
    const { port, url } = first;
    await first.stop();
    const notifier = open(url, { times: { ...TIMES, backoffMaxMs: 30 } });
    await until(() => notifier.notifier.state === 'down', 'down');
    notifier.notify(3);
    const redis = await ScriptedRedis.start(port);
    opened.push({ redis });
    await until(() => notifier.counts.sent === 3, 'what was queued meanwhile is sent');
    assert.equal(notifier.log.length, 2, 'one line for down, one for up');
  });

  test('P2: a replica is treated as down: on it PUBLISH reaches nobody and says so to nobody', async () => {
    const asReplica = when(([name]) => name === 'ROLE', '*1\r\n$5\r\nslave\r\n');
    const { redis, notifier } = await upOn(asReplica);
    await until(() => notifier.notifier.state === 'down', 'down');
    notifier.notify(10);
    await sleep(100);
    assert.deepEqual(redis.published, []);
    await notifier.notifier.close(100);
    assert.deepEqual(notifier.counts, { sent: 0, failed: 10, dropped: 0 });
    assert.match(notifier.log[1]?.text ?? '', /its role is slave, not master/);
  });

  test('a Redis that loads its data is not taken as up', async () => {
    const redis = await startRedis(when(([name]) => name === 'PING', '-LOADING Redis is loading\r\n'));
    const notifier = open(redis.url);
    await until(() => redis.connections > 2, 'several attempts');
    assert.deepEqual(notifier.states, [false]);
    redis.answer = () => undefined;
    await until(() => notifier.notifier.state === 'up', 'up');
  });

  for (const refusal of [
    "NOPERM this user has no permissions to run the 'eval' command",
    "ERR unknown command 'EVAL'",
  ]) {
    test(`scripts refused with "${refusal}": plain commands instead, nothing lost, said once`, async () => {
      const redis = await startRedis(when(([name]) => name === 'EVAL', `-${refusal}\r\n`));
      const notifier = open(redis.url);
      await until(() => notifier.notifier.state === 'up', 'up');
      notifier.notify(100);
      await until(() => notifier.counts.sent === 100, 'sent');
      const plain = redis.commands
        .filter(([name]) => name === 'PUBLISH')
        .map(([, , message]) => message ?? '');
      assert.deepEqual(
        plain.map((message) => Number(JSON.parse(message).id)),
        upTo(100),
      );
      const { connections } = redis;
      redis.say('-ERR go away\r\n');
      await until(() => redis.connections > connections && notifier.notifier.state === 'up', 'up again');
      assert.equal(notifier.log.filter(({ text }) => text.includes('refuses scripts')).length, 1);
    });
  }

  test('scripts forbidden while it runs: falls back at the next look', async () => {
    const { redis, notifier } = await upOn(when(([name]) => name === 'EVAL', '-NOPERM no eval\r\n'));
    await until(() => notifier.log.some(({ text }) => text.includes('refuses scripts')), 'noticed');
    notifier.notify(2);
    await until(() => notifier.counts.sent === 2, 'sent');
    assert.equal(redis.commands.filter(([name]) => name === 'PUBLISH').length, 2);
  });
});

describe('what it keeps and says', () => {
  test('P2: keeps nothing of a request alive: neither the text that an id was cut from, nor more than the queue', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const notifier = open('redis://127.0.0.1:1', {
      queue: { countMax: 500, bytesMax: 1e6 },
      aggregateChannels: true,
    });
    const heapBytes = () => {
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = heapBytes();
    for (let n = 0; n < 100; n += 1) {
      const body = Buffer.alloc(500_000, `${n} body `).toString('latin1').toLowerCase();
      const cut = (at: number) => body.slice(at, at + 40);
      notifier.notifier.notify(
        { id: cut(0), type: cut(50), sourceType: cut(100), sourceId: cut(150) },
        performance.now(),
      );
    }
    const cutBytes = heapBytes() - before;
    assert.ok(cutBytes < 3e6, `${cutBytes} bytes for 100`);
    notifier.notify(50_000);
    const floodBytes = heapBytes() - before;
    assert.ok(floodBytes < 3e6, `${floodBytes} bytes for 50,000`);
  });

  test('P2: the log gets a line for each change of state and a summary, however long Redis is down', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const redis = await startRedis(() => 'close');
    const notifier = open(redis.url, { queue: { countMax: 500, bytesMax: 1e6 } });
    await until(() => redis.connections > 10, 'many attempts');
    for (let second = 0; second < 8; second += 1) {
      notifier.notify(1000);
      t.mock.timers.tick(1000);
    }
    assert.equal(notifier.counts.failed, 7500, 'counted while it lasts');
    assert.deepEqual(
      notifier.log.map(({ text }) => /is down|were not notified of some/.exec(text)?.[0]),
      ['is down', 'were not notified of some'],
    );
  });

  test('P2: attempts to connect have pauses between them', async () => {
    const redis = await startRedis(() => 'close');
    open(redis.url);
    await sleep(400);
    // 5 to 10 ms, 10 to 20, and from then on 20 to 40.
    assert.ok(redis.connections > 5 && redis.connections < 25, `${redis.connections} attempts`);
  });

  for (const [case_, answer] of Object.entries({
    accepted: '+OK\r\n',
    refused: '-WRONGPASS invalid username-password pair or user is disabled.\r\n',
    'answered by closing': 'close',
  })) {
    test(`a password that is ${case_} is in no log line`, async () => {
      const redis = await startRedis(when(([name]) => name === 'auth' || name === 'AUTH', answer));
      const url = redis.url.replace('//', '//us%2Fer:pass%3Aw0rd@');
      const notifier = open(url);
      await until(() => notifier.log.length > 0, 'a line');
      assert.deepEqual(redis.commands[0], ['auth', 'us/er', 'pass:w0rd']);
      const lines = notifier.log.map(({ text }) => text).join('\n');
      assert.doesNotMatch(lines, /w0rd|us.{1,3}er/);
      if (case_ === 'refused') assert.match(lines, /WRONGPASS/);
    });
  }

  for (const url of ['redis://u:s3cret@', 'http://u:s3cret@localhost', 'localhost:6379 s3cret', '']) {
    test(`refuses the URL ${JSON.stringify(url)} at once, without repeating it`, () => {
      assert.throws(
        () => open(url),
        (error: unknown) =>
          error instanceof TypeError &&
          !JSON.stringify([error, error.message, error.stack]).includes('s3cret'),
      );
    });
  }
});

describe('close', () => {
  test('P7: publishes what is queued, then disconnects', async () => {
    const { redis, notifier } = await upOn();
    notifier.notify(3000);
    await Promise.all([notifier.notifier.close(2000), notifier.notifier.close(2000)]);
    assert.deepEqual(notifier.counts, { sent: 3000, failed: 0, dropped: 0 });
    assert.deepEqual(idsOf(redis), upTo(3000));
    assert.equal(notifier.notifier.state, 'closed');
    await until(() => redis.openConnections === 0, 'disconnected');
    notifier.notify(1);
    assert.deepEqual(notifier.counts, { sent: 3000, failed: 0, dropped: 1 });
  });

  test('P7: waits for a first connection that is on its way', async () => {
    const redis = await startRedis();
    const notifier = open(redis.url);
    notifier.notify(3);
    await notifier.notifier.close(2000);
    assert.deepEqual(notifier.counts, { sent: 3, failed: 0, dropped: 0 });
  });

  test('P7: keeps to its deadline, and counts what is left', async () => {
    const { redis, notifier } = await upOn(when(isPublishing, 'silence'), {
      times: { ...TIMES, answerTimeoutMs: 5000 },
    });
    notifier.notify(1);
    await until(() => redis.published.length === 1, 'in flight');
    notifier.notify(10, 1);
    const startedAt = performance.now();
    await notifier.notifier.close(100);
    assert.ok(performance.now() - startedAt < 400);
    assert.equal(notifier.settled(), 11);
    assert.equal(notifier.counts.sent, 0);
  });

  test('P7: does not wait for a Redis that is down', async () => {
    const notifier = open('redis://127.0.0.1:1');
    await until(() => notifier.notifier.state === 'down', 'down');
    notifier.notify(10);
    const startedAt = performance.now();
    await notifier.notifier.close(5000);
    assert.ok(performance.now() - startedAt < 200);
    assert.deepEqual(notifier.counts, { sent: 0, failed: 10, dropped: 0 });
  });
});
