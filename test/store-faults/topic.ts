import kafkajs, { type Admin } from 'kafkajs';
import { readTopicExactly } from '../faults/reader.ts';
import type { Place } from './topic-contents.ts';

export const TOPIC = 'events';
const DEAD_LETTER_TOPIC = `${TOPIC}.dead-letters`;

/** Does something as administrator of the cluster. */
export async function withAdmin<Result>(
  brokers: string,
  work: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const client = new kafkajs.Kafka({ brokers: brokers.split(','), logLevel: kafkajs.logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** The offset that the next record of each partition gets. */
export async function endsOf(brokers: string): Promise<{ partition: number; end: number }[]> {
  const offsets = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets(TOPIC));
  return offsets.map(({ partition, high }) => ({ partition, end: Number(high) }));
}

/** How many of these records are not in the topic for dead letters, with where they come from in the headers. */
export async function missingDeadLetters(brokers: string, unreadable: readonly Place[]): Promise<number> {
  if (unreadable.length === 0) return 0;
  const topics = await withAdmin(brokers, (admin) => admin.listTopics());
  if (!topics.includes(DEAD_LETTER_TOPIC)) return unreadable.length;
  const found = new Set<string>();
  await readTopicExactly(brokers, DEAD_LETTER_TOPIC, ({ headers }) => {
    if (headers.get('dual_stream.topic') === TOPIC)
      found.add(`${headers.get('dual_stream.partition')} ${headers.get('dual_stream.offset')}`);
  });
  return unreadable.filter(({ partition, offset }) => !found.has(`${partition} ${offset}`)).length;
}
