import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { errors } from '../../src/errors.ts';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { managementApp } from '../../src/http/management-app.ts';
import { type AppOptions, buildApp, probeOptions } from '../../src/ingest/app.ts';
import type { PublishRequest } from '../../src/ingest/dual-publisher.ts';
import { IngestMetrics } from '../../src/ingest/metrics.ts';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { appOptions } from '../fakes/app-options.ts';
import { RawClient } from '../raw-client.ts';

const EVENT = '{"id":"e1","type":"t","source_type":"user","source_id":"octocat"}';
const STORED: Outcome = { status: 'stored', partition: 3, offset: 42 };
const JSON_TYPE = { 'content-type': 'application/json' };

const MiB = 1024 * 1024;
let budget: BufferBudget;
let metrics: IngestMetrics;
let logged: Record<string, unknown>[];
let published: PublishRequest[];
/** What the publisher does with a request; as the real one, it closes the hold. */
let outcome: Outcome | 'pending' | 'throw';
let options: AppOptions;
let app: FastifyInstance;
const opened: FastifyInstance[] = [];

beforeEach(async () => {
  budget = new BufferBudget({ bytesMax: 64 * MiB, eventsMax: 100 });
  metrics = new IngestMetrics();
  logged = [];
  published = [];
  outcome = STORED;
  options = appOptions({
    publish(request) {
      if (outcome === 'throw') throw new Error('SECRET of the publisher');
      published.push(request);
      if (outcome !== 'pending') settle(request, outcome);
    },
    budget,
    metrics,
    log: pino({ level: 'debug' }, { write: (line) => void logged.push(JSON.parse(line)) }),
  });
  app = await open(options);
});
after(() => Promise.all(opened.map((instance) => instance.close())));

async function open(given: AppOptions): Promise<FastifyInstance> {
  const instance = await buildApp(given);
  opened.push(instance);
  return instance;
}

function settle(request: PublishRequest, result: Outcome): void {
  request.hold.close();
  request.settled(request.events.map(() => result));
}

async function listen(): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

const post = (payload: string | Buffer = EVENT, headers: Record<string, string> = JSON_TYPE) =>
  app.inject({ method: 'POST', url: '/v1/events', headers, payload });

const rawPost = (body = EVENT, headers = 'Content-Type: application/json\r\n') =>
  `POST /v1/events HTTP/1.1\r\nHost: a\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

const rawBatch = (body: string) => rawPost(body).replace('/v1/events', '/v1/events/batch');

const rawBrotli = (body: string) =>
  rawPost(
    brotliCompressSync(body).toString('latin1'),
    'Content-Type: application/json\r\nContent-Encoding: br\r\n',
  );

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 3_000;
  while (!isSo()) {
    assert.ok(performance.now() < deadline, `waited in vain until ${isSo}`);
    await delay(1);
  }
}

const CHUNKED =
  'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';

const named = (id: string) => EVENT.replace('e1', id);

const padded = (bytes: number) => EVENT.padEnd(bytes, ' ');

async function requestIdFor(id: string) {
  return (await app.inject({ url: '/livez', headers: { 'x-request-id': id } })).headers['x-request-id'];
}

/** What is left of it after the request was read. */
const assertWait = (waitMs = Number.NaN, ofMs: number) =>
  assert.ok(waitMs <= ofMs && waitMs > ofMs - 900, `${waitMs}`);

const answersOf = (method: string, route: string, status: number) =>
  `http_server_request_duration_seconds_count{http_request_method="${method}",http_route="${route}",http_response_status_code="${status}"}`;

async function counted(metric: string): Promise<number> {
  const line = (await metrics.text()).split('\n').find((text) => text.startsWith(`${metric} `));
  return Number(line?.split(' ')[1] ?? 0);
}

describe('POST /v1/events', () => {
  it('P1: answers 201 with the position, and not before the event is settled', async () => {
    outcome = 'pending';
    let isAnswered = false;
    const answer = post().then((response) => {
      isAnswered = true;
      return response;
    });
    await until(() => published.length === 1);
    await delay(30);
    assert.equal(isAnswered, false);

    settle(published[0] as PublishRequest, STORED);
    const response = await answer;
    assert.equal(response.statusCode, 201);
    assert.equal(response.headers['content-type'], 'application/json; charset=utf-8');
    assert.deepEqual(response.json(), { id: 'e1', status: 'stored', partition: 3, offset: 42 });
  });

  it('answers 500 when the answer cannot be written, and goes on', async () => {
    outcome = 'pending';
    const answer = post();
    await until(() => published.length === 1);
    settle(published[0] as PublishRequest, { status: 'unknown', code: 'no such code' as never });
    const response = await answer;
    assert.equal(response.statusCode, 500);
    assert.equal(response.json().code, 'internal-error');
  });

  it('publishes what was sent, for as long as the publish timeout', async () => {
    await post(`  ${EVENT.replace('"id":"e1",', '')}`);
    const { events, timeoutMs } = published[0] as PublishRequest;
    const [event] = events;
    assertWait(timeoutMs, 15_000);
    assert.equal(events.length, 1);
    assert.match(event?.head ?? '', /^\{"id":"[0-9a-f-]{36}","time":"20..-..-..T..:..:..\....Z",$/);
    assert.equal(event?.tail.toString(), '"type":"t","source_type":"user","source_id":"octocat"}');
  });

  const outcomes: [Outcome, number, string | undefined][] = [
    [{ status: 'refused', code: 'event-too-large' }, 413, undefined],
    [{ status: 'not_stored', code: 'kafka-unavailable' }, 503, '7'],
    [{ status: 'not_stored', code: 'topic-forbidden' }, 503, '7'],
    [{ status: 'unknown', code: 'outcome-unknown' }, 504, undefined],
  ];
  for (const [result, status, retryAfter] of outcomes) {
    const code = 'code' in result ? result.code : '';
    it(`P4: answers ${status} ${code} with the id, and counts it once`, async () => {
      outcome = result;
      const response = await post();
      assert.equal(response.statusCode, status);
      assert.equal(response.headers['content-type'], 'application/problem+json');
      assert.equal(response.headers['retry-after'], retryAfter);
      assert.deepEqual(response.json(), {
        type: `/problems/${code}`,
        title: errors[code as keyof typeof errors].title,
        status,
        detail: errors[code as keyof typeof errors].explanation,
        code,
        retryable: errors[code as keyof typeof errors].retryable,
        request_id: response.headers['x-request-id'],
        id: 'e1',
      });
      assert.equal(await counted(`dual_stream_refused_total{reason="${code}"}`), 1);
      assert.equal(await counted('dual_stream_events_total{outcome="refused"}'), 0); // that is the publisher's
    });
  }

  it('P4: refuses what is not an event, with its faults and its id, and publishes nothing', async () => {
    const response = await post('{"id":"e1","type":"a b","source_type":"user","source_id":"octocat"}');
    assert.equal(response.statusCode, 422);
    const problem = response.json();
    assert.equal(problem.code, 'invalid-event');
    assert.equal(problem.id, 'e1');
    assert.deepEqual(
      problem.errors.map((fault: { pointer: string }) => fault.pointer),
      ['/type'],
    );
    assert.equal(published.length, 0);
    assert.equal(budget.bytes, 0);
    assert.equal(await counted('dual_stream_events_total{outcome="refused"}'), 1);
    assert.equal(await counted('dual_stream_refused_total{reason="invalid-event"}'), 1);
  });

  it('P3: counts the body while the event is being published, and nothing afterwards', async () => {
    outcome = 'pending';
    const body = `{"data":"${'x'.repeat(100_000)}",${EVENT.slice(1)}`;
    const answer = post(body);
    await until(() => published.length === 1);
    assert.ok(budget.bytes > body.length && budget.bytes < body.length + 10_000);
    settle(published[0] as PublishRequest, STORED);
    await answer;
    assert.equal(budget.bytes, 0);
  });

  it('P3: answers 503 when the buffer has no room, and holds nothing', async () => {
    for (const bytesMax of [0, 12_000]) {
      budget = new BufferBudget({ bytesMax, eventsMax: 100 });
      app = await open({ ...options, budget });
      const response = await post(`{"data":"${'x'.repeat(10_000)}",${EVENT.slice(1)}`);
      assert.equal(response.statusCode, 503);
      assert.equal(response.json().code, 'buffer-full');
      assert.equal(response.headers['retry-after'], '7');
      assert.equal(budget.bytes, 0);
    }
    assert.equal(await counted('dual_stream_events_total{outcome="not_stored"}'), 2);
  });

  it('takes a body of BODY_MAX_BYTES, and none that is larger', async () => {
    assert.equal((await post(padded(MiB))).statusCode, 201);
    const response = await post(padded(MiB + 1));
    assert.equal(response.statusCode, 413);
    assert.equal(response.json().code, 'body-too-large');
    assert.equal(budget.bytes, 0);
  });

  const unsupported: Record<string, string>[] = [
    {},
    { 'content-type': 'text/plain' },
    { 'content-type': 'application/jsonx' },
    { 'content-type': 'application/x-ndjson' },
    { 'content-type': 'application/problem+json' },
    { 'content-type': 'nonsense' },
    { 'content-type': 'application/json, application/json' },
    { 'content-type': 'application/json; charset=utf-16' },
    { 'content-type': 'application/json; charset="iso-8859-1"' },
    { 'content-type': 'application/json; charset=utf-8; charset=utf-16' },
    { 'content-type': 'application/json; charset=' },
  ];
  for (const headers of unsupported) {
    it(`answers 415 for ${JSON.stringify(headers)}`, async () => {
      const response = await post(EVENT, headers);
      assert.equal(response.statusCode, 415);
      assert.equal(response.json().code, 'unsupported-media-type');
      assert.equal(published.length, 0);
      assert.equal(budget.bytes, 0);
    });
  }

  for (const headers of [
    { 'content-type': 'Application/JSON' },
    { 'content-type': 'application/json; charset=utf-8' },
    { 'content-type': 'application/json;charset="UTF-8"' },
    { 'content-type': 'application/json; version=1' },
    { ...JSON_TYPE, 'content-encoding': 'Identity' },
  ] as Record<string, string>[]) {
    it(`takes ${JSON.stringify(headers)}`, async () =>
      assert.equal((await post(EVENT, headers)).statusCode, 201));
  }

  for (const [coding, encode] of [
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['GZIP, identity', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ] as const) {
    it(`takes a body in ${coding}, and publishes what it was`, async () => {
      const response = await post(encode(EVENT), { ...JSON_TYPE, 'content-encoding': coding });
      assert.equal(response.statusCode, 201);
      const [event] = (published[0] as PublishRequest).events;
      assert.equal(event?.tail.toString(), EVENT.slice(1));
      assert.equal(budget.bytes, 0);
    });
  }

  for (const coding of ['x', 'compress', 'gzip, br', 'gzip, gzip', 'toString', 'gzip;q=1']) {
    it(`answers 415 for the coding ${coding}, and says which there are`, async () => {
      const response = await post(EVENT, { ...JSON_TYPE, 'content-encoding': coding });
      assert.equal(response.statusCode, 415);
      assert.equal(response.json().code, 'unsupported-encoding');
      assert.equal(response.headers['accept-encoding'], 'gzip, deflate, br, zstd');
      assert.equal(published.length, 0);
    });
  }

  it('refuses what its coding makes larger than a body may be', async () => {
    const response = await post(gzipSync(padded(MiB + 1)), { ...JSON_TYPE, 'content-encoding': 'gzip' });
    assert.equal(response.statusCode, 413);
    assert.equal(response.json().code, 'body-too-large');
    assert.equal(budget.bytes, 0);
  });

  it('P5: what waiting for the decoder takes is part of the wait', async () => {
    const large = brotliCompressSync(padded(MiB));
    const headers = { ...JSON_TYPE, 'content-encoding': 'br' };
    await Promise.all(Array.from({ length: 20 }, () => post(large, headers)));
    const waits = published.map(({ timeoutMs }) => timeoutMs);
    assert.ok((waits.at(-1) ?? 0) < (waits[0] ?? 0) - 10, waits.join(' '));
  });

  it('takes an empty body for empty, whatever its coding', async () => {
    const response = await post('', { ...JSON_TYPE, 'content-encoding': 'gzip' });
    assert.equal(response.json().code, 'empty-body');
  });

  const preferences: [string, number, string | undefined][] = [
    ['wait=3', 3_000, 'wait=3'],
    ['return=minimal, WAIT = "2"; x=y', 2_000, 'wait=2'],
    ['wait=1, wait=9', 1_000, 'wait=1'],
    ['wait=15', 15_000, 'wait=15'],
    ['wait=16', 15_000, undefined],
    ['wait=0', 15_000, undefined],
    ['wait=1.5', 15_000, undefined],
    ['wait=-1', 15_000, undefined],
    ['waits=1', 15_000, undefined],
    ['x="wait=1"', 15_000, undefined],
    ['', 15_000, undefined],
  ];
  for (const [prefer, timeoutMs, applied] of preferences) {
    it(`P5: with Prefer ${JSON.stringify(prefer)} waits ${timeoutMs} ms at most`, async () => {
      const response = await post(EVENT, { ...JSON_TYPE, prefer });
      assertWait(published[0]?.timeoutMs, timeoutMs);
      assert.equal(response.headers['preference-applied'], applied);
    });
  }

  it('answers a fault of its own with 500, tells nothing of it, logs it once, and holds nothing', async () => {
    outcome = 'throw';
    const response = await post();
    assert.equal(response.statusCode, 500);
    assert.equal(response.json().code, 'internal-error');
    assert.ok(!response.payload.includes('SECRET'));
    assert.equal(budget.bytes, 0);
    const lines = logged.filter((line) => JSON.stringify(line).includes('SECRET of the publisher'));
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.request_id, response.headers['x-request-id']);
  });

  it('logs failed requests at a limited rate, and nothing of what was sent', async () => {
    outcome = { status: 'not_stored', code: 'kafka-unavailable' };
    for (let count = 0; count < 50; count += 1) await post();
    assert.deepEqual(
      logged.map(({ code }) => code),
      ['kafka-unavailable'],
    );
    assert.ok(!JSON.stringify(logged).includes('octocat'));
  });
});

describe('every answer', () => {
  it('carries a request id: the one that was sent, if it is harmless, or a new one', async () => {
    assert.equal(await requestIdFor('abc-1:2.3_4'), 'abc-1:2.3_4');
    const replaced = await Promise.all(['', 'a b', 'a"b', 'x'.repeat(65), '<script>', 'ü'].map(requestIdFor));
    assert.equal(new Set(replaced).size, 6);
    for (const id of replaced) assert.match(String(id), /^[0-9a-f]{10}-[0-9a-z]+$/);
  });

  it('is counted by method, route and status', async () => {
    await post();
    await app.inject({ url: '/no/such/path' });
    assert.equal(await counted(answersOf('POST', '/v1/events', 201)), 1);
    assert.equal(await counted(answersOf('GET', 'unmatched', 404)), 1);
  });

  it('is a problem for unknown paths', async () => {
    for (const url of [
      '/',
      '/v1',
      '/v1/events/',
      '/v1/event',
      '/V1/EVENTS',
      '/problems/',
      '/docs/static/none',
      '/problems/constructor',
    ]) {
      const response = await app.inject({ url });
      assert.equal(response.statusCode, 404, url);
      assert.equal(response.json().code, 'not-found', url);
    }
  });

  it('is a problem with Allow for methods that a path does not have', async () => {
    const cases: [string, string, string][] = [
      ['GET', '/v1/events', 'OPTIONS, POST'],
      ['HEAD', '/v1/events', 'OPTIONS, POST'],
      ['PUT', '/v1/events?a=b', 'OPTIONS, POST'],
      ['PROPFIND', '/v1/events', 'OPTIONS, POST'],
      ['DELETE', '/livez', 'GET, HEAD, OPTIONS'],
      ['POST', '/problems/buffer-full', 'GET, HEAD, OPTIONS'],
      ['POST', '/docs/static/index.css', 'GET, HEAD, OPTIONS'],
    ];
    for (const [method, url, allow] of cases) {
      const response = await app.inject({ method: method as 'GET', url, headers: JSON_TYPE, payload: EVENT });
      assert.equal(response.statusCode, 405, `${method} ${url}`);
      assert.equal(response.headers.allow, allow, `${method} ${url}`);
      if (method !== 'HEAD') assert.equal(response.json().code, 'method-not-allowed');
    }
  });

  it('is that for every method, whatever is said of its body', async () => {
    const client = await RawClient.connect(await listen());
    const others = METHODS.filter((method) => !['OPTIONS', 'POST', 'HEAD', 'CONNECT'].includes(method));
    assert.ok(others.includes('QUERY') && others.length > 30);
    for (const method of others) {
      for (const headers of ['', 'Content-Type: ;;\r\n', 'Content-Type: application/json\r\n']) {
        client.write(`${method} /v1/events HTTP/1.1\r\nHost: a\r\n${headers}Content-Length: 2\r\n\r\n{}`);
        const answer = await client.answer();
        assert.deepEqual([answer?.status, answer?.headers.get('allow')], [405, 'OPTIONS, POST'], method);
      }
    }
    assert.equal(published.length, 0);
    client.destroy();
  });

  it('to OPTIONS lists the methods', async () => {
    const response = await app.inject({ method: 'OPTIONS', url: '/v1/events' });
    assert.equal(response.statusCode, 204);
    assert.equal(response.headers.allow, 'OPTIONS, POST');
  });

  it('is a problem for paths that cannot be read', async () => {
    assert.equal((await app.inject({ url: '/problems/%zz' })).json().code, 'bad-request');
    const long = await app.inject({ url: `/problems/${'x'.repeat(300)}` });
    assert.equal(long.statusCode, 414);
    assert.equal(long.json().code, 'uri-too-long');
    assert.equal(long.json().request_id, long.headers['x-request-id']);
  });
});

describe('on a connection', () => {
  it('answers pipelined requests in order, also behind a refused one', async () => {
    const client = await RawClient.connect(await listen());
    client.write(
      rawPost(EVENT, '') +
        rawPost('{}') +
        rawPost() +
        rawPost(EVENT, 'Content-Type: application/json\r\nContent-Type: text/plain\r\n') +
        rawPost(),
    );
    const statuses = [];
    for (let count = 0; count < 5; count += 1) statuses.push((await client.answer())?.status);
    assert.deepEqual(statuses, [415, 422, 201, 415, 201]);
    assert.equal(published.length, 2);
    client.destroy();
  });

  it('P1: a broken request does not overtake the answer to the one before it', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(`${rawPost()}NONSENSE\r\n\r\n`);
    await until(() => published.length === 1);
    assert.equal(await client.answer(50), undefined);
    settle(published[0] as PublishRequest, STORED);
    assert.equal((await client.answer())?.status, 201);
    const broken = await client.answer();
    assert.equal(broken?.status, 400);
    assert.equal(JSON.parse(broken?.body ?? '').code, 'bad-request');
    assert.ok(await client.isClosed());
  });

  it('answers broken framing behind a pending request after that request', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(`${rawPost()}${CHUNKED}ZZ\r\n`);
    await until(() => published.length === 1);
    assert.equal(await client.answer(50), undefined);
    settle(published[0] as PublishRequest, STORED);
    assert.equal((await client.answer())?.status, 201);
    assert.equal((await client.answer())?.status, 400);
    assert.ok(await client.isClosed());
    assert.equal(published.length, 1);
    assert.equal(budget.bytes, 0);
  });

  it('answers a client that ends its side after the request', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost());
    client.end();
    await until(() => published.length === 1);
    await delay(20);
    settle(published[0] as PublishRequest, STORED);
    assert.equal((await client.answer())?.status, 201);
    assert.ok(await client.isClosed());
  });

  it('P3: refuses a body that ends too early, and holds nothing', async () => {
    const client = await RawClient.connect(await listen());
    client.write(rawPost().slice(0, -1));
    await until(() => budget.bytes > 0);
    client.end();
    const answer = await client.answer();
    assert.equal(answer?.status, 400);
    assert.equal(JSON.parse(answer?.body ?? '').code, 'bad-request');
    await until(() => budget.bytes === 0);
    assert.equal(published.length, 0);
  });

  it('P3: holds nothing for a client that is gone before its body is complete', async () => {
    const client = await RawClient.connect(await listen());
    client.write(rawPost().slice(0, -1));
    await until(() => budget.bytes > 0);
    client.destroy();
    await until(() => budget.bytes === 0);
    assert.equal(published.length, 0);
  });

  it('P3: counts a body of unknown length as it arrives, byte by byte', async () => {
    const client = await RawClient.connect(await listen());
    client.write(CHUNKED);
    await until(() => budget.bytes > 0);
    const first = budget.bytes;
    for (const [index, byte] of [...EVENT].entries()) {
      client.write(`1\r\n${byte}\r\n`);
      await until(() => budget.bytes === first + index + 1);
    }
    client.write('0\r\n\r\n');
    assert.equal((await client.answer())?.status, 201);
    assert.equal(published[0]?.events[0]?.tail.toString(), EVENT.slice(1));
    client.destroy();
  });

  it('P3: counts the announced length of a body when it begins, and nothing more as it arrives', async () => {
    const client = await RawClient.connect(await listen());
    const request = rawPost(padded(20_000));
    const begunAt = request.indexOf('{') + 10;
    client.write(request.slice(0, begunAt));
    await until(() => budget.bytes > 20_000);
    const heldBytes = budget.bytes;
    for (let at = begunAt; at < request.length - 1; at += 4_000) {
      client.write(request.slice(at, Math.min(at + 4_000, request.length - 1)));
      await delay(2);
      assert.equal(budget.bytes, heldBytes);
    }
    client.write(' ');
    assert.equal((await client.answer())?.status, 201);
    client.destroy();
  });

  it('P3: refuses a body for which there is no room when it begins, and answers what follows it in order', async () => {
    budget = new BufferBudget({ bytesMax: MiB, eventsMax: 100 });
    app = await open({ ...options, budget });
    const client = await RawClient.connect(await listen());
    const request = rawPost(padded(300_000));
    const begunAt = request.indexOf('{') + 10;
    client.write(request.slice(0, begunAt));
    const refused = await client.answer();
    assert.equal(refused?.status, 503);
    assert.equal(JSON.parse(refused?.body ?? '').code, 'buffer-full');
    assert.equal(refused?.headers.get('retry-after'), '7');
    assert.equal(budget.bytes, 0);
    client.write(request.slice(begunAt) + rawPost());
    assert.equal((await client.answer())?.status, 201);
    assert.equal(published.length, 1);
    client.destroy();
  });

  describe('behind an event that waits for Kafka', () => {
    let client: RawClient;
    beforeEach(async () => {
      outcome = 'pending';
      client = await RawClient.connect(await listen());
      client.write(rawPost());
      await until(() => published.length === 1);
    });
    afterEach(() => client.destroy());

    const behind: readonly (readonly [string, string, number, string | undefined])[] = [
      ['a request for a tunnel', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405, 'method-not-allowed'],
      ['what is no HTTP', 'hello\r\n\r\n', 400, 'bad-request'],
      ['a URL that cannot be read', 'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'bad-request'],
      ['a probe', 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n', 200, undefined],
    ];
    for (const [name, request, status, code] of behind) {
      it(`P4: ${name} is answered in its place, and is the last that is`, async () => {
        client.write(request + rawPost());
        await delay(20);
        settle(published[0] as PublishRequest, STORED);
        assert.equal((await client.answer())?.status, 201);
        const last = await client.answer();
        assert.equal(last?.status, status);
        if (code !== undefined) assert.equal(JSON.parse(last?.body ?? '').code, code);
        assert.equal(last?.headers.get('connection'), 'close');
        assert.equal(await client.answer(), undefined);
        assert.equal(published.length, 1);
        await until(() => budget.bytes === 0);
      });
    }

    it('P3: what follows on a broken connection is not even looked at', async () => {
      const warnings: Error[] = [];
      const note = (warning: Error) => void warnings.push(warning);
      process.on('warning', note);
      for (let count = 0; count < 50; count += 1) {
        client.write('\x01');
        await delay(1);
      }
      settle(published[0] as PublishRequest, STORED);
      assert.equal((await client.answer())?.status, 201);
      assert.equal((await client.answer())?.status, 400);
      process.off('warning', note);
      assert.deepEqual(warnings, [], 'a listener for each piece would be warned of');
    });
  });

  it('P6: accepts what is sent on one connection in its order, a batch that takes long to read included', async () => {
    const client = await RawClient.connect(await listen());
    const batch = `[${Array.from({ length: 900 }, () => EVENT).join(',')}]`;
    client.write(rawPost() + rawBatch(batch) + rawPost() + rawBatch(batch) + rawPost() + rawPost());
    for (let count = 0; count < 6; count += 1) assert.ok(((await client.answer())?.status ?? 0) < 300);
    assert.deepEqual(
      published.map(({ events }) => events.length),
      [1, 900, 1, 900, 1, 1],
    );
    client.destroy();
  });

  it('P6: accepts what is sent on one connection in its order, bodies that take long to decode included', async () => {
    const client = await RawClient.connect(await listen());
    const encoded = (id: string) => rawBrotli(named(id).padEnd(MiB, ' '));
    client.write(
      encoded('a') + rawPost(named('b')) + encoded('c') + rawPost(named('d')) + rawPost(named('e')),
    );
    for (let count = 0; count < 5; count += 1) assert.equal((await client.answer())?.status, 201);
    assert.equal(published.map(({ events }) => events[0]?.id).join(''), 'abcde');
    client.destroy();
  });

  for (const [what, first] of [
    ['a body that takes long to decode', rawBrotli(padded(MiB))],
    [
      'a batch that takes long to read',
      rawBatch(
        `[${Array.from({ length: 900 }, () => `${EVENT.slice(0, -1)},"data":[${'{"a":0},'.repeat(100)}0]}`)}]`,
      ),
    ],
  ] as const) {
    it(`P6: keeps the order behind ${what} also when the connection is lost meanwhile`, async () => {
      const client = await RawClient.connect(await listen());
      client.write(first + rawPost(named('b')));
      // Both are here: two requests are counted, and two bodies.
      await until(() => published.length > 0 || budget.bytes > first.length + 8_000);
      client.reset();
      await until(() => published.length === 2);
      assert.deepEqual(
        published.map(({ events }) => events[0]?.id),
        ['e1', 'b'],
      );
      assert.equal(budget.bytes, 0);
    });
  }

  it('P6: a fault of its own holds up nothing behind it', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost());
    await until(() => published.length === 1);
    outcome = 'throw';
    client.write((rawBatch(`[${EVENT}]`) + rawPost()).repeat(2));
    await until(() => logged.filter(({ level }) => level === 50).length === 4);
    client.reset();
    settle(published[0] as PublishRequest, STORED);
    await until(() => budget.bytes === 0);
  });

  it('P5: what waits on its connection for longer than the publish timeout is refused', async () => {
    app = await open({ ...options, limits: { ...options.limits, publishTimeoutMs: 1 } });
    const client = await RawClient.connect(await listen());
    const encoded = rawBrotli(padded(MiB));
    client.write(encoded + rawPost().repeat(5));
    const statuses = [];
    for (let count = 0; count < 6; count += 1) statuses.push((await client.answer())?.status);
    assert.deepEqual(statuses, [201, 503, 503, 503, 503, 503]);
    assert.equal(published.length, 1);
    await until(() => budget.bytes === 0);
    client.destroy();
  });

  it('P6: what is sent behind a body that cannot be decoded is accepted all the same', async () => {
    const client = await RawClient.connect(await listen());
    const headers = 'Content-Type: application/json\r\nContent-Encoding: gzip\r\n';
    client.write(rawPost('no gzip', headers) + rawPost());
    const refused = await client.answer();
    assert.equal(JSON.parse(refused?.body ?? '').code, 'malformed-encoding');
    assert.equal((await client.answer())?.status, 201);
    client.destroy();
  });

  it('P3: counts the results of a batch until its answer has left', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost());
    await until(() => published.length === 1);
    const before = budget.bytes;
    // Its answer is ready at once, and waits behind the first.
    client.write(rawBatch(`[${'0,'.repeat(900)}0]`));
    await until(() => budget.bytes > before + 901 * 100);
    settle(published[0] as PublishRequest, STORED);
    assert.equal((await client.answer())?.status, 201);
    assert.equal((await client.answer())?.status, 422);
    await until(() => budget.bytes === 0);
    client.destroy();
  });

  it('P3: counts about what the answer of a batch takes, also where its ids and faults are long', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost());
    await until(() => published.length === 1);
    const before = budget.bytes;
    const id = '\u{10400}'.repeat(128);
    const event = Buffer.from(EVENT.replace('e1', id).replace('{', '{"time":"now",')).toString('latin1');
    client.write(rawBatch(`[${Array.from({ length: 900 }, () => event)}]`));
    while ((await counted('dual_stream_events_total{outcome="refused"}')) < 900) await delay(1);
    const countedBytes = budget.bytes - before;
    settle(published[0] as PublishRequest, STORED);
    await client.answer();
    const { body = '' } = (await client.answer()) ?? {};
    const kept = 2 * Buffer.from(body, 'latin1').toString().length;
    assert.ok(countedBytes > 0.9 * kept && countedBytes < 1.5 * kept, `${countedBytes} of ${kept}`);
    client.destroy();
  });

  it('P3: refuses a batch whose results would find no room, before any of it is published', async () => {
    budget = new BufferBudget({ bytesMax: 100 * 1024, eventsMax: 1_000 });
    app = await open({ ...options, budget });
    const response = await app.inject({
      method: 'POST',
      url: '/v1/events/batch',
      headers: JSON_TYPE,
      payload: `[${'0,'.repeat(499)}${EVENT}]`,
    });
    assert.equal(response.statusCode, 503);
    assert.equal(response.json().code, 'buffer-full');
    assert.equal(published.length, 0);
    assert.equal(budget.bytes, 0);
  });

  it('P3: gives back what the answer of a batch counted when its connection is lost', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost());
    await until(() => published.length === 1);
    const before = budget.bytes;
    client.write(rawBatch(`[${'0,'.repeat(900)}0]`));
    await until(() => budget.bytes > before + 901 * 100);
    client.reset();
    settle(published[0] as PublishRequest, STORED);
    await until(() => budget.bytes === 0);
  });

  it('P3: counts requests that wait for Kafka also when their connection is lost', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost().repeat(10));
    await until(() => published.length === 10);
    const before = budget.bytes;
    assert.ok(before > 10 * 4096);
    client.reset();
    await delay(50);
    assert.equal(budget.bytes, before);
    for (const request of published) settle(request, STORED);
    await until(() => budget.bytes === 0);
  });

  it('lives on when a connection that asked for a tunnel is reset', async () => {
    const port = await listen();
    for (let count = 0; count < 5; count += 1) {
      const client = await RawClient.connect(port);
      client.write('CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n');
      client.reset();
    }
    await delay(50);
    assert.equal((await app.inject('/livez')).statusCode, 200);
  });

  for (const [path, status] of [
    ['/nope', 404],
    ['/livez', 405],
  ] as const) {
    it(`P3: reads no body for ${path}, whatever it is`, async () => {
      const client = await RawClient.connect(await listen());
      const body = '{"__proto__":'.repeat(100_000);
      client.write(
        `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}${rawPost()}`,
      );
      assert.equal((await client.answer())?.status, status);
      assert.equal((await client.answer())?.status, 201);
      assert.ok(!logged.some(({ level }) => level === 50));
      client.destroy();
    });
  }

  it('P3: counts a request until its answer has left, and keeps none waiting for which there is no room', async () => {
    budget = new BufferBudget({ bytesMax: 64 * 1024, eventsMax: 100 });
    app = await open({ ...options, budget });
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost());
    await until(() => published.length === 1);
    outcome = STORED;
    // Answered at once, these wait behind the first all the same.
    client.write(rawPost().repeat(50));
    await until(() => budget.bytes > 60 * 1024);
    const accepted = published.length;
    assert.ok(accepted < 20, `${accepted} wait`);
    await delay(20);
    client.write(rawPost());
    settle(published[0] as PublishRequest, STORED);
    for (let count = 0; count < accepted; count += 1) assert.equal((await client.answer())?.status, 201);
    const last = await client.answer();
    assert.equal(last?.status, 503);
    assert.equal(last?.headers.get('connection'), 'close');
    assert.equal(await client.answer(), undefined);
    assert.equal(published.length, accepted);
    await until(() => budget.bytes === 0);
    client.destroy();
  });

  it('P3: a client that writes all of its bodies before it reads still gets each refusal, in its place', async () => {
    budget = new BufferBudget({ bytesMax: MiB, eventsMax: 100 });
    app = await open({ ...options, budget });
    const client = await RawClient.connect(await listen());
    const chunk = `${(MiB / 8).toString(16)}\r\n${' '.repeat(MiB / 8)}\r\n`;
    client.write(
      `${rawPost()}${rawPost(padded(MiB))}${rawPost()}${CHUNKED}${chunk.repeat(4)}0\r\n\r\n${rawPost()}`,
    );
    const statuses = [];
    for (let count = 0; count < 5; count += 1) statuses.push((await client.answer())?.status);
    assert.deepEqual(statuses, [201, 503, 201, 503, 201]);
    assert.equal(published.length, 3);
    assert.equal(budget.bytes, 0);
    client.destroy();
  });

  it('refuses by the length that a client announces, before the body, and understands what follows it', async () => {
    const client = await RawClient.connect(await listen());
    const length = 3 * MiB;
    client.write(
      `POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`,
    );
    assert.equal((await client.answer())?.status, 413);
    client.write(' '.repeat(length) + rawPost());
    assert.equal((await client.answer())?.status, 201);
    client.destroy();
  });

  it('refuses a chunked body when it passes the limit, and understands what follows it', async () => {
    const client = await RawClient.connect(await listen());
    const chunk = `${(MiB / 2).toString(16)}\r\n${' '.repeat(MiB / 2)}\r\n`;
    client.write(CHUNKED + chunk.repeat(3));
    assert.equal((await client.answer())?.status, 413);
    assert.equal(budget.bytes, 0);
    client.write(`${chunk.repeat(3)}0\r\n\r\n${rawPost()}`);
    assert.equal((await client.answer())?.status, 201);
    client.destroy();
  });

  it('stays silent about the rest of a body that was refused early, when that rest is broken', async () => {
    const client = await RawClient.connect(await listen());
    client.write('POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.equal((await client.answer())?.status, 415);
    client.write('ZZ\r\n');
    assert.ok(await client.isClosed());
  });

  const broken: [string, string, number, string][] = [
    ['no HTTP at all', 'hello\r\n\r\n', 400, 'bad-request'],
    ['an unknown method', 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'bad-request'],
    ['no Host', 'GET /livez HTTP/1.1\r\n\r\n', 400, 'bad-request'],
    ['two Hosts', 'GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400, 'bad-request'],
    ['a Host with a path', 'GET /livez HTTP/1.1\r\nHost: a/b\r\n\r\n', 400, 'bad-request'],
    ['HTTP/2.0 in a request line', 'GET /livez HTTP/2.0\r\nHost: a\r\n\r\n', 400, 'bad-request'],
    ['no version', 'GET /livez\r\nHost: a\r\n\r\n', 400, 'bad-request'],
    ['chunks that are compressed', CHUNKED.replace('chunked', 'gzip, chunked'), 400, 'bad-request'],
    ['chunks in HTTP/1.0', CHUNKED.replace('HTTP/1.1', 'HTTP/1.0'), 400, 'bad-request'],
    ['a fragment that cannot be decoded', 'GET /none#%zz HTTP/1.1\r\nHost: a\r\n\r\n', 404, 'not-found'],
    [
      'another method in front of a fragment',
      'GET /v1/events#a?%zz HTTP/1.1\r\nHost: a\r\n\r\n',
      405,
      'method-not-allowed',
    ],
    [
      'another method by the absolute form',
      'GET http://a/v1/events HTTP/1.1\r\nHost: a\r\n\r\n',
      405,
      'method-not-allowed',
    ],
    [
      'two lengths',
      'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'bad-request',
    ],
    [
      'a length and chunks',
      'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'bad-request',
    ],
    [
      'headers of 17 KiB',
      `GET /livez HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`,
      431,
      'headers-too-large',
    ],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 405, 'method-not-allowed'],
  ];
  for (const [name, text, status, code] of broken) {
    it(`answers ${name} with ${status} ${code}`, async () => {
      const client = await RawClient.connect(await listen());
      client.write(text);
      const answer = await client.answer();
      assert.equal(answer?.status, status);
      assert.equal(answer?.headers.get('content-type'), 'application/problem+json');
      assert.equal(JSON.parse(answer?.body ?? '').code, code);
      assert.equal(await counted(`dual_stream_refused_total{reason="${code}"}`), 1);
      client.destroy();
    });
  }

  it('serves HTTP/1.0, unknown expectations, and 100-continue', async () => {
    const port = await listen();
    const requests = [
      rawPost().replace('HTTP/1.1\r\nHost: a', 'HTTP/1.0'),
      rawPost().replace('Host: a', 'Host: a\r\nExpect: tea'),
      rawPost().replace('Host: a', 'Host: a\r\nExpect: 100-continue'),
    ];
    for (const request of requests) {
      const client = await RawClient.connect(port);
      client.write(request);
      assert.equal((await client.answer())?.status, 201, request);
      client.destroy();
    }
  });
});

describe('P7: while the service stops', () => {
  it('what was accepted is answered with Connection: close, and nothing is waited for after it', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost());
    await until(() => published.length === 1);
    const closed = app.close();
    await delay(20);
    settle(published[0] as PublishRequest, STORED);
    const answer = await client.answer();
    assert.equal(answer?.status, 201);
    assert.equal(answer?.headers.get('connection'), 'close');
    const startedAt = performance.now();
    client.end();
    await closed;
    assert.ok(performance.now() - startedAt < 500);
  });

  it('a client that goes on sending gets to read what was accepted before, and nothing more is served', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost().repeat(100));
    await until(() => published.length === 100);
    const sending = setInterval(() => client.write(rawPost().repeat(50)), 1);
    const closed = app.close();
    await delay(20);
    for (const request of published.slice()) settle(request, STORED);
    let stored = 0;
    for (let answer = await client.answer(); answer !== undefined; answer = await client.answer()) {
      if (answer.status === 201) stored += 1;
      else assert.equal(JSON.parse(answer.body).code, 'shutting-down');
    }
    clearInterval(sending);
    assert.equal(stored, published.length);
    client.destroy();
    await closed;
    assert.equal(budget.bytes, 0);
  });

  it('what comes in on a connection in use is refused, and both are answered', async () => {
    outcome = 'pending';
    const client = await RawClient.connect(await listen());
    client.write(rawPost());
    await until(() => published.length === 1);
    const closed = app.close();
    await delay(20);
    client.write(rawPost());
    await delay(20);
    settle(published[0] as PublishRequest, STORED);
    assert.equal((await client.answer())?.status, 201);
    const second = await client.answer();
    assert.equal(second?.status, 503);
    assert.equal(JSON.parse(second?.body ?? '').code, 'shutting-down');
    assert.equal(second?.headers.get('retry-after'), '7');
    assert.equal(published.length, 1);
    await closed;
  });
});

describe('with as many connections as it takes', () => {
  beforeEach(async () => {
    app = await open({ ...options, limits: { ...options.limits, connectionsMax: 2 } });
  });

  it('P3: refuses another one at once with 503, and executes nothing that comes on it', async () => {
    const port = await listen();
    const served = [await RawClient.connect(port), await RawClient.connect(port)];
    const third = await RawClient.connect(port);
    third.write(rawPost() + rawPost());
    const answer = await third.answer();
    assert.equal(answer?.status, 503);
    assert.equal(answer?.headers.get('content-type'), 'application/problem+json');
    assert.equal(answer?.headers.get('retry-after'), '7');
    assert.equal(answer?.headers.get('connection'), 'close');
    const { code, retryable, request_id } = JSON.parse(answer?.body ?? '');
    assert.deepEqual([code, retryable], ['too-many-connections', true]);
    assert.ok(await third.isClosed());
    assert.equal(published.length, 0);
    assert.equal(await counted('dual_stream_refused_total{reason="too-many-connections"}'), 1);
    assert.equal(await counted('dual_stream_connections'), 2);
    assert.equal(await counted('dual_stream_connections_limit'), 2);
    assert.deepEqual(
      logged.flatMap((line) => (line.code === undefined ? [] : [[line.code, line.request_id]])),
      [['too-many-connections', request_id]],
    );

    for (const client of served) {
      client.write(rawPost());
      assert.equal((await client.answer())?.status, 201);
      client.destroy();
    }
  });

  it('P3: takes one again when another is closed', async () => {
    const port = await listen();
    const first = await RawClient.connect(port);
    const second = await RawClient.connect(port);
    first.write(rawPost());
    assert.equal((await first.answer())?.status, 201);
    first.destroy();
    await delay(20);
    const third = await RawClient.connect(port);
    third.write(rawPost());
    assert.equal((await third.answer())?.status, 201);
    for (const client of [second, third]) client.destroy();
  });

  it('P3: closes the hundred-and-first that waits to be told without a word', async () => {
    const port = await listen();
    const clients = await Promise.all(Array.from({ length: 110 }, () => RawClient.connect(port)));
    const answers = await Promise.all(clients.map((client) => client.answer(500)));
    const statuses = answers.map((answer) => answer?.status);
    assert.equal(statuses.filter((status) => status === 503).length, 100);
    assert.equal(statuses.filter((status) => status === undefined).length, 10);
    for (const client of clients) client.destroy();
  });

  it('the management port takes its own', async () => {
    const apart = { ...options, hasManagementPort: true };
    const management = await managementApp({
      ...probeOptions(apart),
      ...apart,
      readiness: probeOptions(apart).readiness,
      document: app.swagger(),
    });
    opened.push(management);
    await management.listen({ host: '127.0.0.1', port: 0 });
    const port = await listen();
    const served = [await RawClient.connect(port), await RawClient.connect(port)];
    const probe = await RawClient.connect((management.server.address() as AddressInfo).port);
    probe.write('GET /livez HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await probe.answer())?.status, 200);
    for (const client of [...served, probe]) client.destroy();
  });
});

describe('the probes', () => {
  const states = [
    ['available', 'up', false, 200, 'ready'],
    ['available', 'down', false, 200, 'degraded'],
    ['available', 'connecting', false, 200, 'degraded'],
    ['available', 'off', false, 200, 'ready'],
    ['degraded', 'up', false, 200, 'degraded'],
    ['unavailable', 'up', false, 503, 'unavailable'],
    ['connecting', 'up', false, 503, 'unavailable'],
    ['available', 'up', true, 503, 'leaving'],
  ] as const;
  for (const [kafka, redis, isLeaving, code, status] of states) {
    it(`readyz answers ${code} ${status} with Kafka ${kafka}, Redis ${redis}${isLeaving ? ', about to stop' : ''}`, async () => {
      app = await open({ ...options, readiness: () => ({ kafka, redis }), isLeaving: () => isLeaving });
      const response = await app.inject({ url: '/readyz' });
      assert.equal(response.statusCode, code);
      assert.deepEqual(response.json(), { status, dependencies: { kafka, redis } });
      assert.equal((await app.inject({ url: '/livez' })).statusCode, 200);
    });
  }

  it('readyz answers 503 until the keys are known that tokens are checked with', async () => {
    const dependencies = { kafka: 'available', redis: 'up', authentication: 'unavailable' } as const;
    app = await open({ ...options, readiness: () => dependencies });
    const response = await app.inject({ url: '/readyz' });
    assert.equal(response.statusCode, 503);
    assert.deepEqual(response.json(), { status: 'unavailable', dependencies });
  });

  it('metrics are in the format of Prometheus', async () => {
    const response = await app.inject({ url: '/metrics' });
    assert.match(String(response.headers['content-type']), /^text\/plain/);
    assert.match(response.payload, /^dual_stream_events_total\{outcome="stored"\} 0$/m);
  });

  it('each code has a page', async () => {
    for (const [code, { explanation }] of Object.entries(errors)) {
      const response = await app.inject({ url: `/problems/${code}` });
      assert.equal(response.statusCode, 200);
      assert.ok(response.payload.includes(explanation));
    }
  });

  it('docs load nothing from elsewhere', async () => {
    const page = await app.inject({ url: '/docs' });
    assert.equal(page.statusCode, 200);
    assert.match(String(page.headers['content-security-policy']), /^default-src 'none'; script-src 'self';/);
    assert.ok(!/(src|href)="(https?:)?\/\//.test(page.payload));
    for (const [, path] of page.payload.matchAll(/(?:src|href)="([^"]+)"/g)) {
      assert.equal((await app.inject({ url: path as string })).statusCode, 200);
    }
  });
});

describe('with a management port', () => {
  it('metrics, documents and the details of readiness are there, and only there', async () => {
    const apart = { ...options, hasManagementPort: true };
    app = await open(apart);
    const management = await managementApp({
      ...probeOptions(apart),
      ...apart,
      readiness: probeOptions(apart).readiness,
      document: app.swagger(),
    });
    opened.push(management);
    for (const url of ['/metrics', '/openapi.json', '/docs', '/docs/json']) {
      assert.equal((await app.inject({ url })).statusCode, 404, url);
      assert.equal((await management.inject({ url })).statusCode, 200, url);
    }
    assert.deepEqual((await app.inject({ url: '/readyz' })).json(), { status: 'ready' });
    assert.deepEqual(Object.keys((await management.inject({ url: '/readyz' })).json()), [
      'status',
      'dependencies',
    ]);
    assert.equal((await management.inject({ url: '/livez' })).statusCode, 200);
    assert.equal((await management.inject({ method: 'POST', url: '/v1/events' })).statusCode, 404);
    assert.deepEqual((await management.inject({ url: '/openapi.json' })).json(), app.swagger());
  });
});
