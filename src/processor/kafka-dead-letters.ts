import type { Kafka, Message, Producer } from 'kafkajs';
import { createTopic } from '../kafka/kafka-topics.ts';
import type { DeadLetter } from './event-processor.ts';

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
  #isTopicThere: boolean;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    this.#isTopicThere = !options.createsTopic;
  }

  /** Resolves when Kafka has all of them. */
  async send(letters: readonly DeadLetter[]): Promise<void> {
    if (!this.#isTopicThere) await this.#createTopic();
    for (let at = 0; at < letters.length; ) {
      const end = endOfRequest(letters, at);
      await this.#sendTogether(letters.slice(at, end));
      at = end;
    }
  }

  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.then((connected) => connected.disconnect()).catch(() => {}); // it is not used any more
  }

  async #sendTogether(letters: readonly DeadLetter[]): Promise<void> {
    const messages = letters.map((letter) => messageOf(letter, this.#options.topic));
    try {
      await this.#produce(messages);
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      if (letters.length > 1) for (const letter of letters) await this.#sendTogether([letter]);
      // Where it lies is known, and one record is not to stop a partition for ever.
      else await this.#produce(messages.map(withoutValue));
    }
  }

  async #produce(messages: Message[]): Promise<void> {
    const { deadLetterTopic } = this.#options;
    this.#producer ??= this.#connect();
    try {
      const producer = await this.#producer;
      // All go to one partition: an answer for several can leave out one that failed.
      const answers = await producer.send({ topic: deadLetterTopic, acks: -1, messages });
      const isStored = answers.length === 1 && answers[0]?.errorCode === 0 && answers[0].partition === 0;
      if (!isStored) throw new Error('Kafka did not confirm the dead letters');
    } catch (error) {
      await this.close();
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

  async #createTopic(): Promise<void> {
    const admin = this.#options.kafka.admin();
    await admin.connect();
    try {
      const settings = [{ name: 'max.message.bytes', value: String(MESSAGE_BYTES_MAX) }];
      await createTopic(admin, this.#options.deadLetterTopic, 1, settings);
      this.#isTopicThere = true;
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
      ...(headers as Message['headers']),
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

/** The end of those that go together, from `at` on: one at least. */
function endOfRequest(letters: readonly DeadLetter[], at: number): number {
  let bytes = 0;
  for (let end = at; end < letters.length; end += 1) {
    const { key, value } = (letters[end] as DeadLetter).record;
    bytes += (key?.length ?? 0) + (value?.length ?? 0) + 500;
    if (end > at && bytes > REQUEST_BYTES_MAX) return end;
  }
  return letters.length;
}
