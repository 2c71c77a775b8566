import type { Kafka, Message, Producer } from 'kafkajs';
import { createTopic } from '../kafka/kafka-topics.ts';
import { withinTime } from '../kafka/within-time.ts';
import type { DeadLetter } from './event-processor.ts';
import type { TopicRecord } from './record-reader.ts';

export interface DeadLettersOptions {
  readonly kafka: Kafka;
  /** Where the records come from. */
  readonly topic: string;
  readonly deadLetterTopic: string;
  /** Whether the topic is to be created if it does not exist. */
  readonly createsTopic: boolean;
}

/** One request, about. */
const REQUEST_BYTES_MAX = 500_000;
const HEADERS_BYTES = 500;
const CALL_TIMEOUT_MS = 15_000;
/** A record of the topic, as large as a service that has Kafka's defaults lets it be, with headers. */
const MESSAGE_BYTES_MAX = 2_000_000;

/**
 * Puts records that are no events into a topic of their own, as they are, with the reason and where they come from as
 * headers. After a crash a record may be there twice, with the same position. One that is too large for that topic is there
 * without its value.
 */
export class DeadLetters {
  readonly #options: DeadLettersOptions;
  #producer: Promise<Producer> | undefined;
  /** One request at a time: when one fails, nobody else is sending on its connection. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /** Creates the topic if that is wanted. Resolves with whether it is there. */
  prepare(): Promise<boolean> {
    return withinTime(this.#prepare(), CALL_TIMEOUT_MS);
  }

  /** Sends the first of them, as many as go together. Resolves with how many Kafka has then. */
  send(letters: readonly DeadLetter[]): Promise<number> {
    const sending = this.#turn.then(() => this.#sendTogether(letters.slice(0, endOfRequest(letters))));
    this.#turn = sending.catch(() => {}); // that is the concern of whoever sends it
    return sending;
  }

  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.then((connected) => connected.disconnect()).catch(() => {}); // it is not used any more
  }

  async #sendTogether(letters: readonly DeadLetter[]): Promise<number> {
    const messages = letters.map((letter) => messageOf(letter, this.#options.topic));
    try {
      await this.#produce(messages);
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      // Where it lies is known, and one record is not to stop a partition for ever.
      if (letters.length === 1) await this.#produce(messages.map(withoutValue));
      else return this.#sendTogether(letters.slice(0, 1));
    }
    return letters.length;
  }

  async #produce(messages: Message[]): Promise<void> {
    const { deadLetterTopic } = this.#options;
    this.#producer ??= this.#connect();
    const used = this.#producer;
    const sent = used.then((producer) => producer.send({ topic: deadLetterTopic, acks: -1, messages }));
    try {
      const answers = await withinTime(sent, CALL_TIMEOUT_MS);
      // All go to one partition: an answer for several can leave out one that failed.
      const isStored = answers.length === 1 && answers[0]?.errorCode === 0 && answers[0].partition === 0;
      if (!isStored) throw new Error('Kafka did not confirm the dead letters');
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  async #connect(): Promise<Producer> {
    const producer = this.#options.kafka.producer({
      allowAutoTopicCreation: false,
      retry: { retries: 0 },
      createPartitioner: () => () => 0,
    });
    await producer.connect();
    return producer;
  }

  async #prepare(): Promise<boolean> {
    const { kafka, deadLetterTopic, createsTopic } = this.#options;
    const admin = kafka.admin();
    await admin.connect();
    try {
      if (!createsTopic) return (await admin.listTopics()).includes(deadLetterTopic);
      const settings = [{ name: 'max.message.bytes', value: String(MESSAGE_BYTES_MAX) }];
      await createTopic(admin, deadLetterTopic, 1, settings);
      return true;
    } finally {
      admin.disconnect().catch(() => {}); // nothing depends on how a spent client ends
    }
  }
}

function messageOf({ record, reason }: DeadLetter, topic: string): Message {
  const { partition, offset, timestampMs, key, value, headers } = record;
  return {
    key,
    value,
    headers: {
      ...withoutNulls(headers),
      'dual_stream.reason': reason,
      'dual_stream.topic': topic,
      'dual_stream.partition': String(partition),
      'dual_stream.offset': String(offset),
      'dual_stream.timestamp': String(timestampMs),
    },
  };
}

function withoutValue(message: Message): Message {
  return { ...message, value: null, headers: { ...message.headers, 'dual_stream.value': 'too large' } };
}

/** Whether the topic for dead letters takes smaller records only. */
function isTooLarge(error: unknown): boolean {
  const { type, cause } = error as { type?: string; cause?: unknown };
  if (type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE') return true;
  return cause !== undefined && isTooLarge(cause);
}

const written = (value: unknown) => (value ?? Buffer.alloc(0)) as Buffer;

/** Kafka has headers without a value, and kafkajs cannot write them. */
function withoutNulls(headers: TopicRecord['headers']): NonNullable<Message['headers']> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(written) : written(value),
    ]),
  );
}

/** How many go together: one at least. */
function endOfRequest(letters: readonly DeadLetter[]): number {
  let bytes = 0;
  const end = letters.findIndex(({ record: { key, value } }, index) => {
    bytes += (key?.length ?? 0) + (value?.length ?? 0) + HEADERS_BYTES;
    return index > 0 && bytes > REQUEST_BYTES_MAX;
  });
  return end === -1 ? letters.length : end;
}
