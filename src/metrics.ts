import { Counter, collectDefaultMetrics, Gauge, Histogram, type Metric, Registry } from 'prom-client';
import { BucketCounts } from './bucket-counts.ts';

const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30];

/** What the service reads when it is scraped, rather than being told at each change. */
export interface BufferReading {
  readonly events: number;
  readonly bytes: number;
  readonly oldestAgeSeconds: number;
}

/** How an event ended; `stored_late`: acknowledged after it was answered unknown. */
export type EventOutcome = 'stored' | 'stored_late' | 'refused' | 'not_stored' | 'unknown';

/** Every metric of the service, as verbs of the domain. Labels are short closed lists, never an id. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #httpRequests = new HttpRequests();
  readonly #publishes = new BucketCounts(LATENCY_SECONDS);
  readonly #events = new Counter({
    name: 'dual_stream_events_total',
    help: 'Events answered, by outcome: stored, refused, not_stored, unknown; stored_late: acknowledged after it was answered unknown.',
    labelNames: ['outcome'] as const,
    registers: [this.#registry],
  });
  readonly #kafkaRequests = new Histogram({
    name: 'dual_stream_kafka_request_duration_seconds',
    help: 'Time from writing a Produce request to its answer.',
    buckets: LATENCY_SECONDS,
    registers: [this.#registry],
  });
  readonly #kafkaErrors = new Counter({
    name: 'dual_stream_kafka_errors_total',
    help: 'Attempts that Kafka did not acknowledge, by partition and attempt: the name of the error code, or connection, timeout, abandoned.',
    labelNames: ['reason'] as const,
    registers: [this.#registry],
  });
  readonly #batchEvents = new Histogram({
    name: 'dual_stream_batch_events',
    help: 'Events in one record batch as it was sent to Kafka.',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000],
    registers: [this.#registry],
  });
  readonly #refused = new Counter({
    name: 'dual_stream_refused_total',
    help: 'Events and requests answered with a problem, by its code.',
    labelNames: ['reason'] as const,
    registers: [this.#registry],
  });
  readonly #connections = new Gauge({
    name: 'dual_stream_connections',
    help: 'Connections that are open on the port of the API.',
    registers: [this.#registry],
  });
  readonly #connectionsLimit = new Gauge({
    name: 'dual_stream_connections_limit',
    help: 'CONNECTIONS_MAX.',
    registers: [this.#registry],
  });
  readonly #notifications = new Counter({
    name: 'dual_stream_redis_notifications_total',
    help: 'Notifications of stored events: sent; failed (Redis was down, refused, or did not answer); dropped (too old, or the queue was full, with Redis up).',
    labelNames: ['result'] as const,
    registers: [this.#registry],
  });
  readonly #redisPublishes = new Histogram({
    name: 'dual_stream_redis_publish_duration_seconds',
    help: 'Time that one pipeline of notifications took in Redis.',
    buckets: LATENCY_SECONDS,
    registers: [this.#registry],
  });
  readonly #ready = new Gauge({
    name: 'dual_stream_ready',
    help: '1 while the dependency can be used, else 0.',
    labelNames: ['dependency'] as const,
    registers: [this.#registry],
  });

  readonly #replicationFactor = new Gauge({
    name: 'dual_stream_kafka_topic_replication_factor',
    help: 'Replication factor of the topic; below 3, losing a broker can lose events.',
    registers: [this.#registry],
  });
  readonly #minInSyncReplicas = new Gauge({
    name: 'dual_stream_kafka_topic_min_insync_replicas',
    help: 'min.insync.replicas of the topic; below 2, an acknowledged event may be on one broker only.',
    registers: [this.#registry],
  });
  readonly #credentialsCurrent = new Gauge({
    name: 'dual_stream_credentials_current',
    help: '1 while what is in use of keys and certificates is what their files, or the issuer, say; 0: that cannot be used, and what was read before still holds.',
    labelNames: ['setting'] as const,
    registers: [this.#registry],
  });
  readonly #certificateExpiry = new Gauge({
    name: 'dual_stream_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that this service shows expires, in seconds since 1970.',
    labelNames: ['setting'] as const,
    registers: [this.#registry],
  });
  /** Not in the counter yet: an event is counted at the cost of an addition, and in the counter at each scrape. */
  readonly #settled: Record<EventOutcome, number> = {
    stored: 0,
    stored_late: 0,
    refused: 0,
    not_stored: 0,
    unknown: 0,
  };
  /** A child per label value, looked up once: that is most of what an increment costs. */
  readonly #notificationsBy = {
    sent: this.#notifications.labels('sent'),
    failed: this.#notifications.labels('failed'),
    dropped: this.#notifications.labels('dropped'),
  };

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    // A counter that has not counted yet is still worth seeing: a rate over it needs a first value.
    for (const counter of Object.values(this.#notificationsBy)) counter.inc(0);
    this.#expose({
      name: 'http_server_request_duration_seconds',
      help: 'Duration of HTTP server requests, from the headers to the last byte of the answer.',
      counts: () => this.#httpRequests.all,
    });
    this.#expose({
      name: 'dual_stream_kafka_publish_duration_seconds',
      help: 'Time from accepting an event to the acknowledgement of Kafka.',
      counts: () => [{ labels: {}, counts: this.#publishes }],
    });
  }

  /** Reads the buffer's depth at each scrape. */
  observeBuffer(limits: { bytesMax: number; eventsMax: number }, read: () => BufferReading): void {
    const registers = [this.#registry];
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    gauge('dual_stream_buffer_events', 'Events accepted and not yet settled.', () => read().events);
    gauge(
      'dual_stream_buffer_bytes',
      'Bytes that requests hold, received, queued and in flight.',
      () => read().bytes,
    );
    gauge(
      'dual_stream_buffer_oldest_age_seconds',
      'Age of the oldest unsettled event.',
      () => read().oldestAgeSeconds,
    );
    gauge('dual_stream_buffer_events_limit', 'BUFFER_MAX_EVENTS.', () => limits.eventsMax);
    gauge('dual_stream_buffer_bytes_limit', 'BUFFER_MAX_BYTES.', () => limits.bytesMax);
  }

  httpRequest(method: string, route: string, status: number, seconds: number): void {
    this.#httpRequests.of(method, route, status).observe(seconds);
  }

  eventsSettled(outcome: EventOutcome, count: number): void {
    this.#settled[outcome] += count;
  }

  publishTook(seconds: number): void {
    this.#publishes.observe(seconds);
  }

  kafkaRequestTook(seconds: number): void {
    this.#kafkaRequests.observe(seconds);
  }

  kafkaError(reason: string): void {
    this.#kafkaErrors.inc({ reason });
  }

  batchSent(events: number): void {
    this.#batchEvents.observe(events);
  }

  refused(reason: string, count = 1): void {
    this.#refused.inc({ reason }, count);
  }

  connectionsOpen(count: number): void {
    this.#connections.set(count);
  }

  connectionsLimited(max: number): void {
    this.#connectionsLimit.set(max);
  }

  notified(result: 'sent' | 'failed' | 'dropped', count: number): void {
    this.#notificationsBy[result].inc(count);
  }

  redisPublishTook(seconds: number): void {
    this.#redisPublishes.observe(seconds);
  }

  ready(dependency: 'kafka' | 'redis' | 'authentication', isReady: boolean): void {
    this.#ready.set({ dependency }, isReady ? 1 : 0);
  }

  /** `setting`: what the settings begin with that lead to them, e.g. `KAFKA_SSL`. */
  credentialsCurrent(setting: string, isCurrent: boolean): void {
    this.#credentialsCurrent.set({ setting }, isCurrent ? 1 : 0);
  }

  certificateExpires(setting: string, atMs: number): void {
    this.#certificateExpiry.set({ setting }, atMs / 1_000);
  }

  topicSettings(settings: { replicationFactor: number; minInSyncReplicas: number }): void {
    this.#replicationFactor.set(settings.replicationFactor);
    this.#minInSyncReplicas.set(settings.minInSyncReplicas);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The Prometheus text exposition. */
  text(): Promise<string> {
    for (const [outcome, count] of Object.entries(this.#settled) as [EventOutcome, number][]) {
      this.#events.inc({ outcome }, count);
      this.#settled[outcome] = 0;
    }
    return this.#registry.metrics();
  }

  /**
   * Registers a histogram that is counted here. prom-client's own makes an object and a hash of its labels for each
   * value, which came to a twentieth of what an event costs.
   */
  #expose({
    name,
    help,
    counts,
  }: {
    name: string;
    help: string;
    counts: () => readonly LabelledCounts[];
  }): void {
    const metric = {
      name,
      help,
      type: 'histogram',
      get: async () => ({ ...metric, values: counts().flatMap((each) => samplesOf(name, each)) }),
    };
    this.#registry.registerMetric(metric as unknown as Metric);
  }
}

interface LabelledCounts {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly counts: BucketCounts;
}

/** Counts by method, route and status, which are short closed lists. */
class HttpRequests {
  readonly #byRoute = new Map<string, Map<string, Map<number, BucketCounts>>>();
  readonly all: LabelledCounts[] = [];

  of(method: string, route: string, status: number): BucketCounts {
    return this.#byRoute.get(route)?.get(method)?.get(status) ?? this.#add(method, route, status);
  }

  #add(method: string, route: string, status: number): BucketCounts {
    const counts = new BucketCounts(LATENCY_SECONDS);
    const labels = { http_request_method: method, http_route: route, http_response_status_code: status };
    this.all.push({ labels, counts });
    const byMethod = this.#byRoute.get(route) ?? new Map<string, Map<number, BucketCounts>>();
    const byStatus = byMethod.get(method) ?? new Map<number, BucketCounts>();
    this.#byRoute.set(route, byMethod.set(method, byStatus.set(status, counts)));
    return counts;
  }
}

/** What prom-client's own histogram shows of its values. */
function samplesOf(name: string, { labels, counts }: LabelledCounts) {
  const cumulative = counts.cumulative();
  const total = cumulative.at(-1) ?? 0;
  return [
    ...[...counts.bounds, '+Inf'].map((le, index) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le },
      value: cumulative[index] ?? total,
    })),
    { metricName: `${name}_sum`, labels, value: counts.sum },
    { metricName: `${name}_count`, labels, value: total },
  ];
}
