import type { Server as HttpsServer } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { systemClock as clock } from '../clock.ts';
import { brokerAddresses, type Config, isTracing, readConfig } from '../config.ts';
import { BufferBudget } from '../http/buffer-budget.ts';
import { closeManagement, listenWithManagement, managementApp } from '../http/management-app.ts';
import { RateLimiter } from '../http/rate-limits.ts';
import { kafkaClient } from '../kafka/kafka-client.ts';
import { isSecretInClear, saslOptions } from '../kafka/kafka-sasl.ts';
import { runProgram } from '../program.ts';
import type { Tracing } from '../tracing.ts';
import { buildApp, probeOptions } from './app.ts';
import { openCredentials } from './credentials.ts';
import { DualPublisher, type PublishRequest } from './dual-publisher.ts';
import { collectEarlierUnderPressure } from './garbage-pressure.ts';
import { KafkaProducer } from './kafka-producer.ts';
import { type TopicSettings, TopicWatch } from './kafka-topic.ts';
import { IngestMetrics } from './metrics.ts';
import { KEY_BYTES_MAX } from './partitioner.ts';
import { BATCH_HEADER_BYTES, RECORD_OVERHEAD_BYTES_MAX } from './record-batch.ts';
import { RedisNotifier } from './redis-notifier.ts';
import { redisSettings } from './redis-settings.ts';
import { TRACE_HEADERS_BYTES_MAX } from './trace-context.ts';

/** Longer than the broker-side timeout, so that it is Kafka that answers (ARCHITECTURE.md, timing). */
const REQUEST_TIMEOUT_MS = 11_000;
const NOTIFIER_CLOSE_MS = 1_000;
/** At least, as it is the last to close. */
const MANAGEMENT_CLOSE_MS = 1_000;
/** A batch never needs to be larger than this to be efficient, whatever the topic allows. */
const BATCH_BYTES_MAX = 1_000_000;
const BATCH_RECORDS_MAX = 10_000;

export interface Server {
  /** Where it listens, e.g. `http://127.0.0.1:8080`. */
  readonly address: string;
  /** Not ready any more, but serving on: load balancers are given time to notice. */
  leave(): void;
  /** Stops as promise P7 says. Returns how many accepted events were left unsettled. */
  close(): Promise<number>;
}

/**
 * Builds the service, top to bottom, and starts it. It listens at once and keeps trying to reach Kafka and Redis.
 * @throws ConfigError when a file that a setting leads to cannot be used, and Error when an address cannot be listened on; nothing
 * is left running then.
 */
export async function startServer(config: Config, log: Logger): Promise<Server> {
  const metrics = new IngestMetrics();
  const credentials = openCredentials(config, {
    log,
    metrics,
    onHttpChange: (material) => (app.server as HttpsServer).setSecureContext(material),
  });
  const { authentication } = credentials;
  const tracing = await openTracing(config, log);
  const budget = new BufferBudget({ bytesMax: config.BUFFER_MAX_BYTES, eventsMax: config.BUFFER_MAX_EVENTS });
  const stopCollecting = collectEarlierUnderPressure(budget, clock);
  let topic: TopicSettings | undefined;
  let isLeaving = false;

  const redis = redisSettings(config, credentials.redis);
  const notifier =
    redis &&
    new RedisNotifier({
      redis,
      aggregateChannels: config.REDIS_AGGREGATE_CHANNELS,
      log: log.child({ part: 'redis' }),
      metrics,
      onState: (isUp) => metrics.ready('redis', isUp),
      onPublished: tracing && ((notifications, startedAt) => tracing.notified(notifications, startedAt)),
    });
  if (notifier === undefined) log.info('REDIS_MODE is off: nobody is notified');

  const rateLimits = {
    requestsPerSecond: config.RATE_LIMIT_REQUESTS_PER_SECOND,
    bytesPerSecond: config.RATE_LIMIT_BYTES_PER_SECOND,
  };
  const isLimited = rateLimits.requestsPerSecond !== undefined || rateLimits.bytesPerSecond !== undefined;
  const rateLimiter = isLimited ? new RateLimiter(rateLimits, clock) : undefined;

  const bootstrap = brokerAddresses(config.KAFKA_BROKERS);
  const kafkaLog = log.child({ part: 'kafka' });
  const { kafka: kafkaFiles } = credentials;
  const { kafka, security } = kafkaClient({
    brokers: bootstrap,
    clientId: config.KAFKA_CLIENT_ID,
    log: kafkaLog,
    tls: kafkaFiles && (() => kafkaFiles.value),
    sasl: saslOptions(config),
  });
  if (isSecretInClear(config))
    kafkaLog.warn('KAFKA_SSL is not set: what proves to Kafka who this is goes over the network in clear');
  const producer = new KafkaProducer({
    bootstrap,
    security,
    topic: config.KAFKA_TOPIC,
    compression: config.KAFKA_COMPRESSION,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    onMetadata: (metadata) => publisher.lanes.update(metadata, topic?.minInSyncReplicas ?? 1),
  });
  const refreshMetadata = () => {
    void producer.refreshMetadata().then((fault) => {
      if (fault !== undefined) kafkaLog.debug({ fault }, 'no metadata');
    });
  };
  const publisher: DualPublisher = new DualPublisher({
    clock,
    random: Math.random,
    batchLimits: () => ({
      bytesMax: Math.min(BATCH_BYTES_MAX, (topic?.messageBytesMax ?? BATCH_BYTES_MAX) - BATCH_HEADER_BYTES),
      recordsMax: BATCH_RECORDS_MAX,
    }),
    publishTimeoutMs: config.PUBLISH_TIMEOUT_MS,
    send: (attempt) => producer.send(attempt),
    release: (leader, channel) => producer.release(leader, channel),
    refreshMetadata,
    notify: (event, now) => notifier?.notify(event, now),
    onState: (state) => {
      metrics.ready('kafka', state === 'available');
      if (state === 'available') kafkaLog.info('Kafka is available');
      else if (state === 'trial') kafkaLog.info('Kafka answers again: one request a second is tried');
      else kafkaLog.error('Kafka is unavailable: events are refused until it answers again');
    },
    onTrouble: (isTroubled, failingPartitions, reason) => {
      if (isTroubled)
        kafkaLog.warn({ failingPartitions, reason }, 'Kafka does not take some events; retrying');
      else kafkaLog.info('Kafka takes every event again');
    },
    budget,
    metrics,
  });
  metrics.ready('kafka', false);
  metrics.observeBuffer(budget.limits, () => ({
    events: budget.events,
    bytes: budget.bytes,
    oldestAgeSeconds: publisher.lanes.oldestAgeMs / 1_000,
  }));

  const topicWatch = new TopicWatch({
    kafka,
    topic: config.KAFKA_TOPIC,
    createWithPartitions: config.KAFKA_TOPIC_CREATE ? config.KAFKA_TOPIC_PARTITIONS : undefined,
    log: kafkaLog,
    onSettings: (settings) => {
      if (JSON.stringify(settings) !== JSON.stringify(topic)) warnOfWeakTopic(settings, kafkaLog);
      topic = settings;
      if (publisher.lanes.state !== 'available') refreshMetadata();
      metrics.topicSettings(settings);
    },
  });

  const appOptions = {
    publish: (request: PublishRequest) => publisher.publish(request),
    retryAfterSeconds: () => publisher.retryAfterSeconds(),
    authentication,
    rateLimiter,
    budget,
    metrics,
    log,
    limits: {
      bodyBytesMax: config.BODY_MAX_BYTES,
      batchEventsMax: config.BATCH_MAX_EVENTS,
      publishTimeoutMs: config.PUBLISH_TIMEOUT_MS,
      connectionsMax: config.CONNECTIONS_MAX,
      eventBytesMax: () => Math.min(config.EVENT_MAX_BYTES, largestEvent(topic)),
    },
    readiness: () => ({
      kafka: publisher.lanes.readiness,
      redis: notifier?.state ?? ('off' as const),
      ...(authentication && { authentication: authentication.state }),
    }),
    isLeaving: () => isLeaving,
    tls: credentials.http?.value,
    tracing,
    hasManagementPort: config.MANAGEMENT_PORT !== undefined,
  };
  const app = await buildApp(appOptions);
  const management =
    config.MANAGEMENT_PORT === undefined
      ? undefined
      : await managementApp({ ...probeOptions(appOptions), metrics, log, document: app.swagger() });

  const close = async (): Promise<number> => {
    isLeaving = true;
    const giveUpAt = clock.now() + config.SHUTDOWN_TIMEOUT_MS;
    await Promise.race([app.close(), delay(config.SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
    const unsettled = await publisher.close(Math.max(0, giveUpAt - clock.now()));
    topicWatch.close();
    await producer.close();
    await notifier?.close(NOTIFIER_CLOSE_MS);
    await tracing?.close();
    if (management) await closeManagement(management, Math.max(MANAGEMENT_CLOSE_MS, giveUpAt - clock.now()));
    rateLimiter?.close();
    credentials.close();
    stopCollecting();
    return unsettled;
  };
  try {
    const address = await listenWithManagement(app, management, { config, log });
    return { address, leave: () => (isLeaving = true), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Loaded only if somebody collects spans: it costs memory and time at the start. */
async function openTracing(config: Config, log: Logger): Promise<Tracing | undefined> {
  if (!isTracing(config)) return undefined;
  const { Tracing: Spans } = await import('../tracing.ts');
  return new Spans({ config, log: log.child({ part: 'tracing' }) });
}

/** The largest event that the topic takes, as far as its settings are known. */
function largestEvent(topic: TopicSettings | undefined): number {
  if (topic === undefined) return Number.POSITIVE_INFINITY;
  const beside = RECORD_OVERHEAD_BYTES_MAX + KEY_BYTES_MAX + TRACE_HEADERS_BYTES_MAX;
  return topic.messageBytesMax - BATCH_HEADER_BYTES - beside;
}

function warnOfWeakTopic({ replicationFactor, minInSyncReplicas }: TopicSettings, log: Logger): void {
  if (replicationFactor >= 3 && minInSyncReplicas >= 2) return;
  log.warn(
    { replicationFactor, minInSyncReplicas },
    'the topic can lose acknowledged events when one broker is lost: use replication factor 3 and min.insync.replicas 2',
  );
}

if (import.meta.main) {
  await runProgram({
    name: 'dual-stream',
    env: process.env,
    read: readConfig,
    start: async (config, log) => {
      const server = await startServer(config, log);
      const close = async () => {
        const unsettled = await server.close();
        return unsettled === 0 ? undefined : { unsettled };
      };
      return { leave: () => server.leave(), close };
    },
  });
}
