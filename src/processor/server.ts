import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { systemClock as clock } from '../clock.ts';
import { brokerAddresses } from '../config.ts';
import { managementApp } from '../http/management-app.ts';
import { kafkaClient } from '../kafka/kafka-client.ts';
import { isSecretInClear, saslOptions } from '../kafka/kafka-sasl.ts';
import { runProgram } from '../program.ts';
import { migrate, SCHEMA_VERSION } from '../store/migrations.ts';
import { addPosition, type Log, movePositions, readPositions } from '../store/positions.ts';
import { openStore } from '../store/postgres.ts';
import { type ProcessorConfig, readProcessorConfig } from '../store-config.ts';
import { openTlsFiles } from '../tls-files.ts';
import { EventProcessor } from './event-processor.ts';
import { EventWriter } from './event-writer.ts';
import { GroupConsumer } from './kafka-consumer.ts';
import { DeadLetters } from './kafka-dead-letters.ts';
import { KafkaLog } from './kafka-log.ts';
import { LastStored } from './lag.ts';
import { ProcessorMetrics } from './metrics.ts';
import { type ProcessorDependencies, processorReadiness, processorReadyzSchema } from './readiness.ts';
import { processorReport } from './report.ts';
import { Retention } from './retention.ts';

/** One transaction, one removing, and one that looks at positions. */
const STORE_CONNECTIONS_MAX = 4;
const STATEMENT_TIMEOUT_MS = 30_000;
const ALIGN_EVERY_MS = 5_000;
const RETRY_START_MS = 2_000;
const HOUR_MS = 3_600_000;

export interface Processor {
  /** Where its probes and metrics are, e.g. `http://127.0.0.1:9091`. */
  readonly address: string;
  /** Finishes what is being stored, and leaves the group. */
  close(): Promise<void>;
}

/**
 * Builds the event processor, top to bottom, and starts it. It listens at once and keeps trying to reach Kafka and
 * PostgreSQL.
 * @throws ConfigError when a file that a setting leads to cannot be used, and Error when an address cannot be listened on
 */
export async function startProcessor(config: ProcessorConfig, log: Logger): Promise<Processor> {
  const metrics = new ProcessorMetrics();
  const dependencies: { -readonly [name in keyof ProcessorDependencies]: ProcessorDependencies[name] } = {
    kafka: 'connecting',
    postgres: 'connecting',
  };
  const found = (name: keyof ProcessorDependencies, isUp: boolean) => {
    dependencies[name] = isUp ? 'up' : 'down';
    metrics.ready(name, isUp);
  };
  metrics.ready('kafka', false);
  metrics.ready('postgres', false);
  let isLeaving = false;

  const files = (setting: 'KAFKA_SSL' | 'POSTGRES_SSL') => {
    if (!config[setting]) return undefined;
    const paths = {
      ca: config[`${setting}_CA_FILE`],
      cert: config[`${setting}_CERT_FILE`],
      key: config[`${setting}_KEY_FILE`],
    };
    return openTlsFiles(setting, paths, { log, metrics });
  };
  const kafkaFiles = files('KAFKA_SSL');
  const postgresFiles = files('POSTGRES_SSL');

  const kafkaLog = log.child({ part: 'kafka' });
  const clientOptions = {
    brokers: brokerAddresses(config.KAFKA_BROKERS),
    clientId: config.KAFKA_CLIENT_ID,
    log: kafkaLog,
    tls: kafkaFiles && (() => kafkaFiles.value),
    sasl: saslOptions(config),
    staysConnected: true,
  };
  const { kafka } = kafkaClient(clientOptions);
  if (isSecretInClear(config))
    kafkaLog.warn('KAFKA_SSL is not set: what proves to Kafka who this is goes over the network in clear');
  const topicLog = new KafkaLog(kafka, config.KAFKA_TOPIC);
  const deadLetters = new DeadLetters({
    kafka,
    topic: config.KAFKA_TOPIC,
    deadLetterTopic: config.KAFKA_DEAD_LETTER_TOPIC ?? `${config.KAFKA_TOPIC}.dead-letters`,
    createsTopic: config.KAFKA_TOPIC_CREATE,
  });
  const store = openStore({
    url: config.POSTGRES_URL,
    tls: postgresFiles && (() => postgresFiles.value),
    applicationName: 'dual-stream-processor',
    connectionsMax: STORE_CONNECTIONS_MAX,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    log: log.child({ part: 'postgres' }),
  });

  const retentionMs = config.STORE_RETENTION_HOURS * HOUR_MS;
  const retention =
    retentionMs === 0
      ? undefined
      : new Retention({
          clock,
          store,
          hours: config.STORE_RETENTION_HOURS,
          log,
          onRemoved: (count) => metrics.removed(count),
        });
  const lastStored = new LastStored();
  const report = processorReport({
    log,
    clock,
    metrics,
    lastStored,
    onState: (isStoring) => found('postgres', isStoring),
  });

  /** Everything that has to know of which log it is; there once Kafka and PostgreSQL have been reached. */
  const begin = (of: Log) => {
    const writer = new EventWriter({
      store,
      log: of,
      onWritten: (counts, seconds) => metrics.written(counts, seconds),
    });
    const processor = new EventProcessor({
      readPositions: (partition) => readPositions(store.query, of, partition),
      addPosition: (partition, next) => addPosition(store.query, of, partition, next),
      movePosition: async (move) => (await movePositions(store.query, of, [move])).size > 0,
      logRanges: () => topicLog.ranges(),
      seek: (partition, offset) => consumer.seek(partition, offset),
      write: (write) => writer.write(write),
      sendDeadLetters: async (letters) => {
        await deadLetters.send(letters);
        for (const { reason } of letters) metrics.deadLetter(reason);
      },
      pause: (ms) => delay(ms),
      expiredBeforeMs: () => (retentionMs === 0 ? 0 : Date.now() - retentionMs),
      report,
    });
    const align = async () => {
      try {
        await processor.align();
        found('postgres', true);
        metrics.lag(lastStored.lagOf(processor, await topicLog.ranges(), Date.now()));
        await consumer.commit(processor.positions);
      } catch (error) {
        log.debug({ err: error }, 'the positions cannot be looked at now');
      }
    };
    const consumer: GroupConsumer = new GroupConsumer({
      kafka,
      groupId: config.KAFKA_GROUP_ID,
      topic: config.KAFKA_TOPIC,
      sessionTimeoutMs: config.KAFKA_SESSION_TIMEOUT_MS,
      log: kafkaLog,
      onAssigned: (partitions) => {
        log.info({ partitions }, 'has these partitions now');
        processor.assign(partitions);
        void align();
      },
      take: (records, delivery) => processor.take(records, delivery),
      onState: (isUp) => found('kafka', isUp),
    });
    const stopAligning = clock.every(ALIGN_EVERY_MS, () => void align());
    void retention?.remove();
    return async () => {
      stopAligning();
      await consumer.close();
    };
  };
  const starting = untilReached();
  const management = await managementApp({
    readiness: () => processorReadiness(dependencies),
    isLeaving: () => isLeaving,
    readyzSchema: processorReadyzSchema,
    metrics,
    log,
    document: undefined,
  });

  async function untilReached(): Promise<(() => Promise<void>) | undefined> {
    let lastFault = '';
    for (;;) {
      if (isLeaving) return undefined;
      try {
        const version = await migrate(store);
        if (version !== SCHEMA_VERSION) log.info({ from: version, to: SCHEMA_VERSION }, 'made the tables');
        found('postgres', true);
        const cluster = await topicLog.cluster();
        return begin({ cluster, topic: config.KAFKA_TOPIC });
      } catch (error) {
        const fault = (error as Error).message;
        if (fault !== lastFault) log.warn({ reason: fault }, 'cannot start yet; trying again');
        lastFault = fault;
        await delay(RETRY_START_MS);
      }
    }
  }

  const close = async (): Promise<void> => {
    isLeaving = true;
    retention?.close();
    const stopping = starting.then((stop) => stop?.());
    await Promise.race([stopping, delay(config.SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
    topicLog.close();
    await deadLetters.close();
    await store.close();
    kafkaFiles?.close();
    postgresFiles?.close();
    await management.close();
  };
  try {
    const host = config.HOST === 'localhost' ? '127.0.0.1' : config.HOST;
    const address = await management.listen({ host, port: config.MANAGEMENT_PORT });
    return { address, close };
  } catch (error) {
    await close();
    throw error;
  }
}

if (import.meta.main) {
  await runProgram({
    name: 'dual-stream processor',
    env: process.env,
    read: readProcessorConfig,
    start: async (config, log) => {
      const processor = await startProcessor(config, log);
      return { close: () => processor.close().then(() => undefined) };
    },
  });
}
