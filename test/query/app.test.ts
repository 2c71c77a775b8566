import assert from 'node:assert/strict';
import { type AddressInfo, connect } from 'node:net';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { Client } from '../../src/client.ts';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { type AppOptions, buildApp } from '../../src/query/app.ts';
import type { EventIdentity, Look, Source } from '../../src/query/event-queries.ts';
import { entityTag, isKnown } from '../../src/query/tagged-answer.ts';
import { EPOCH, queryOptions } from '../fakes/query-options.ts';
import { RawClient } from '../raw-client.ts';

const EVENT = Buffer.from('{ "id":"e1", "data":12345678901234567890.10 }');
const opened: FastifyInstance[] = [];
after(() => Promise.all(opened.map((app) => app.close())));

async function open(changes: Partial<AppOptions> = {}): Promise<FastifyInstance> {
  const app = await buildApp(queryOptions(changes));
  opened.push(app);
  return app;
}

async function listen(changes: Partial<AppOptions> = {}): Promise<number> {
  const app = await open(changes);
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

const eventPath = ({ sourceType, sourceId, id }: EventIdentity) =>
  `/v1/sources/${sourceType}/${encodeURIComponent(sourceId)}/events/${encodeURIComponent(id)}`;
const PATH = eventPath({ sourceType: 'user', sourceId: 'octocat', id: 'e1' });
const LIST = '/v1/sources/user/octocat/events';

describe('GET of one event', () => {
  it('answers with exactly the stored bytes', async () => {
    const app = await open({ readEvent: async () => EVENT });
    const { statusCode, headers, rawPayload } = await app.inject({ url: PATH });
    assert.equal(statusCode, 200);
    assert.deepEqual(rawPayload, EVENT);
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(headers['cache-control'], 'private, no-cache');
    assert.equal(headers.etag, entityTag(EVENT));
    const head = await app.inject({ method: 'HEAD', url: PATH });
    assert.deepEqual(
      [head.statusCode, head.payload, head.headers['content-length'], head.headers.etag],
      [200, '', String(EVENT.length), headers.etag],
    );
  });

  it('finds sources and ids of all characters that they may have', async () => {
    const asked: EventIdentity[] = [];
    const app = await open({
      readEvent: async (identity) => {
        asked.push(identity);
        return EVENT;
      },
    });
    const names = [
      'octocat/hello-world',
      'a%2Fb',
      '%',
      '%25',
      '100%',
      'a%00b',
      '/',
      '//',
      'a!b=c',
      'a#b&c=d;e',
      'a+b',
      '..',
      'Zürich',
      '漢字',
      '😀',
      "'; drop table dual_stream.events; --".replaceAll(' ', '_'),
      '"quoted"',
      '{}',
      '$1',
    ];
    for (const name of names) {
      for (const identity of [
        { sourceType: 'repo', sourceId: name, id: 'e1' },
        { sourceType: 'repo', sourceId: 's', id: name },
      ]) {
        // What a URL would be made of, without its own idea of `..`.
        const { statusCode } = await app.inject({ url: eventPath(identity) });
        if (name === '..') continue;
        assert.equal(statusCode, 200, name);
        assert.deepEqual(asked.at(-1), identity);
      }
    }
    const largest = { sourceType: 'a'.repeat(64), sourceId: '😀'.repeat(256), id: '😀'.repeat(128) };
    assert.equal((await app.inject({ url: eventPath(largest) })).statusCode, 200);
    assert.deepEqual(asked.at(-1), largest);
  });

  it('reads a name of two dots from a client that sends it', async () => {
    let asked: EventIdentity | undefined;
    const port = await listen({
      readEvent: async (identity) => {
        asked = identity;
        return EVENT;
      },
    });
    const client = await RawClient.connect(port);
    client.write('GET /v1/sources/repo/../events/. HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await client.answer())?.status, 200);
    assert.deepEqual(asked, { sourceType: 'repo', sourceId: '..', id: '.' });
    client.destroy();
  });

  it('finds nothing at a path that can be no event, and asks nobody', async () => {
    const app = await open({ readEvent: () => assert.fail('asked') });
    for (const path of [
      '/v1/sources/User/octocat/events/e1',
      `/v1/sources/${'a'.repeat(65)}/octocat/events/e1`,
      '/v1/sources/user/a%20b/events/e1',
      '/v1/sources/user/a*/events/e1',
      '/v1/sources/user/%00/events/e1',
      '/v1/sources/user/a%5Cb/events/e1',
      `/v1/sources/user/${'a'.repeat(257)}/events/e1`,
      `/v1/sources/user/octocat/events/${'a'.repeat(129)}`,
      '/v1/sources/user/octocat/events/',
      '/v1/sources/user//events/e1',
      '/v1/sources//octocat/events/e1',
      '/v1/sources/user/octocat/events/e1/more',
    ]) {
      const { statusCode, json } = await app.inject({ url: path });
      assert.deepEqual([statusCode, json().code], [404, 'not-found'], path);
    }
    assert.equal(
      (await app.inject({ url: `/v1/sources/user/${'a'.repeat(3_073)}/events/e1` })).statusCode,
      414,
    );
  });

  it('answers other methods with 405 and OPTIONS with 204, whatever the path encodes', async () => {
    const app = await open();
    for (const path of [
      PATH,
      LIST,
      '/v1/sources/repo/a%2Fb%25%2F/events/x%2Fy',
      '/v1/sources/repo/a%2Fb/events',
    ]) {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'] as const) {
        const { statusCode, headers } = await app.inject({ method, url: path });
        assert.deepEqual([statusCode, headers.allow], [405, 'GET, HEAD, OPTIONS'], `${method} ${path}`);
      }
      const { statusCode, headers } = await app.inject({ method: 'OPTIONS', url: path });
      assert.deepEqual([statusCode, headers.allow], [204, 'GET, HEAD, OPTIONS'], path);
    }
    assert.equal(
      (await app.inject({ method: 'OPTIONS', url: '/v1/sources/repo/a%2Fb/more' })).statusCode,
      404,
    );
  });

  it('answers 304 to those who have it, with its tag and nothing else', async () => {
    const app = await open({ readEvent: async () => EVENT });
    const tag = entityTag(EVENT);
    for (const known of [tag, `W/${tag}`, `"other", W/"more" ,${tag}`, '*']) {
      const answer = await app.inject({ url: PATH, headers: { 'if-none-match': known } });
      assert.deepEqual([answer.statusCode, answer.payload, answer.headers.etag], [304, '', tag], known);
      assert.equal(answer.headers['cache-control'], 'private, no-cache');
      assert.equal(answer.headers['content-type'], undefined);
    }
    for (const other of ['"other"', tag.slice(1, -1), '', `"${tag}`]) {
      const answer = await app.inject({ url: PATH, headers: { 'if-none-match': other } });
      assert.equal(answer.statusCode, 200, other);
    }
    assert.equal(isKnown(undefined, tag), false);
  });

  it('waits only when it is asked to, and only for what is not there', async () => {
    const waits: number[] = [];
    let isThere = false;
    const app = await open({
      readEvent: async () => (isThere ? EVENT : 'absent'),
      awaitEvent: async (_identity, ms) => {
        waits.push(ms);
        isThere = true;
        return 'found';
      },
    });
    assert.equal((await app.inject({ url: PATH })).statusCode, 404);
    assert.equal((await app.inject({ url: `${PATH}?wait=0` })).statusCode, 404);
    assert.deepEqual(waits, []);
    assert.equal((await app.inject({ url: `${PATH}?wait=5` })).statusCode, 200);
    assert.equal((await app.inject({ url: `${PATH}?wait=5` })).statusCode, 200);
    assert.deepEqual(waits, [5_000]);
  });

  it('says how waiting ended', async () => {
    for (const [result, code] of [
      ['absent', 'not-found'],
      ['failed', 'store-unavailable'],
      ['busy', 'busy'],
    ] as const) {
      const app = await open({ awaitEvent: async () => result });
      const answer = await app.inject({ url: `${PATH}?wait=1` });
      assert.equal(answer.json().code, code);
    }
  });

  it('stops waiting when the client goes away, and keeps nothing of it', async () => {
    const ended: boolean[] = [];
    const budget = new BufferBudget({ bytesMax: 1024 * 1024, eventsMax: 0 });
    const port = await listen({
      budget,
      awaitEvent: (_identity, _ms, gone) =>
        new Promise((resolve) => {
          gone.addEventListener('abort', () => {
            ended.push(true);
            resolve('left');
          });
        }),
    });
    const clients = await Promise.all([RawClient.connect(port), RawClient.connect(port)]);
    for (const client of clients) client.write(`GET ${PATH}?wait=5 HTTP/1.1\r\nHost: a\r\n\r\n`);
    await delay(50);
    assert.ok(budget.bytes > 0);
    clients[0]?.destroy();
    clients[1]?.reset();
    await delay(50);
    assert.deepEqual([ended, budget.bytes], [[true, true], 0]);
  });

  it('reads what is sent as a body and keeps none of it, so that it hides no client that goes away', async () => {
    const { promise: left, resolve } = Promise.withResolvers<'left'>();
    const port = await listen({
      awaitEvent: (_identity, _ms, gone) => {
        gone.addEventListener('abort', () => resolve('left'));
        return left;
      },
    });
    const client = await RawClient.connect(port);
    const body = 'x'.repeat(300_000);
    client.write(`GET ${PATH}?wait=5 HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n${body}`);
    await delay(50);
    client.destroy();
    assert.equal(await Promise.race([left, delay(1_000, 'still waits', { ref: false })]), 'left');
    resolve('left');
  });

  it('lets those who wait go when the program stops', async () => {
    const { promise, resolve } = Promise.withResolvers<'left'>();
    const app = await open({ awaitEvent: () => promise, stopWaiting: () => resolve('left') });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const client = await RawClient.connect((app.server.address() as AddressInfo).port);
    client.write(`GET ${PATH}?wait=5 HTTP/1.1\r\nHost: a\r\n\r\n`);
    await delay(50);
    await app.close();
    const answer = await client.answer();
    assert.deepEqual(
      [answer?.status, JSON.parse(answer?.body ?? '{}').code, answer?.headers.get('connection')],
      [503, 'shutting-down', 'close'],
    );
    client.destroy();
  });
});

describe('GET of a list', () => {
  it('puts the stored bytes between its own', async () => {
    const values = [EVENT, Buffer.from('{"id" :"e0"}')];
    const app = await open({ readPage: async () => ({ epoch: EPOCH, values, before: 3n, after: 9n }) });
    const { statusCode, payload, headers, json } = await app.inject({ url: LIST });
    assert.equal(statusCode, 200);
    const { before, after: next } = json();
    assert.equal(payload, `{"events":[${values.join(',')}],"before":"${before}","after":"${next}"}`);
    const again = await app.inject({ url: LIST, headers: { 'if-none-match': String(headers.etag) } });
    assert.deepEqual([again.statusCode, again.payload], [304, '']);
  });

  it('hands on what was asked for, and takes its own cursors back', async () => {
    const looks: [Source, Look][] = [];
    const app = await open({
      readPage: async (source, look) => {
        looks.push([source, look]);
        return { epoch: EPOCH, values: [], before: 3n, after: 9n };
      },
    });
    const source = { sourceType: 'user', sourceId: 'octocat' };
    const ask = async (query: string) => (await app.inject({ url: `${LIST}?${query}` })).json();
    const first = await ask('limit=7');
    await ask(`before=${first.before}`);
    await ask(`after=${first.after}&limit=1000`);
    const typed = await ask('type=push');
    await ask(`type=push&before=${typed.before}`);
    const nothing = { from: undefined, type: undefined };
    assert.deepEqual(looks, [
      [source, { ...nothing, way: 'older', limit: 7 }],
      [source, { ...nothing, way: 'older', limit: 100, from: 3n }],
      [source, { ...nothing, way: 'newer', limit: 1_000, from: 9n }],
      [source, { ...nothing, way: 'older', limit: 100, type: 'push' }],
      [source, { way: 'older', limit: 100, type: 'push', from: 3n }],
    ]);
    for (const query of [`before=${typed.before}`, `type=pull&after=${first.after}`]) {
      const { code, errors } = await ask(query);
      assert.equal(code, 'invalid-request');
      assert.equal(errors[0].pointer, query.includes('before') ? '/before' : '/after');
    }
    const elsewhere = `/v1/sources/user/other/events?before=${first.before}`;
    assert.equal((await app.inject({ url: elsewhere })).statusCode, 422);
  });

  it('refuses parameters that are unknown, given twice, or not as they should be', async () => {
    const app = await open({ readPage: () => assert.fail('asked'), readEvent: () => assert.fail('asked') });
    for (const [query, pointer] of [
      ['limit=0', '/limit'],
      ['limit=1001', '/limit'],
      ['limit=-1', '/limit'],
      ['limit=1e1', '/limit'],
      ['limit=01', '/limit'],
      ['limit=1.0', '/limit'],
      ['limit=', '/limit'],
      ['limit=%2B1', '/limit'],
      ['limit=1&limit=2', '/limit'],
      ['type=', '/type'],
      ['type=a%20b', '/type'],
      ['type=a&type=a', '/type'],
      ['before=', '/before'],
      ['before=*', '/before'],
      ['before=AAAA', '/before'],
      [`after=${'A'.repeat(129)}`, '/after'],
      ['before=A&after=A', '/before'],
      ['more=1', ''],
      ['Limit=1', ''],
      ['__proto__=1', ''],
      ['wait=1', ''],
    ] as const) {
      const answer = await app.inject({ url: `${LIST}?${query}` });
      assert.deepEqual(
        [answer.statusCode, answer.json().code, answer.json().errors?.[0]?.pointer],
        [422, 'invalid-request', pointer],
        query,
      );
    }
    for (const query of ['wait=6', 'wait=-1', 'wait=1.5', 'wait=1s', 'wait=', 'wait=1&wait=1', 'limit=1']) {
      assert.equal((await app.inject({ url: `${PATH}?${query}` })).statusCode, 422, query);
    }
  });

  it('gives out no cursor of a store that has been replaced meanwhile', async () => {
    const app = await open({
      readPage: async () => ({ epoch: 'another', values: [], before: undefined, after: 0n }),
    });
    assert.equal((await app.inject({ url: LIST })).json().code, 'store-unavailable');
    const unknown = await open({ cursors: () => undefined });
    assert.equal((await unknown.inject({ url: LIST })).json().code, 'store-unavailable');
  });
});

/** An answer but for its date, to a request of always the same id. */
const answerTo = async (app: FastifyInstance, url: string, method: 'GET' | 'HEAD' = 'GET') => {
  const { statusCode, headers, payload } = await app.inject({
    method,
    url,
    headers: { 'x-request-id': 'same' },
  });
  return { statusCode, headers: { ...headers, date: undefined }, payload };
};

describe('the query API', () => {
  it('answers as if nothing were there where a client may not read', async () => {
    const users = new Client('users', ['events:read:user', 'events:write']);
    const foreign = await open({
      authentication: { clientOf: () => users },
      readEvent: async () => EVENT,
      readPage: async () => ({ epoch: EPOCH, values: [EVENT], before: undefined, after: 9n }),
      awaitEvent: () => assert.fail('waits'),
    });
    const everything = new Client('all', ['events:read']);
    const absent = await open({ authentication: { clientOf: () => everything } });
    for (const url of [PATH, `${PATH}?wait=5`]) {
      const there = url.replace('/user/', '/repo/');
      assert.deepEqual(await answerTo(foreign, there), await answerTo(absent, there));
      assert.deepEqual(await answerTo(foreign, there, 'HEAD'), await answerTo(absent, there, 'HEAD'));
      assert.equal((await answerTo(foreign, there)).statusCode, 404);
    }
    // Whether the source has events or not.
    const empty = await open({ authentication: { clientOf: () => users } });
    const list = LIST.replace('/user/', '/repo/');
    for (const url of [list, `${list}?limit=5&type=x`, `${list}?after=AAAA`]) {
      assert.deepEqual(await answerTo(foreign, url), await answerTo(empty, url));
      assert.deepEqual(await answerTo(foreign, url), await answerTo(absent, PATH));
    }
    assert.equal((await foreign.inject({ url: PATH })).statusCode, 200);
    assert.equal((await foreign.inject({ url: LIST })).statusCode, 200);
    const writer = await open({
      authentication: { clientOf: () => new Client('writer', ['events:write']) },
    });
    const refused = await writer.inject({ url: PATH });
    assert.equal(refused.statusCode, 403);
    assert.match(String(refused.headers['www-authenticate']), /scope="events:read"/);
  });

  it('has no room for more than its buffer, and gives all of it back', async () => {
    const large = Buffer.alloc(300_000, ' ');
    const budget = new BufferBudget({ bytesMax: 100_000, eventsMax: 0 });
    const app = await open({ budget, readEvent: async () => large });
    const { statusCode, headers, json } = await app.inject({ url: PATH });
    assert.deepEqual([statusCode, json().code, headers['retry-after']], [503, 'busy', '7']);
    assert.equal((await app.inject({ method: 'HEAD', url: PATH })).statusCode, 503);
    const none = await open({ budget: new BufferBudget({ bytesMax: 0, eventsMax: 0 }) });
    for (const url of [PATH, LIST]) assert.equal((await none.inject({ url })).json().code, 'busy');
    await delay(10);
    assert.equal(budget.bytes, 0);
  });

  it('closes the connection of a large answer that does not leave in its time, and keeps nothing of it', async () => {
    const budget = new BufferBudget({ bytesMax: 64 * 1024 * 1024, eventsMax: 0 });
    const large = Buffer.alloc(16 * 1024 * 1024, ' ');
    const port = await listen({ budget, leaveTimeoutMs: 300, readEvent: async () => large });
    const slow = connect({ port, host: '127.0.0.1' }).on('error', () => {});
    after(() => slow.destroy());
    slow.write(`GET ${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`);
    // It reads all the time, so that it is never idle.
    const trickle = setInterval(() => slow.read(1_000), 10);
    await delay(150);
    assert.ok(budget.bytes > large.length);
    await delay(400);
    clearInterval(trickle);
    assert.equal(budget.bytes, 0);
  });

  it('keeps the connection of a large answer that has left', async () => {
    const large = Buffer.alloc(100_000, ' ');
    const port = await listen({ leaveTimeoutMs: 100, readEvent: async () => large });
    const client = await RawClient.connect(port);
    for (let count = 0; count < 2; count += 1) {
      client.write(`GET ${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`);
      assert.equal((await client.answer())?.body.length, large.length);
      await delay(200);
    }
    client.destroy();
  });

  it('answers a bug with 500 and the store with 503, and shows nothing of either', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line) => void lines.push(line) });
    const broken = await open({
      log,
      readEvent: async () => {
        throw new Error('SECRET');
      },
      readPage: async () => 'store-unavailable',
    });
    const bug = await broken.inject({ url: PATH });
    assert.equal(bug.statusCode, 500);
    assert.doesNotMatch(bug.payload, /SECRET/);
    for (let count = 0; count < 20; count += 1) {
      const { statusCode, headers } = await broken.inject({ url: LIST });
      assert.deepEqual([statusCode, headers['retry-after']], [503, '7']);
    }
    assert.equal(lines.filter((line) => line.includes('store-unavailable')).length, 1);
  });

  it('counts its requests by route, never by name', async () => {
    const app = await open({ readEvent: async () => EVENT });
    await app.inject({ url: PATH });
    await app.inject({ url: LIST });
    const { payload } = await app.inject({ url: '/metrics' });
    assert.ok(payload.includes('http_route="/v1/sources/:source_type/:source_id/events/:id"'));
    assert.ok(!payload.includes('octocat'));
    for (const name of [
      'dual_stream_connections_limit 1000',
      'dual_stream_store_query_duration_seconds_count 0',
      'dual_stream_query_waits_total{result="found"} 0',
    ]) {
      assert.ok(payload.includes(name), name);
    }
  });
});
