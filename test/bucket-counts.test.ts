import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { IngestMetrics } from '../src/ingest/metrics.ts';

const HTTP = 'http_server_request_duration_seconds';
const PUBLISH = 'dual_stream_kafka_publish_duration_seconds';

const linesOf = (text: string, name: string) =>
  text.split('\n').filter((line) => line.startsWith(name) || line.includes(`${name} `));

describe('a histogram that is counted here', () => {
  it('shows what that of prom-client shows of the same values', async () => {
    const seconds = fc.oneof(
      fc.constantFrom(0, 0.001, 0.0025, 30, 31),
      fc.double({ min: 0, max: 40, noNaN: true }),
    );
    const request = fc.record({
      seconds,
      http_request_method: fc.constantFrom('GET', 'POST'),
      http_route: fc.constantFrom('/livez', '/v1/events'),
      http_response_status_code: fc.constantFrom(200, 201, 503),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request), fc.array(seconds), async (requests, publishes) => {
        const ours = new IngestMetrics();
        const registry = new Registry();
        const buckets = bucketsOf(await ours.text());
        const theirHttp = new Histogram({
          name: HTTP,
          help: 'Duration of HTTP server requests, from the headers to the last byte of the answer.',
          labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
          buckets,
          registers: [registry],
        });
        const theirs = new Histogram({
          name: PUBLISH,
          help: 'Time from accepting an event to the acknowledgement of Kafka.',
          buckets,
          registers: [registry],
        });
        for (const { seconds: took, ...labels } of requests) {
          ours.httpRequest(
            labels.http_request_method,
            labels.http_route,
            labels.http_response_status_code,
            took,
          );
          theirHttp.observe(labels, took);
        }
        for (const took of publishes) {
          ours.publishTook(took);
          theirs.observe(took);
        }
        const [our, their] = [await ours.text(), await registry.metrics()];
        for (const name of [HTTP, PUBLISH]) {
          assert.deepEqual(linesOf(our, name).map(sortedLabels), linesOf(their, name).map(sortedLabels));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('counts an event once, however often it is scraped', async () => {
    const metrics = new IngestMetrics();
    metrics.eventsSettled('stored', 2);
    await metrics.text();
    metrics.eventsSettled('stored', 1);
    await metrics.text();
    assert.ok((await metrics.text()).includes('dual_stream_events_total{outcome="stored"} 3\n'));
  });
});

function bucketsOf(text: string): number[] {
  const bounds = linesOf(text, `${PUBLISH}_bucket`).map((line) => Number(/le="([^"]+)"/.exec(line)?.[1]));
  return bounds.filter(Number.isFinite);
}

/** The order of labels means nothing. */
function sortedLabels(line: string): string {
  return line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').toSorted().join(',')}}`);
}
