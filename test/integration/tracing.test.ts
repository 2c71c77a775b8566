import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before as beforeAll, beforeEach, describe, it } from 'node:test';
import { pino } from 'pino';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import type { Server } from '../../src/ingest/server.ts';
import { type CollectedSpan, type Collector, startCollector } from '../collector.ts';
import { startService, until } from './local-service.ts';
import { readTopic } from './topic-reader.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const CANARY = 'canary-7d1f';
const SERVER = 2;
const PRODUCER = 4;
const CLIENT = 3;
const ERROR = 2;

const event = (id: string, more: object = {}) => ({
  id,
  type: 't',
  source_type: 'user',
  source_id: CANARY,
  data: { secret: CANARY },
  ...more,
});
const traceOf = (flags: string) => ({ traceparent: `00-${TRACE}-${PARENT}-${flags}`, tracestate: 'v=1' });

describe('spans', () => {
  let kafka: LocalKafka;
  let redis: LocalRedis;
  let collector: Collector;
  let server: Server;
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(line) });

  const said = () => lines.filter((line) => line.includes('"part":"tracing"'));

  beforeAll(async () => {
    [kafka, redis, collector] = await Promise.all([startKafka(), startRedis(), startCollector()]);
    const settings = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20canary-header',
      OTEL_SERVICE_NAME: 'ingest',
      OTEL_BSP_SCHEDULE_DELAY: '50',
      MANAGEMENT_PORT: '',
    };
    server = await startService(kafka, redis, settings, log);
  });
  after(async () => {
    await server?.close();
    await Promise.all([kafka?.stop(), redis?.stop(), collector?.close()]);
  });
  beforeEach(() => void collector.spans.splice(0));

  async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
    const answer = await fetch(`${server.address}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'r-1', ...headers },
      body: JSON.stringify(body),
    });
    return { status: answer.status, answer: (await answer.json()) as Record<string, number> };
  }

  /** The spans of the next requests, once so many have arrived. */
  async function spans(count: number): Promise<CollectedSpan[]> {
    await until(() => collector.spans.length >= count);
    return collector.spans;
  }

  const recordHeaders = async (id: string) => {
    const records = await readTopic(kafka.brokers, 'events');
    return records.find(({ value }) => (JSON.parse(value) as { id: string }).id === id)?.headers;
  };

  it('of a request, its publishing and its notification are one trace, and the record goes on with it', async () => {
    const { status, answer } = await post('/v1/events', event('e1'), traceOf('01'));
    assert.equal(status, 201);
    const all = await spans(3);
    const [request, send, notification] = ['POST /v1/events', 'send events', 'publish events:'].map(
      (name) => all.find((span) => span.name.startsWith(name)) as CollectedSpan,
    );
    assert.ok(request && send && notification, JSON.stringify(all));
    assert.equal(all.length, 3);
    for (const span of all) {
      assert.equal(span.traceId, TRACE);
      assert.equal(span.traceState, 'v=1');
      assert.equal(span.resource['service.name'], 'ingest');
      assert.equal(span.status, 0);
    }
    assert.deepEqual(
      [request.parentSpanId, send.parentSpanId, notification.parentSpanId],
      [PARENT, request.spanId, send.spanId],
    );
    assert.deepEqual([request.kind, send.kind, notification.kind], [SERVER, PRODUCER, CLIENT]);
    assert.deepEqual(request.attributes, {
      'http.request.method': 'POST',
      'http.route': '/v1/events',
      'url.path': '/v1/events',
      'url.scheme': 'http',
      'network.protocol.version': '1.1',
      'http.response.status_code': 201,
      'dual_stream.request_id': 'r-1',
    });
    assert.deepEqual(send.attributes, {
      'messaging.system': 'kafka',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'events',
      'messaging.message.id': 'e1',
      'messaging.destination.partition.id': String(answer.partition),
      'messaging.kafka.offset': answer.offset,
    });
    assert.equal(notification.attributes['messaging.system'], 'redis');
    assert.equal(notification.attributes['messaging.batch.message_count'], 1);
    // They begin on whole milliseconds.
    assert.ok(
      request.startMs <= send.startMs && send.endMs <= request.endMs + 1 && send.startMs < send.endMs,
      'publishing is a part of the request',
    );
    assert.ok(notification.startMs >= send.startMs && notification.endMs >= notification.startMs);
    assert.deepEqual(await recordHeaders('e1'), {
      traceparent: `00-${TRACE}-${send.spanId}-01`,
      tracestate: 'v=1',
    });
  });

  it('of a request without a trace begin one', async () => {
    assert.equal((await post('/v1/events', event('e2'))).status, 201);
    const all = await spans(3);
    const request = all.find(({ kind }) => kind === SERVER);
    assert.equal(request?.parentSpanId, '');
    assert.match(request?.traceId ?? '', /^(?!0+$)[0-9a-f]{32}$/);
    assert.deepEqual(new Set(all.map(({ traceId }) => traceId)).size, 1);
    assert.match((await recordHeaders('e2'))?.traceparent ?? '', new RegExp(`^00-${request?.traceId}-`));
  });

  it('of a batch are three as well, with what became of its events', async () => {
    const batch = [event('b1'), event('b2', { source_type: 'User' }), event('b3')];
    assert.equal((await post('/v1/events/batch', batch)).status, 207);
    const all = await spans(3);
    const send = all.find(({ name }) => name === 'send events');
    assert.equal(send?.attributes['messaging.batch.message_count'], 2);
    const notifications = all.filter(({ name }) => name.startsWith('publish'));
    const notified = notifications.reduce(
      (sum, { attributes }) => sum + Number(attributes['messaging.batch.message_count']),
      0,
    );
    assert.equal(notified, 2);
    for (const id of ['b1', 'b3'])
      assert.equal((await recordHeaders(id))?.traceparent, `00-${send?.traceId}-${send?.spanId}-01`);
  });

  it('of a refused request is one, and a fault of the client is no error', async () => {
    assert.equal((await post('/v1/events', event('e3', { source_type: 'User' }))).status, 422);
    assert.equal((await post('/v1/events/batch', [])).status, 422);
    const all = await spans(2);
    assert.deepEqual(
      all.map(({ name, status, attributes }) => [name, status, attributes['http.response.status_code']]),
      [
        ['POST /v1/events', 0, 422],
        ['POST /v1/events/batch', 0, 422],
      ],
    );
  });

  it('there are none of what is not traced, but the trace is passed on', async () => {
    assert.equal((await post('/v1/events', event('e4'), traceOf('00'))).status, 201);
    await fetch(`${server.address}/livez`);
    await fetch(`${server.address}/nothing`, { headers: traceOf('01') });
    assert.equal((await post('/v1/events', event('e5'))).status, 201);
    const all = await spans(3);
    assert.equal(all.length, 3);
    assert.ok(all.every(({ traceId }) => traceId !== TRACE));
    const { traceparent, tracestate } = (await recordHeaders('e4')) ?? {};
    assert.match(traceparent ?? '', new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    assert.equal(tracestate, 'v=1');
  });

  it('of a request that is given up say so', async () => {
    const socket = connect(Number(new URL(server.address).port), '127.0.0.1');
    const head = [
      'POST /v1/events HTTP/1.1',
      'Host: x',
      'Content-Type: application/json',
      'Content-Length: 100',
    ];
    socket.write(`${[...head, `traceparent: ${traceOf('01').traceparent}`].join('\r\n')}\r\n\r\n{"id":`);
    setTimeout(() => socket.resetAndDestroy(), 100);
    const [span] = await spans(1);
    assert.equal(span?.status, ERROR);
    assert.equal(span?.attributes['error.type'], 'closed');
    assert.equal(span?.attributes['http.response.status_code'], undefined);
  });

  it('of what Kafka does not take are errors, and the log names the trace', async () => {
    await kafka.pause();
    try {
      const { status } = await post('/v1/events', event('e6'), { ...traceOf('01'), prefer: 'wait=1' });
      assert.equal(status, 504);
      const all = await spans(2);
      const code = (name: string) => {
        const span = all.find((each) => each.name === name);
        return [span?.status, span?.attributes['error.type']];
      };
      assert.deepEqual(code('POST /v1/events'), [ERROR, '504']);
      assert.deepEqual(code('send events'), [ERROR, 'outcome-unknown']);
      const line = lines.map((each) => JSON.parse(each) as Record<string, unknown>);
      assert.ok(
        line.some(({ code: logged, trace_id }) => logged === 'outcome-unknown' && trace_id === TRACE),
      );
    } finally {
      await kafka.resume();
    }
    await until(async () => (await post('/v1/events', event('e7'))).status === 201);
  });

  it('change no answer when the collector is not there, and the log says so once', async () => {
    collector.answer = 400;
    for (let index = 0; index < 3; index += 1) {
      const { length } = collector.received;
      assert.equal((await post('/v1/events', event(`d${index}`))).status, 201);
      await until(() => collector.received.length > length);
    }
    await until(() => said().length > 0);
    assert.equal(said().length, 1);
    assert.match(said()[0] as string, /spans cannot be sent/);
    collector.answer = 200;
    assert.equal((await post('/v1/events', event('d4'))).status, 201);
    await until(() => said().length > 1);
    assert.match(said()[1] as string, /spans are sent again/);
  });

  it('tell nothing of what is in an event, and of no secret, and neither does the log', () => {
    const { headers, received } = collector;
    assert.ok(received.length > 5);
    assert.ok(headers.every(({ path }) => path === '/v1/traces'));
    assert.ok(headers.every(({ authorization }) => authorization === 'Bearer canary-header'));
    for (const text of [...received.map((bytes) => bytes.toString('latin1')), ...lines])
      assert.ok(!text.includes('canary'), text);
  });

  it('that are not sent yet are sent at the end', async () => {
    const settings = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/elsewhere` };
    const other = await startService(kafka, redis, settings, log);
    const answer = await fetch(`${other.address}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(event('last')),
    });
    assert.equal(answer.status, 201);
    collector.spans.splice(0);
    await other.close();
    assert.equal(collector.spans.length, 3);
    assert.equal(collector.headers.at(-1)?.path, '/elsewhere');
  });
});
