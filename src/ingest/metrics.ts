import { ApiMetrics } from '../api-metrics.ts';
import { BucketCounts } from '../bucket-counts.ts';
import { LATENCY_SECONDS } from '../metrics.ts';

/** What the service reads when it is scraped, rather than being told at each change. */
export interface BufferReading {
  readonly events: number;
  readonly bytes: number;
  readonly oldestAgeSeconds: number;
}

/** How an event ended; `stored_late`: acknowledged after it was answered unknown. */
export type EventOutcome = 'stored' | 'stored_late' | 'refused' | 'not_stored' | 'unknown';

/** Every metric of the service that takes events in. */
export class IngestMetrics extends ApiMetrics {
  readonly #publishes = new BucketCounts(LATENCY_SECONDS);
  readonly #events = this.counter({
    name: 'dual_stream_events_total',
    help: 'Events answered, by outcome: stored, refused, not_stored, unknown; stored_late: acknowledged after it was answered unknown.',
    labelNames: ['outcome'] as const,
  });
  readonly #kafkaRequests = this.histogram({
    name: 'dual_stream_kafka_request_duration_seconds',
    help: 'Time from writing a Produce request to its answer.',
    buckets: LATENCY_SECONDS,
  });
  readonly #kafkaErrors = this.counter({
    name: 'dual_stream_kafka_errors_total',
    help: 'Attempts that Kafka did not acknowledge, by partition and attempt: the name of the error code, or connection, timeout, abandoned.',
    labelNames: ['reason'] as const,
  });
  readonly #batchEvents = this.histogram({
    name: 'dual_stream_batch_events',
    help: 'Events in one record batch as it was sent to Kafka.',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000],
  });
  readonly #notifications = this.counter({
    name: 'dual_stream_redis_notifications_total',
    help: 'Notifications of stored events: sent; failed (Redis was down, refused, or did not answer); dropped (too old, or the queue was full, with Redis up).',
    labelNames: ['result'] as const,
  });
  readonly #redisPublishes = this.histogram({
    name: 'dual_stream_redis_publish_duration_seconds',
    help: 'Time that one pipeline of notifications took in Redis.',
    buckets: LATENCY_SECONDS,
  });
  readonly #replicationFactor = this.gauge({
    name: 'dual_stream_kafka_topic_replication_factor',
    help: 'Replication factor of the topic; below 3, losing a broker can lose events.',
  });
  readonly #minInSyncReplicas = this.gauge({
    name: 'dual_stream_kafka_topic_min_insync_replicas',
    help: 'min.insync.replicas of the topic; below 2, an acknowledged event may be on one broker only.',
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
    super();
    // A counter that has not counted yet is still worth seeing: a rate over it needs a first value.
    for (const counter of Object.values(this.#notificationsBy)) counter.inc(0);
    this.expose({
      name: 'dual_stream_kafka_publish_duration_seconds',
      help: 'Time from accepting an event to the acknowledgement of Kafka.',
      counts: () => [{ labels: {}, counts: this.#publishes }],
    });
  }

  /** Reads the buffer's depth at each scrape. */
  observeBuffer(limits: { bytesMax: number; eventsMax: number }, read: () => BufferReading): void {
    this.readGauge('dual_stream_buffer_events', 'Events accepted and not yet settled.', () => read().events);
    this.readGauge(
      'dual_stream_buffer_bytes',
      'Bytes that requests hold, received, queued and in flight.',
      () => read().bytes,
    );
    this.readGauge(
      'dual_stream_buffer_oldest_age_seconds',
      'Age of the oldest unsettled event.',
      () => read().oldestAgeSeconds,
    );
    this.readGauge('dual_stream_buffer_events_limit', 'BUFFER_MAX_EVENTS.', () => limits.eventsMax);
    this.readGauge('dual_stream_buffer_bytes_limit', 'BUFFER_MAX_BYTES.', () => limits.bytesMax);
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

  notified(result: 'sent' | 'failed' | 'dropped', count: number): void {
    this.#notificationsBy[result].inc(count);
  }

  redisPublishTook(seconds: number): void {
    this.#redisPublishes.observe(seconds);
  }

  topicSettings(settings: { replicationFactor: number; minInSyncReplicas: number }): void {
    this.#replicationFactor.set(settings.replicationFactor);
    this.#minInSyncReplicas.set(settings.minInSyncReplicas);
  }

  override text(): Promise<string> {
    for (const [outcome, count] of Object.entries(this.#settled) as [EventOutcome, number][]) {
      this.#events.inc({ outcome }, count);
      this.#settled[outcome] = 0;
    }
    return super.text();
  }
}
