import { setTimeout as delay } from 'node:timers/promises';
import kafkajs, { type Message } from 'kafkajs';

export interface EventLoadOptions {
  /** host:port of the brokers, separated by commas. */
  readonly brokers: string;
  readonly topic: string;
  readonly partitions: number;
  readonly eventsPerSecond: number;
  readonly random: () => number;
}

/** Writes events to the topic, by the clock, with copies and with records that are no events among them. */
export interface EventLoad {
  /** From now on sources are spread over so many partitions. */
  spread(partitions: number): void;
  pause(): Promise<void>;
  resume(): void;
  /** Ends when what it began to send is acknowledged. */
  stop(): Promise<void>;
}

/** Of records that are no events, so that who reads the topic need not trust the processor in that. */
export const UNREADABLE_KEY = 'unreadable';

const SOURCES = 48;
const TICK_MS = 20;
const RETRY_MS = 200;
const BATCH_RECORDS_MAX = 500;
/** Of those a copy may be sent. */
const REMEMBERED = 2_000;
const COPIES_SHARE = 0.04;
/** Of the copies: those that say something else. */
const CONFLICTS_SHARE = 0.4;
const UNREADABLE_SHARE = 0.005;
const LARGE_SHARE = 0.002;

/** What a store that parses and writes again would change. */
const DATA: readonly string[] = [
  '1.10',
  '-0.0',
  '12345678901234567890.000000000000000000001',
  '1e400',
  '"ü 😀 \\ud83d\\ude00 \\u0000 \u2028 \\/"',
  '[ 1 ,\n\t{ "a" : [ ] , "a " : null } ]\r\n',
  '{"nested":{"nested":{"nested":[[[["deep"]]]]}}}',
  `"${'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(5)}"`,
];

const UNREADABLE: readonly (Buffer | null)[] = [
  null,
  Buffer.alloc(0),
  Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]),
  Buffer.from('{"id":"e1",'),
  Buffer.from('{"id":"e1","type":"fault","source_type":"fault"}'),
  Buffer.from('[]'),
];

export async function startEventLoad(options: EventLoadOptions): Promise<EventLoad> {
  const { brokers, topic, eventsPerSecond, random } = options;
  const client = new kafkajs.Kafka({
    brokers: brokers.split(','),
    logLevel: kafkajs.logLevel.NOTHING,
    requestTimeout: 11_000,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 500 },
  });
  const producer = client.producer({ allowAutoTopicCreation: false, metadataMaxAge: 1_000 });
  await producer.connect();
  let { partitions } = options;
  let numbers = 0;
  let isEnding = false;
  let isPaused = false;
  const remembered: { readonly number: number; readonly source: number }[] = [];

  const next = (): Message => {
    if (random() < UNREADABLE_SHARE) {
      const value = UNREADABLE[Math.floor(random() * UNREADABLE.length)] ?? null;
      return { key: UNREADABLE_KEY, value, partition: Math.floor(random() * partitions) };
    }
    const known = random() < COPIES_SHARE ? remembered[Math.floor(random() * remembered.length)] : undefined;
    if (known !== undefined) {
      const edition = random() < CONFLICTS_SHARE ? 1 + Math.floor(random() * 1_000) : 0;
      return messageOf(known.number, known.source, edition, partitions);
    }
    numbers += 1;
    const source = Math.floor(random() * SOURCES);
    remembered[numbers % REMEMBERED] = { number: numbers, source };
    return messageOf(numbers, source, 0, partitions);
  };

  const run = async () => {
    let startedAt = performance.now();
    let sent = 0;
    for (;;) {
      await delay(TICK_MS);
      if (isEnding) return;
      if (isPaused) {
        startedAt = performance.now();
        sent = 0;
        continue;
      }
      const due = Math.floor(((performance.now() - startedAt) / 1_000) * eventsPerSecond) - sent;
      const messages = Array.from({ length: Math.min(due, BATCH_RECORDS_MAX) }, next);
      sent += messages.length;
      // Again and again: more copies are welcome, and the topic says how many there are.
      while (messages.length > 0 && !(await isSent(messages))) await delay(RETRY_MS);
    }
  };
  const isSent = async (messages: Message[]) => {
    sending = producer.send({ topic, acks: -1, messages }).then(
      () => true,
      () => false,
    );
    return sending;
  };
  let sending: Promise<boolean> = Promise.resolve(true);
  const running = run();
  return {
    spread: (count) => {
      partitions = count;
    },
    pause: async () => {
      isPaused = true;
      await sending;
    },
    resume: () => {
      isPaused = false;
    },
    stop: async () => {
      isEnding = true;
      await running;
      await producer.disconnect();
    },
  };
}

/** `edition`: 0 for the event as it was sent first, and anything else for one that says something else. */
function messageOf(number: number, source: number, edition: number, partitions: number): Message {
  const isLarge = (number * 2_654_435_761) % 1_000_003 < LARGE_SHARE * 1_000_003;
  const data = isLarge ? `"${'large '.repeat(4_000)}"` : DATA[number % DATA.length];
  const members = [
    `"id":"e${number}"`,
    `"time":"2026-11-23T12:00:00.${String(number % 1_000).padStart(3, '0')}Z"`,
    '"type":"fault"',
    '"source_type":"fault"',
    `"source_id":"source-${source}"`,
    `"data":{"edition":${edition},"is":${data}}`,
  ];
  return { key: `source-${source}`, value: `{${members.join(',')}}`, partition: source % partitions };
}
