import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { systemClock as clock } from '../../src/clock.ts';
import { BufferBudget, REQUEST_BYTES } from '../../src/http/buffer-budget.ts';
import { DualPublisher } from '../../src/ingest/dual-publisher.ts';
import { KafkaProducer } from '../../src/ingest/kafka-producer.ts';
import type { TopicMetadata } from '../../src/ingest/kafka-protocol.ts';
import { type TopicSettings, TopicWatch } from '../../src/ingest/kafka-topic.ts';
import type { LanesOptions } from '../../src/ingest/lanes.ts';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { BATCH_HEADER_BYTES } from '../../src/ingest/record-batch.ts';
import { kafkaClient } from '../../src/kafka/kafka-client.ts';
import type { Numbered } from './fault-event.ts';
import type { Ledger } from './ledger.ts';

/** What the load is put on: something that publishes events to Kafka and answers for each. */
export interface Subject {
  publish(events: readonly Numbered[], settled: (outcomes: readonly Outcome[]) => void): void;
  /** Partitions that it publishes to by now. */
  partitionCount(): number;
  /** Failed attempts by their reason. */
  readonly kafkaErrors: ReadonlyMap<string, number>;
  readonly storedLate: () => number;
  close(): Promise<void>;
}

export interface SubjectOptions {
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  readonly topic: string;
  readonly partitions: number;
  readonly ledger: Ledger;
  readonly bufferBytesMax: number;
  /** Puts a mutant in the place of the producer's `send`. */
  readonly wrapSend?: ((send: LanesOptions['send']) => LanesOptions['send']) | undefined;
}

export const PUBLISH_TIMEOUT_MS = 15_000;
/** The default of BUFFER_MAX_BYTES. */
export const BUFFER_BYTES_MAX = 64 * 1024 * 1024;
// As in server.ts, like all of the wiring below.
const REQUEST_TIMEOUT_MS = 11_000;
const BATCH_BYTES_MAX = 1_000_000;
const BATCH_RECORDS_MAX = 10_000;
const BUFFER_EVENTS_MAX = 100_000;
const START_TIMEOUT_MS = 60_000;

const log = pino({ level: 'silent' });

/** The publisher of the service, wired as the service does it; ready to publish when this settles. */
export async function startSubject(options: SubjectOptions): Promise<Subject> {
  const { addresses, topic, partitions, ledger, bufferBytesMax, wrapSend = (send) => send } = options;
  const budget = new BufferBudget({ bytesMax: bufferBytesMax, eventsMax: BUFFER_EVENTS_MAX });
  const kafkaErrors = new Map<string, number>();
  let settings: TopicSettings | undefined;
  let storedLate = 0;

  const { kafka, security } = kafkaClient({ brokers: addresses, clientId: 'dual-stream', log });
  const producer = new KafkaProducer({
    bootstrap: addresses,
    security,
    topic,
    compression: 'none',
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    onMetadata: (metadata: TopicMetadata) =>
      publisher.lanes.update(metadata, settings?.minInSyncReplicas ?? 1),
  });
  const refreshMetadata = () => void producer.refreshMetadata();
  const publisher: DualPublisher = new DualPublisher({
    clock,
    random: Math.random,
    batchLimits: () => ({
      bytesMax: Math.min(
        BATCH_BYTES_MAX,
        (settings?.messageBytesMax ?? BATCH_BYTES_MAX) - BATCH_HEADER_BYTES,
      ),
      recordsMax: BATCH_RECORDS_MAX,
    }),
    publishTimeoutMs: PUBLISH_TIMEOUT_MS,
    send: wrapSend((attempt) =>
      producer.send({
        ...attempt,
        take: () => {
          const taken = attempt.take();
          const now = performance.now();
          for (const { records } of taken) {
            for (const record of records) ledger.attempted((record as Numbered).number, now);
          }
          return taken;
        },
      }),
    ),
    release: (leader, channel) => producer.release(leader, channel),
    refreshMetadata,
    notify: (event) => ledger.notified((event as Numbered).number),
    onState: () => {},
    onTrouble: () => {},
    budget,
    metrics: {
      kafkaError: (reason) => kafkaErrors.set(reason, (kafkaErrors.get(reason) ?? 0) + 1),
      kafkaRequestTook: () => {},
      batchSent: () => {},
      publishTook: () => {},
      eventsSettled: (outcome) => {
        if (outcome === 'stored_late') storedLate += 1;
      },
    },
  });
  const topicWatch = new TopicWatch({
    kafka,
    topic,
    createWithPartitions: partitions,
    log,
    onSettings: (read) => {
      settings = read;
      if (publisher.lanes.state !== 'available') refreshMetadata();
    },
  });
  const close = async () => {
    await publisher.close(1_000);
    topicWatch.close();
    await producer.close();
  };

  const giveUpAt = performance.now() + START_TIMEOUT_MS;
  const isReady = () => settings !== undefined && publisher.lanes.state === 'available';
  while (!isReady()) {
    if (performance.now() > giveUpAt) {
      await close();
      throw new Error('the publisher does not become available');
    }
    await delay(50);
  }
  return {
    publish(events, settled) {
      const isCounted = budget.take(REQUEST_BYTES);
      const hold = budget.open();
      const answer = (outcomes: readonly Outcome[]) => {
        if (isCounted) budget.giveBack(REQUEST_BYTES);
        settled(outcomes);
      };
      if (!isCounted || !hold.take(events.reduce((sum, { tail }) => sum + tail.length, 0))) {
        answer(events.map(() => ({ status: 'not_stored', code: 'buffer-full' })));
        return;
      }
      publisher.publish({ events, hold, timeoutMs: PUBLISH_TIMEOUT_MS, settled: answer });
    },
    partitionCount: () => publisher.lanes.partitionCount,
    kafkaErrors,
    storedLate: () => storedLate,
    close,
  };
}
