import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { systemClock as clock } from '../clock.ts';
import { closeManagement, listen, managementApp } from '../http/management-app.ts';
import { runProgram } from '../program.ts';
import { migrate, SCHEMA_VERSION } from '../store/migrations.ts';
import { addPosition, type Log, movePositions, readPositions } from '../store/positions.ts';
import { type ProcessorConfig, readProcessorConfig } from '../store-config.ts';
import { openConnections } from './connections.ts';
import { EventProcessor } from './event-processor.ts';
import { EventWriter } from './event-writer.ts';
import { GroupConsumer } from './kafka-consumer.ts';
import { DeadLetters } from './kafka-dead-letters.ts';
import { KafkaLog } from './kafka-log.ts';
import { LastStored } from './lag.ts';
import { ProcessorMetrics } from './metrics.ts';
import { type ProcessorDependencies, processorReadiness, processorReadyzSchema } from './readiness.ts';
import { Repeated } from './repeated.ts';
import { processorReport } from './report.ts';
import { Retention } from './retention.ts';

/** One transaction, one removing, and one that looks at positions. */
const STORE_CONNECTIONS_MAX = 4;
const ALIGN_EVERY_MS = 5_000;
const RETRY_START_MS = 2_000;
const HOUR_MS = 3_600_000;

export interface Processor {
  /** Where its probes and metrics are, e.g. `http://127.0.0.1:9091`. */
  readonly address: string;
  /**
   * Finishes what is being stored and leaves the group. Returns whether that was done within SHUTDOWN_TIMEOUT_MS; whatever was
   * not finished is stored by others, or later.
   */
  close(): Promise<boolean>;
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

  const {
    kafka,
    store,
    close: disconnect,
  } = openConnections(config, {
    applicationName: 'dual-stream-processor',
    storeConnectionsMax: STORE_CONNECTIONS_MAX,
    log,
    metrics,
    onStoreState: (isUp) => found('postgres', isUp),
  });
  const topicLog = new KafkaLog(kafka, config.KAFKA_TOPIC);
  const deadLetterTopic = config.KAFKA_DEAD_LETTER_TOPIC ?? `${config.KAFKA_TOPIC}.dead-letters`;
  const deadLetters = new DeadLetters({
    kafka,
    topic: config.KAFKA_TOPIC,
    deadLetterTopic,
    createsTopic: config.KAFKA_TOPIC_CREATE,
  });

  /** `undefined`: events are kept for ever. */
  const retentionMs = config.STORE_RETENTION_HOURS === 0 ? undefined : config.STORE_RETENTION_HOURS * HOUR_MS;
  const retention =
    retentionMs === undefined
      ? undefined
      : new Retention({
          clock,
          store,
          hours: config.STORE_RETENTION_HOURS,
          log,
          onRemoved: (count) => metrics.removed(count),
        });
  const lastStored = new LastStored();
  const report = processorReport({ log, clock, metrics, lastStored });

  /** Everything that has to know of which log it is; there once Kafka and PostgreSQL have been reached. */
  const begin = (of: Log) => {
    const writer = new EventWriter({
      store,
      log: of,
      retentionMs,
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
        const count = await deadLetters.send(letters);
        for (const { reason } of letters.slice(0, count)) metrics.deadLetter(reason);
        return count;
      },
      pause: (ms) => delay(ms),
      report,
    });
    const unlessDown = ({ message }: Error) =>
      log.debug({ reason: message }, 'the positions cannot be looked at now');
    const aligned = new Repeated(ALIGN_EVERY_MS, async () => {
      await processor.align().catch(unlessDown);
      const ranges = await topicLog.ranges().catch(unlessDown);
      if (ranges) metrics.lag(lastStored.lagOf(processor, ranges, Date.now()));
      await consumer.commit(processor.reached);
    });
    const consumer: GroupConsumer = new GroupConsumer({
      kafka,
      groupId: config.KAFKA_GROUP_ID,
      topic: config.KAFKA_TOPIC,
      sessionTimeoutMs: config.KAFKA_SESSION_TIMEOUT_MS,
      log: log.child({ part: 'kafka' }),
      onAssigned: (partitions) => {
        log.info({ partitions }, 'has these partitions now');
        processor.assign(partitions);
        lastStored.forget();
        aligned.soon();
      },
      take: (records, delivery) => processor.take(records, delivery),
      onState: (isUp) => found('kafka', isUp),
    });
    void retention?.remove();
    return async () => {
      await consumer.close();
      await aligned.close();
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
        const cluster = await topicLog.cluster();
        if (!(await deadLetters.prepare()))
          log.warn(
            { topic: deadLetterTopic },
            'there is no topic for dead letters: a record that is no event will hold up others',
          );
        if (isLeaving) return undefined;
        return begin({ cluster, topic: config.KAFKA_TOPIC });
      } catch (error) {
        const fault = (error as Error).message;
        if (fault !== lastFault) log.warn({ reason: fault }, 'cannot start yet; trying again');
        lastFault = fault;
        await delay(RETRY_START_MS);
      }
    }
  }

  const close = async (): Promise<boolean> => {
    isLeaving = true;
    retention?.close();
    const giveUpAt = clock.now() + config.SHUTDOWN_TIMEOUT_MS;
    const timeUp = delay(config.SHUTDOWN_TIMEOUT_MS, 'late' as const, { ref: false });
    const isFinished = (await Promise.race([starting.then((stop) => stop?.()), timeUp])) !== 'late';
    topicLog.close();
    // A server that says nothing lets no connection end.
    await Promise.race([Promise.all([deadLetters.close(), disconnect()]), timeUp]);
    await closeManagement(management, giveUpAt - clock.now());
    return isFinished;
  };
  try {
    const address = await listen(management, config.HOST, config.MANAGEMENT_PORT);
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
      return {
        close: async () =>
          (await processor.close()) ? undefined : { stored: 'not everything that was read' },
      };
    },
  });
}
