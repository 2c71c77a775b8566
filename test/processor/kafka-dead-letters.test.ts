import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Kafka, Message } from 'kafkajs';
import type { DeadLetter } from '../../src/processor/event-processor.ts';
import { DeadLetters } from '../../src/processor/kafka-dead-letters.ts';

type Send = (messages: readonly Message[]) => Promise<unknown>;

/** A kafkajs whose producers send as a test says. */
function deadLettersOn(send: Send): { letters: DeadLetters; producers: () => number } {
  let producers = 0;
  const kafka = {
    producer: () => {
      producers += 1;
      return {
        connect: async () => {},
        disconnect: async () => {},
        send: async ({ messages }: { messages: readonly Message[] }) =>
          (await send(messages)) ?? [{ errorCode: 0, partition: 0 }],
      };
    },
  } as unknown as Kafka;
  const options = { kafka, topic: 'events', deadLetterTopic: 'dead', createsTopic: false };
  return { letters: new DeadLetters(options), producers: () => producers };
}

const letter = (offset: number, changes: Partial<DeadLetter['record']> = {}): DeadLetter => ({
  reason: 'invalid-event',
  record: {
    partition: 0,
    offset,
    timestampMs: 1,
    key: null,
    value: Buffer.from('x'),
    headers: {},
    ...changes,
  },
});

describe('dead letters', () => {
  it('have the headers of their record, also those without a value, which kafkajs cannot write', async () => {
    let headers: Message['headers'];
    const { letters } = deadLettersOn(async ([message]) => {
      headers = message?.headers;
    });
    const given = { trace: Buffer.from('t'), none: null, several: [Buffer.from('a'), null] };
    assert.equal(await letters.send([letter(7, { headers: given })]), 1);
    assert.deepEqual(headers?.trace, Buffer.from('t'));
    assert.deepEqual(headers?.none, Buffer.alloc(0));
    assert.deepEqual(headers?.several, [Buffer.from('a'), Buffer.alloc(0)]);
    assert.equal(headers?.['dual_stream.offset'], '7');
  });

  it('are sent as many as fit a request, one request at a time', async () => {
    let underWay = 0;
    const sizes: number[] = [];
    const { letters, producers } = deadLettersOn(async (messages) => {
      underWay += 1;
      assert.equal(underWay, 1);
      await new Promise(setImmediate);
      underWay -= 1;
      sizes.push(messages.length);
    });
    const value = Buffer.alloc(200_000);
    const many = [1, 2, 3].map((offset) => letter(offset, { value }));
    assert.deepEqual(await Promise.all([letters.send(many), letters.send([letter(9)])]), [2, 1]);
    assert.deepEqual(sizes, [2, 1]);
    assert.equal(producers(), 1);
  });

  it('that are not confirmed have failed, and the next go by another producer', async () => {
    let answer: unknown = [];
    const { letters, producers } = deadLettersOn(async () => answer);
    await assert.rejects(letters.send([letter(1)]), /did not confirm/);
    answer = undefined;
    assert.equal(await letters.send([letter(1)]), 1);
    assert.equal(producers(), 2);
  });
});
