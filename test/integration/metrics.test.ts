import assert from 'node:assert/strict';
import { after, before as beforeAll, describe, it } from 'node:test';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import { samplesIn } from '../../dev/prometheus-samples.ts';
import type { Server } from '../../src/ingest/server.ts';
import { startService, until } from './local-service.ts';

const BUFFER = 32 * 1024 * 1024;
const EVENTS_MAX = 1_000;

/** How a sample has to be in the end. Seconds are those of a machine that may be busy. */
type Expected = number | { readonly least: number; readonly most: number };
const seconds: Expected = { least: 0.000_001, most: 60 };

/** Each metric of the service, and what it says. A name that is missing here is found. */
const expected: Readonly<Record<string, Readonly<Record<string, Expected>>>> = {
  http_server_request_duration_seconds: {
    '_count{http_request_method="POST",http_route="/v1/events",http_response_status_code="201"}': 3,
    '_count{http_request_method="POST",http_route="/v1/events",http_response_status_code="422"}': 1,
    '_count{http_request_method="POST",http_route="/v1/events",http_response_status_code="504"}': 1,
    '_count{http_request_method="POST",http_route="/v1/events/batch",http_response_status_code="207"}': 1,
    '_sum{http_request_method="POST",http_route="/v1/events",http_response_status_code="504"}': {
      least: 1,
      most: 1.6,
    },
  },
  dual_stream_events_total: {
    '{outcome="stored"}': 6,
    '{outcome="refused"}': 3,
    '{outcome="not_stored"}': 1,
    '{outcome="unknown"}': 1,
    '{outcome="stored_late"}': 1,
  },
  dual_stream_kafka_publish_duration_seconds: { _count: 7, _sum: { least: 1, most: 60 } },
  dual_stream_kafka_request_duration_seconds: { _count: { least: 5, most: 7 }, _sum: seconds },
  // Kafka was only slow, and its answer counts.
  dual_stream_kafka_errors_total: {},
  dual_stream_batch_events: { _sum: 7, _count: { least: 5, most: 7 } },
  dual_stream_refused_total: {
    // In batches too.
    '{reason="invalid-event"}': 3,
    '{reason="batch-aborted"}': 1,
    '{reason="outcome-unknown"}': 1,
  },
  dual_stream_connections: { '': { least: 1, most: 20 } },
  dual_stream_connections_limit: { '': 500 },
  dual_stream_redis_notifications_total: {
    '{result="sent"}': 7,
    '{result="failed"}': 0,
    '{result="dropped"}': 0,
  },
  dual_stream_redis_publish_duration_seconds: { _count: { least: 5, most: 7 }, _sum: seconds },
  dual_stream_ready: { '{dependency="kafka"}': 1, '{dependency="redis"}': 1 },
  dual_stream_kafka_topic_replication_factor: { '': 1 },
  dual_stream_kafka_topic_min_insync_replicas: { '': 1 },
  // There is no certificate here; see https.test.ts.
  dual_stream_credentials_current: {},
  dual_stream_certificate_expiry_timestamp_seconds: {},
  // Nothing is under way.
  dual_stream_buffer_events: { '': 0 },
  dual_stream_buffer_bytes: { '': { least: 0, most: 10_000 } },
  dual_stream_buffer_oldest_age_seconds: { '': 0 },
  dual_stream_buffer_events_limit: { '': EVENTS_MAX },
  dual_stream_buffer_bytes_limit: { '': BUFFER },
};

const event = (more: object = {}) => ({ type: 't', source_type: 'user', source_id: 's', ...more });

describe('what the metrics say', () => {
  let kafka: LocalKafka;
  let redis: LocalRedis;
  let server: Server;

  beforeAll(async () => {
    [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
    const settings = {
      BUFFER_MAX_BYTES: String(BUFFER),
      BUFFER_MAX_EVENTS: String(EVENTS_MAX),
      CONNECTIONS_MAX: '500',
    };
    server = await startService(kafka, redis, settings);
  });
  after(async () => {
    await server?.close();
    await Promise.all([kafka?.stop(), redis?.stop()]);
  });

  async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<number> {
    const answer = await fetch(`${server.address}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    await answer.text();
    return answer.status;
  }
  const text = async () => (await fetch(`${server.address}/metrics`)).text();
  const value = async (sample: string) => samplesIn(await text()).get(sample) ?? Number.NaN;

  it('is what has happened, for each of them', async () => {
    for (let count = 0; count < 3; count += 1) assert.equal(await post('/v1/events', event()), 201);
    assert.equal(await post('/v1/events', event({ source_type: 'User' })), 422);
    const batch = [event(), event(), event({ source_type: 'User' }), event()];
    assert.equal(await post('/v1/events/batch', batch), 207);
    assert.equal(await post('/v1/events/batch?on_refused=abort', batch.slice(1, 3)), 422);
    await kafka.pause();
    const unknown = post('/v1/events', event(), { prefer: 'wait=1' });
    await until(async () => (await value('dual_stream_buffer_events')) === 1);
    assert.ok((await value('dual_stream_buffer_bytes')) > 4_096);
    await until(async () => (await value('dual_stream_buffer_oldest_age_seconds')) > 0.5);
    assert.equal(await unknown, 504);
    await kafka.resume();
    await until(async () => (await value('dual_stream_redis_notifications_total{result="sent"}')) === 7);

    const exposition = await text();
    const samples = samplesIn(exposition);
    const names = [...exposition.matchAll(/^# TYPE ((?:dual_stream|http_server)\w+)/gm)].map(
      ([, name]) => name,
    );
    assert.deepEqual(names.toSorted(), Object.keys(expected).toSorted());
    for (const [name, rows] of Object.entries(expected)) {
      for (const [row, wanted] of Object.entries(rows)) {
        const found = samples.get(`${name}${row}`);
        const { least, most } = typeof wanted === 'number' ? { least: wanted, most: wanted } : wanted;
        assert.ok(found !== undefined && found >= least && found <= most, `${name}${row} is ${found}`);
      }
      // Of a counter all that is counted is in the table.
      if (!name.endsWith('_total')) continue;
      const counted = [...samples].filter(([sample, count]) => sample.startsWith(`${name}{`) && count > 0);
      for (const [sample] of counted) assert.ok(sample.slice(name.length) in rows, sample);
    }
  });
});
