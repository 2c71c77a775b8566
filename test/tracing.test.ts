import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { pino } from 'pino';
import { readConfig } from '../src/config.ts';
import { Tracing } from '../src/tracing.ts';
import { type Collector, startCollector } from './collector.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SAMPLED = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
const NOT_SAMPLED = { traceparent: `00-${TRACE}-00f067aa0ba902b7-00` };
const REQUEST = {
  raw: { method: 'POST', httpVersion: '1.1', socket: {} } as IncomingMessage,
  id: 'r',
  route: '/v1/events',
};
const STORED = { status: 'stored', partition: 0, offset: 0 };

describe('spans, apart', () => {
  let collector: Collector;
  let tracing: Tracing;
  const log = pino({ enabled: false });

  beforeEach(async () => {
    collector = await startCollector();
    tracing = open();
  });
  afterEach(() => collector.close());

  function open(settings: NodeJS.ProcessEnv = {}): Tracing {
    const env = {
      AUTH_MODE: 'none',
      KAFKA_BROKERS: 'kafka:9092',
      REDIS_MODE: 'off',
      OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
      ...settings,
    };
    return new Tracing({ config: readConfig(env), log });
  }

  it('are of a thousand requests at a time, and of the next when one of them is over', async () => {
    const requests = Array.from({ length: 1_000 }, () => tracing.request(REQUEST, undefined));
    assert.ok(requests.every((request) => request !== undefined));
    assert.equal(tracing.request(REQUEST, undefined), undefined);
    requests[0]?.end(201);
    assert.ok(tracing.request(REQUEST, undefined));
    assert.equal(tracing.request(REQUEST, undefined), undefined);
  });

  it('that are not kept do not count', () => {
    for (let count = 0; count < 2_000; count += 1) assert.ok(tracing.request(REQUEST, NOT_SAMPLED));
  });

  it('say how many notifications were not sent, by request', async () => {
    const sends = [1, 2].map(() => tracing.request(REQUEST, undefined)?.send());
    const [one, other] = sends.map((send) => send?.context);
    tracing.notified(
      [
        { span: one, isSent: true },
        { span: other, isSent: true },
        { span: one, isSent: false },
        { span: undefined, isSent: true },
      ],
      performance.now() - 40,
    );
    await tracing.close();
    const told = collector.spans.map(({ parentSpanId, attributes, status, startMs, endMs }) => ({
      parentSpanId,
      count: attributes['messaging.batch.message_count'],
      failed: attributes['dual_stream.events_failed'],
      status,
      took: endMs - startMs >= 39,
    }));
    assert.deepEqual(told, [
      { parentSpanId: one?.spanId, count: 2, failed: 1, status: 2, took: true },
      { parentSpanId: other?.spanId, count: 1, failed: undefined, status: 0, took: true },
    ]);
  });

  it('of a batch count what was not stored, with the code of the first', async () => {
    const send = tracing.request(REQUEST, undefined)?.send();
    send?.settled([
      STORED,
      { status: 'unknown', code: 'outcome-unknown' },
      { status: 'not_stored', code: 'x' },
    ]);
    await tracing.close();
    const [span] = collector.spans;
    assert.equal(span?.status, 2);
    assert.equal(span?.attributes['error.type'], 'outcome-unknown');
    assert.equal(span?.attributes['dual_stream.events_failed'], 2);
    assert.equal(span?.attributes['messaging.batch.message_count'], 3);
  });

  for (const [sampler, arg, kept] of [
    ['always_on', '1', { none: true, sampled: true, not: true }],
    ['always_off', '1', { none: false, sampled: false, not: false }],
    ['traceidratio', '0', { none: false, sampled: false, not: false }],
    ['traceidratio', '1', { none: true, sampled: true, not: true }],
    ['parentbased_always_on', '1', { none: true, sampled: true, not: false }],
    ['parentbased_always_off', '1', { none: false, sampled: true, not: false }],
    ['parentbased_traceidratio', '0', { none: false, sampled: true, not: false }],
  ] as const) {
    it(`are kept as ${sampler} says, with ${arg}`, () => {
      const sampling = open({ OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: arg });
      const isKept = (parent: typeof SAMPLED | undefined) => {
        const send = sampling.request(REQUEST, parent)?.send();
        assert.equal(send?.traceParent.traceparent.endsWith('-01'), send?.context !== undefined);
        return send?.context !== undefined;
      };
      assert.deepEqual({ none: isKept(undefined), sampled: isKept(SAMPLED), not: isKept(NOT_SAMPLED) }, kept);
    });
  }

  it('do not hold up the end when the collector hangs', { timeout: 10_000 }, async () => {
    const hanging = open();
    collector.answer = 0;
    hanging.request(REQUEST, undefined)?.end(201);
    const startedAt = performance.now();
    await hanging.close();
    const took = performance.now() - startedAt;
    assert.ok(took > 1_000 && took < 4_000, `${took} ms`);
  });
});
