import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { startChild } from '../../dev/child.ts';
import { javaCommand } from './java.ts';

/** A record as it lies in the topic. */
export interface FoundRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly value: string;
}

/** A soak of an hour leaves some 25 million records. */
const READ_TIMEOUT_MS = 30 * 60_000;

/**
 * Reads the whole topic with Kafka's own Java consumer, so that no line of ours is trusted in what it finds.
 * Calls back for each record, per partition in the order of its log. Returns how many there were.
 * @throws Error when the reader fails or its output is cut short.
 */
export async function readTopic(
  brokers: string,
  topic: string,
  onRecord: (record: FoundRecord) => void,
): Promise<number> {
  const reader = startChild({
    ...(await javaCommand('TopicReader.java', [brokers, topic])),
    output: 'pipe',
  });
  if (!reader.stdout || !reader.stderr) throw new Error('the reader has no output');
  const timer = setTimeout(() => void reader.kill(), READ_TIMEOUT_MS);
  const complaints = text(reader.stderr);
  let records = 0;
  let promised = -1;
  for await (const line of createInterface({ input: reader.stdout })) {
    const [partition = '', offset = '', key = '', ...value] = line.split('\t');
    if (partition === 'end') {
      promised = Number(offset);
      continue;
    }
    records += 1;
    onRecord({ partition: Number(partition), offset: Number(offset), key, value: value.join('\t') });
  }
  clearTimeout(timer);
  await reader.exit;
  if (promised !== records) {
    throw new Error(
      `the reader printed ${records} of ${promised} records: ${(await complaints).slice(0, 2_000)}`,
    );
  }
  return records;
}
