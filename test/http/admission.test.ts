import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Verdict } from '../../src/authentication.ts';
import { Client } from '../../src/client.ts';
import { systemClock } from '../../src/clock.ts';
import { nameOf } from '../../src/http/admission.ts';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { RateLimiter } from '../../src/http/rate-limits.ts';
import { type AppOptions, buildApp } from '../../src/ingest/app.ts';
import { appOptions } from '../fakes/app-options.ts';
import { RawClient } from '../raw-client.ts';

const MiB = 1024 * 1024;
const WRITER = new Client('writer', ['events:write']);
const USERS = new Client('users', ['events:write:user']);

let budget: BufferBudget;
let published: string[];
let options: AppOptions;
let verdict: (authorization: string | undefined) => Verdict | Promise<Verdict>;
const opened: FastifyInstance[] = [];
const limiters: RateLimiter[] = [];

beforeEach(() => {
  budget = new BufferBudget({ bytesMax: 64 * MiB, eventsMax: 1_000 });
  published = [];
  verdict = (authorization) => (authorization === undefined ? 'missing' : WRITER);
  options = appOptions({
    publish({ events, hold, settled }) {
      published.push(...events.map(({ id }) => id));
      hold.close();
      settled(events.map((_, offset) => ({ status: 'stored', partition: 0, offset })));
    },
    authentication: { clientOf: (authorization) => verdict(authorization) },
    budget,
  });
});
afterEach(() => {
  for (const limiter of limiters.splice(0)) limiter.close();
});
after(() => Promise.all(opened.map((app) => app.close())));

async function open(changes: Partial<AppOptions> = {}): Promise<FastifyInstance> {
  const app = await buildApp({ ...options, ...changes });
  opened.push(app);
  return app;
}

async function listen(changes: Partial<AppOptions> = {}): Promise<number> {
  const app = await open(changes);
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

function limited(requestsPerSecond: number | undefined, bytesPerSecond?: number): RateLimiter {
  const limiter = new RateLimiter({ requestsPerSecond, bytesPerSecond }, systemClock);
  limiters.push(limiter);
  return limiter;
}

const event = (id: string, sourceType = 'user') =>
  `{"id":"${id}","type":"t","source_type":"${sourceType}","source_id":"s"}`;
const request = (body: string, headers = '') =>
  `POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
const AUTHORIZED = 'Authorization: Bearer x\r\n';

async function statusesOf(client: RawClient, count: number): Promise<(number | undefined)[]> {
  const statuses: (number | undefined)[] = [];
  // oxlint-disable-next-line no-await-in-loop -- they come one after the other
  for (let index = 0; index < count; index += 1) statuses.push((await client.answer())?.status);
  return statuses;
}

describe('admission', () => {
  it('refuses before the body has come, and understands what follows it on the connection', async () => {
    const client = await RawClient.connect(await listen());
    const [head, body] = request(event('refused')).split('\r\n\r\n');
    client.write(`${head}\r\n\r\n`);
    assert.equal((await client.answer())?.status, 401);
    client.write(`${body}${request(event('taken'), AUTHORIZED)}`);
    assert.equal((await client.answer())?.status, 201);
    assert.deepEqual(published, ['taken']);
    client.destroy();
  });

  it('holds nothing for those it refuses', async () => {
    const client = await RawClient.connect(await listen());
    client.write(request(event('a')).repeat(20));
    assert.deepEqual(new Set(await statusesOf(client, 20)), new Set([401]));
    await delay(10);
    assert.equal(budget.bytes, 0);
    client.destroy();
  });

  it('takes two headers for none, as another may read the one that Node drops', async () => {
    const client = await RawClient.connect(await listen());
    client.write(request(event('a'), AUTHORIZED + AUTHORIZED));
    assert.equal((await client.answer())?.status, 401);
    client.destroy();
  });

  it('keeps probes and problem pages open to everybody', async () => {
    const app = await open();
    for (const url of ['/livez', '/readyz', '/problems/unauthorized', '/metrics']) {
      assert.equal((await app.inject({ url })).statusCode, 200, url);
    }
  });

  it('lets a client send what it may, event by event', async () => {
    verdict = () => USERS;
    const app = await open();
    const post = (url: string, payload: string) =>
      app.inject({ method: 'POST', url, headers: { 'content-type': 'application/json' }, payload });
    const one = await post('/v1/events', event('one', 'repo'));
    assert.equal(one.statusCode, 403);
    assert.deepEqual((({ code, id, errors }) => ({ code, id, pointer: errors[0].pointer }))(one.json()), {
      code: 'forbidden',
      id: 'one',
      pointer: '/source_type',
    });
    const some = await post('/v1/events/batch', `[${event('a')},${event('b', 'repo')},${event('c')},{}]`);
    assert.equal(some.statusCode, 207);
    assert.deepEqual(
      some.json().results.map(({ status, code, pointer }: Record<string, string>) => [status, code, pointer]),
      [
        ['stored', undefined, undefined],
        ['refused', 'forbidden', '/source_type'],
        ['stored', undefined, undefined],
        ['refused', 'invalid-event', '/type'],
      ],
    );
    assert.equal(
      (await post('/v1/events/batch', `[${event('d', 'repo')},${event('e', 'org')}]`)).statusCode,
      403,
    );
    const aborted = await post('/v1/events/batch?on_refused=abort', `[${event('f')},${event('g', 'repo')}]`);
    assert.equal(aborted.statusCode, 422);
    assert.deepEqual(published, ['a', 'c']);
    assert.equal(budget.bytes, 0);
  });

  it('P6: keeps the order of a connection, however long each check takes', async () => {
    const waits = [60, 5, 30, 0];
    verdict = async () => {
      await delay(waits.shift() ?? 0);
      return WRITER;
    };
    const client = await RawClient.connect(await listen());
    client.write(['a', 'b', 'c', 'd'].map((id) => request(event(id), AUTHORIZED)).join(''));
    assert.deepEqual(await statusesOf(client, 4), [201, 201, 201, 201]);
    assert.deepEqual(published, ['a', 'b', 'c', 'd']);
    client.destroy();
  });

  it('P6: an answer that is there at once waits for the check before it', async () => {
    const port = await listen();
    let isFirst = true;
    verdict = () => {
      if (!isFirst) return WRITER;
      isFirst = false;
      return delay(40).then(() => WRITER);
    };
    const client = await RawClient.connect(port);
    client.write(request(event('first'), AUTHORIZED) + request(event('second'), AUTHORIZED));
    assert.deepEqual(await statusesOf(client, 2), [201, 201]);
    assert.deepEqual(published, ['first', 'second']);
    client.destroy();
  });

  it('P3: counts what it may take in while it checks, and refuses when there is no room', async () => {
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    verdict = () => promise;
    // A quarter of it is for what is arriving: room for two bodies of which nobody knows how long they are.
    budget = new BufferBudget({ bytesMax: 600 * 1024, eventsMax: 1_000 });
    const port = await listen({ budget });
    const clients = await Promise.all(Array.from({ length: 3 }, () => RawClient.connect(port)));
    const body = event('a');
    const chunked = `POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${AUTHORIZED}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    for (const client of clients) client.write(chunked);
    const refused = await Promise.race(clients.map((client) => client.answer()));
    assert.equal(refused?.status, 503);
    assert.ok(budget.bytes >= 2 * 64 * 1024);
    const small = await RawClient.connect(port);
    small.write(request(event('small'), AUTHORIZED)); // it says how little it is
    await delay(20);
    resolve(WRITER);
    assert.equal((await small.answer())?.status, 201);
    await delay(50);
    assert.deepEqual(published.toSorted(), ['a', 'a', 'small']);
    assert.equal(budget.bytes, 0);
    for (const client of [...clients, small]) client.destroy();
  });

  it('does nothing for those who left while they were checked', async () => {
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    verdict = () => promise;
    const port = await listen();
    const client = await RawClient.connect(port);
    client.write(request(event('gone'), AUTHORIZED).slice(0, -5));
    const whole = await RawClient.connect(port);
    whole.write(request(event('whole'), AUTHORIZED));
    await delay(20);
    client.destroy();
    whole.reset();
    await delay(20);
    resolve(WRITER);
    await delay(20);
    assert.deepEqual(published, []);
    assert.equal(budget.bytes, 0);
  });
});

const named = (address: string) =>
  nameOf({ client: undefined, raw: { socket: { remoteAddress: address } } } as never);

describe('the name of a client that has none', () => {
  it('is its address, and of an IPv6 one the network', () => {
    assert.equal(named('192.0.2.7'), '192.0.2.7');
    assert.equal(named('::ffff:192.0.2.7'), '::ffff:192.0.2.7');
    assert.equal(named('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
    assert.equal(named('2001:db8:1:2::6'), '2001:db8:1:2');
    assert.equal(named('2001:db8::6'), '2001:db8:0:0');
    assert.equal(named('2001:db8::3:4:5:6'), '2001:db8:0:0');
    assert.equal(named('::1'), '0:0:0:0');
  });
});

describe('limits on what a client sends', () => {
  it('answer 429 before the body is read, and tell each answer what is left', async () => {
    const app = await open({ rateLimiter: limited(1) });
    const post = () =>
      app.inject({
        method: 'POST',
        url: '/v1/events',
        headers: { 'content-type': 'application/json', authorization: 'Bearer x' },
        payload: event('a'),
      });
    const answers = [];
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    for (let index = 0; index < 11; index += 1) answers.push(await post());
    assert.deepEqual(
      answers.map(({ statusCode }) => statusCode),
      [...Array.from({ length: 10 }, () => 201), 429],
    );
    assert.equal(answers[3]?.headers['ratelimit-policy'], '"requests";q=10;w=10');
    assert.match(String(answers[3]?.headers.ratelimit), /^"requests";r=6;t=\d+$/);
    assert.equal(answers[10]?.headers['retry-after'], '1');
    assert.equal(published.length, 10);
  });

  it('count the bytes of bodies as they arrive', async () => {
    const app = await open({ rateLimiter: limited(undefined, 1_024) });
    const post = (bytes: number) =>
      app.inject({
        method: 'POST',
        url: '/v1/events',
        headers: { 'content-type': 'application/json', authorization: 'Bearer x' },
        payload: event('a').padEnd(bytes),
      });
    assert.equal((await post(11_000)).statusCode, 201);
    const refused = await post(100);
    assert.equal(refused.statusCode, 429);
    assert.ok(Number(refused.headers['retry-after']) >= 1);
  });

  it('are by address where everybody may send, and headers change nothing about that', async () => {
    const port = await listen({ authentication: undefined, rateLimiter: limited(1) });
    const client = await RawClient.connect(port);
    const other = await RawClient.connect(port);
    for (let index = 0; index < 6; index += 1) {
      client.write(
        request(event('a'), `X-Forwarded-For: 10.0.0.${index}\r\nForwarded: for=10.0.1.${index}\r\n`),
      );
      other.write(request(event('b'), `X-Real-IP: 10.0.0.${index}\r\n`));
    }
    const statuses = (await Promise.all([statusesOf(client, 6), statusesOf(other, 6)])).flat();
    assert.equal(statuses.filter((status) => status === 429).length, 2);
    client.destroy();
    other.destroy();
  });

  it('are not used up by those who are refused', async () => {
    const app = await open({ rateLimiter: limited(1) });
    const post = (headers: Record<string, string>) =>
      app.inject({
        method: 'POST',
        url: '/v1/events',
        headers: { 'content-type': 'application/json', ...headers },
        payload: event('a'),
      });
    for (let index = 0; index < 20; index += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      assert.equal((await post({})).statusCode, 401);
    }
    assert.equal((await post({ authorization: 'Bearer x' })).statusCode, 201);
  });
});
