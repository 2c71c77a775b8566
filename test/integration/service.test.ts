import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import type { Server } from '../../src/ingest/server.ts';
import { startService, until } from './local-service.ts';
import { readTopic } from './topic-reader.ts';

const SETTINGS = { PUBLISH_TIMEOUT_MS: '4000' };

describe('the service on a real Kafka and a real Redis', () => {
  let kafka: LocalKafka;
  let redis: LocalRedis;
  let server: Server;
  let subscriber: Redis;
  const heard: { channel: string; message: string }[] = [];

  before(async () => {
    [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
    server = await startService(kafka, redis, SETTINGS);
    subscriber = new Redis(redis.url, { lazyConnect: true });
    subscriber.on('error', () => {}); // Redis is stopped on purpose below
    subscriber.on('pmessage', (_pattern, channel, message) => heard.push({ channel, message }));
    await subscriber.connect();
    await subscriber.psubscribe('*');
  });
  after(async () => {
    subscriber.disconnect();
    await server.close();
    await Promise.all([kafka.stop(), redis.stop()]);
  });

  const get = (path: string) => fetch(server.address + path);

  async function post(body: string | object, headers: Record<string, string> = {}) {
    const startedAt = performance.now();
    const response = await fetch(`${server.address}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const answer = (await response.json()) as Answer;
    return {
      status: response.status,
      headers: response.headers,
      answer,
      tookMs: performance.now() - startedAt,
    };
  }

  const heardOf = (id: string) => heard.filter(({ message }) => JSON.parse(message).id === id);

  it('P1, P8, P9: one event in is durable in Kafka, and its ids are heard on Redis', async () => {
    const { status, answer } = await post({
      type: 'push',
      source_type: 'repo',
      source_id: 'octo/repo',
      data: { secret: 'payload' },
    });
    assert.equal(status, 201);
    assert.equal(answer.status, 'stored');
    const record = (await readTopic(kafka.brokers, 'events')).find(
      ({ partition, offset }) => partition === answer.partition && offset === answer.offset,
    );
    assert.equal(record?.key, 'octo/repo');
    const { id, time, ...rest } = JSON.parse(record?.value ?? '{}');
    assert.equal(id, answer.id);
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 10_000);
    assert.deepEqual(rest, {
      type: 'push',
      source_type: 'repo',
      source_id: 'octo/repo',
      data: { secret: 'payload' },
    });
    await until(() => heardOf(answer.id).length > 0);
    assert.deepEqual(heardOf(answer.id), [
      {
        channel: 'events:repo:octo/repo',
        message: `{"id":"${answer.id}","type":"push","source_id":"octo/repo"}`,
      },
    ]);
  });

  it('stores the bytes that were sent, with only the assigned members added', async () => {
    const sent =
      '{ "id":"as-sent", "type":"n",\n"source_type":"user","source_id":"octocat","time":"2026-01-02T03:04:05+01:00","data":[9007199254740993, 1.10, 1e400, "\\u00e9", {"b":1,"a":2}] }';
    const { status } = await post(sent);
    assert.equal(status, 201);
    const values = (await readTopic(kafka.brokers, 'events')).map(({ value }) => value);
    assert.ok(values.includes(sent));
  });

  it('P1: a batch is durable where its answer says, beside a refused one, and its ids are heard', async () => {
    const sent = ['b0', 'b1', 'b2', 'b3'].map(
      (id, index) =>
        `{"id":"${id}","type":"t","source_type":"${id === 'b2' ? 'NOT ONE' : 'repo'}","source_id":"s${index % 2}","data":[1.10]}`,
    );
    const response = await fetch(`${server.address}/v1/events/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: sent.join('\n'),
    });
    assert.equal(response.status, 207);
    const { stored, failed, results } = (await response.json()) as {
      stored: number;
      failed: number;
      results: readonly { status: string; partition: number; offset: number }[];
    };
    assert.deepEqual(
      [stored, failed, results.map(({ status }) => status)],
      [3, 1, ['stored', 'stored', 'refused', 'stored']],
    );
    const records = await readTopic(kafka.brokers, 'events');
    for (const [index, { status, partition, offset }] of results.entries()) {
      const record = records.find((each) => each.partition === partition && each.offset === offset);
      if (status === 'stored') assert.equal(record?.value.replace(/"time":"[^"]+",/, ''), sent[index]);
    }
    assert.ok(!records.some(({ value }) => value.includes('NOT ONE')));
    await until(() => ['b0', 'b1', 'b3'].every((id) => heardOf(id).length === 1));
    assert.deepEqual(heardOf('b2'), []);
  });

  it('gives the records of a request its trace, and those of other requests none', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const traced = { traceparent, tracestate: 'vendor=opaque' };
    assert.equal((await post(eventNamed('traced'), traced)).status, 201);
    assert.equal((await post(eventNamed('untraced'))).status, 201);
    assert.equal((await post(eventNamed('mistraced'), { traceparent: '00-canary' })).status, 201);
    const batch = await fetch(`${server.address}/v1/events/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent },
      body: JSON.stringify([eventNamed('traced-1'), eventNamed('traced-2')]),
    });
    assert.equal(batch.status, 200);
    const records = await readTopic(kafka.brokers, 'events');
    const headersOf = (id: string) => records.find(({ key }) => key === id)?.headers;
    assert.deepEqual(headersOf('traced'), traced);
    assert.deepEqual(headersOf('untraced'), {});
    assert.deepEqual(headersOf('mistraced'), {});
    for (const id of ['traced-1', 'traced-2']) assert.deepEqual(headersOf(id), { traceparent });
  });

  it('keeps the order of one source, and puts it where the Java client would', async () => {
    const answers = [];
    for (let index = 0; index < 50; index += 1) {
      answers.push(post({ id: `o${index}`, type: 't', source_type: 'user', source_id: 'foobar' }));
    }
    const partitions = new Set((await Promise.all(answers)).map(({ answer }) => answer.partition));
    // murmur2("foobar") is -790332482 in Kafka's own test vectors; positive, modulo six partitions.
    assert.deepEqual([...partitions], [(-790332482 & 0x7fffffff) % 6]);
  });

  it('refuses what is not an event, and nothing of it reaches Kafka or Redis', async () => {
    const { status, headers, answer } = await post({
      id: 'refused',
      type: 't',
      source_type: 'User',
      source_id: 'x',
    });
    assert.equal(status, 422);
    assert.match(headers.get('content-type') ?? '', /^application\/problem\+json(;|$)/);
    assert.equal(answer.code, 'invalid-event');
    assert.deepEqual(
      answer.errors?.map(({ pointer }) => pointer),
      ['/source_type'],
    );
    const values = (await readTopic(kafka.brokers, 'events')).map(({ value }) => value);
    assert.ok(!values.some((value) => value.includes('"refused"')));
    assert.deepEqual(heardOf('refused'), []);
  });

  it('shows Kafka latency, Redis failures and the depth of the buffer', async () => {
    const text = await (await get('/metrics')).text();
    assert.match(text, /^dual_stream_kafka_publish_duration_seconds_count [1-9]/m);
    assert.match(text, /^dual_stream_redis_notifications_total\{result="sent"\} [1-9]/m);
    assert.match(text, /^dual_stream_redis_notifications_total\{result="failed"\} 0$/m);
    assert.match(text, /^dual_stream_buffer_events 0$/m);
    assert.match(text, /^dual_stream_buffer_bytes \d+$/m);
    assert.match(text, /^dual_stream_events_total\{outcome="stored"\} [1-9]/m);
    assert.match(text, /^dual_stream_events_total\{outcome="refused"\} 2$/m);
    assert.match(text, /^dual_stream_ready\{dependency="kafka"\} 1$/m);
    assert.match(
      text,
      /^http_server_request_duration_seconds_count\{http_request_method="POST",http_route="\/v1\/events",http_response_status_code="201"\} [1-9]/m,
    );
  });

  for (const [fault, begin, end] of [
    ['killed', () => redis.kill(), () => redis.start()],
    ['stopped, with its connections open', async () => redis.pause(), async () => redis.resume()],
  ] as const) {
    it(`P2: with Redis ${fault}, events are stored as fast as ever; afterwards they are heard again`, async () => {
      await begin();
      try {
        for (let index = 0; index < 20; index += 1) {
          const { status, tookMs } = await post({ type: 't', source_type: 'user', source_id: `s${index}` });
          assert.equal(status, 201);
          assert.ok(tookMs < 1_000, `an answer took ${tookMs} ms`);
        }
        await until(async () => (await readiness()).dependencies.redis !== 'up');
        assert.equal((await get('/readyz')).status, 200);
        assert.equal((await readiness()).status, 'degraded');
        await until(async () => (await lost()) > 0);
      } finally {
        await end();
      }
      await until(async () => (await readiness()).dependencies.redis === 'up');
      // The subscriber is a client of its own, and reconnects in its own time.
      await until(async () => {
        const { answer } = await post({ type: 't', source_type: 'user', source_id: 'again' });
        await delay(100);
        return heardOf(answer.id).length === 1;
      });
    });
  }

  it('P4, P5: with Kafka stopped every answer comes in time and is the truth; afterwards it goes on by itself', async () => {
    await kafka.stop();
    const during = [];
    for (let index = 0; index < 10; index += 1) {
      during.push(post({ id: `down${index}`, type: 't', source_type: 'user', source_id: `d${index}` }));
    }
    const answers = await Promise.all(during);
    for (const { status, answer, tookMs, headers } of answers) {
      assert.ok(status === 503 || status === 504, `${status}`);
      assert.equal(answer.code, status === 503 ? 'kafka-unavailable' : 'outcome-unknown');
      assert.equal(answer.retryable, true);
      assert.match(answer.id, /^down\d$/, 'an answer about an event whose id is known carries it');
      assert.ok(tookMs < 4_500, `an answer took ${tookMs} ms`);
      if (status === 503) assert.ok(Number(headers.get('retry-after')) > 0);
    }
    await until(async () => (await get('/readyz')).status === 503);
    const refused = await post({ id: 'refused-at-once', type: 't', source_type: 'user', source_id: 'x' });
    assert.equal(refused.status, 503);
    assert.ok(refused.tookMs < 500, `a refusal took ${refused.tookMs} ms`);
    assert.equal((await get('/livez')).status, 200);

    await kafka.start();
    await until(async () => (await get('/readyz')).status === 200);
    assert.equal((await post({ id: 'after', type: 't', source_type: 'user', source_id: 'x' })).status, 201);
    const stored = new Set(
      (await readTopic(kafka.brokers, 'events')).map(({ value }) => JSON.parse(value).id),
    );
    for (const { status, answer } of [...answers, refused]) {
      if (status === 503) assert.ok(!stored.has(answer.id), `${answer.id} was answered not stored`);
    }
    assert.ok(stored.has('after'));
  });

  it('P5: Prefer shortens the wait', async () => {
    kafka.pause();
    try {
      const { status, headers, tookMs } = await post(
        { type: 't', source_type: 'user', source_id: 'x' },
        { prefer: 'wait=1' },
      );
      assert.equal(status, 504);
      assert.equal(headers.get('preference-applied'), 'wait=1');
      assert.ok(tookMs > 900 && tookMs < 1_600, `it took ${tookMs} ms`);
    } finally {
      kafka.resume();
    }
    await until(async () => (await get('/readyz')).status === 200);
  });

  it('notifies nobody with REDIS_MODE off, and is ready', async () => {
    const other = await startService(kafka, redis, { ...SETTINGS, REDIS_MODE: 'off', REDIS_URL: '' });
    try {
      const readyz = await fetch(`${other.address}/readyz`);
      assert.deepEqual(await readyz.json(), {
        status: 'ready',
        dependencies: { kafka: 'available', redis: 'off' },
      });
      const { status } = await fetch(`${other.address}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"type":"t","source_type":"user","source_id":"untold"}',
      });
      assert.equal(status, 201);
      const metrics = await (await fetch(`${other.address}/metrics`)).text();
      assert.ok(
        !metrics.includes('dual_stream_ready{dependency="redis"}'),
        'nothing that an alert could take for a fault',
      );
    } finally {
      assert.equal(await other.close(), 0);
    }
  });

  it('P7: stopping settles what was accepted and counts nothing left', async () => {
    const other = await startService(kafka, redis, SETTINGS);
    const pending = Array.from({ length: 20 }, (_, index) =>
      fetch(`${other.address}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id: `last${index}`, type: 't', source_type: 'user', source_id: 'last' }),
      }),
    );
    await delay(5);
    other.leave();
    assert.equal((await fetch(`${other.address}/readyz`)).status, 503);
    const closing = other.close();
    const statuses = (await Promise.allSettled(pending)).map((result) =>
      result.status === 'fulfilled' ? result.value.status : 'refused',
    );
    assert.equal(await closing, 0);
    const stored = (await readTopic(kafka.brokers, 'events')).filter(({ value }) => value.includes('"last'));
    assert.equal(statuses.filter((status) => status === 201).length, stored.length);
  });

  async function readiness() {
    return (await (await get('/readyz')).json()) as { status: string; dependencies: { redis: string } };
  }

  /** Notifications that were counted as failed or dropped. */
  async function lost(): Promise<number> {
    const text = await (await get('/metrics')).text();
    const counts = text.matchAll(
      /^dual_stream_redis_notifications_total\{result="(?:failed|dropped)"\} (\d+)$/gm,
    );
    return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
  }
});

const eventNamed = (id: string) => ({ id, type: 't', source_type: 'user', source_id: id });

interface Answer {
  readonly id: string;
  readonly status: string | number;
  readonly partition?: number;
  readonly offset?: number;
  readonly code?: string;
  readonly retryable?: boolean;
  readonly errors?: readonly { readonly pointer: string }[];
}
