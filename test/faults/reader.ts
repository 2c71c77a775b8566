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

/** The same, byte for byte. */
export interface ExactRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: ReadonlyMap<string, string>;
}

/** A soak of an hour leaves some 25 million records. */
const READ_TIMEOUT_MS = 30 * 60_000;

/**
 * Reads the whole topic with Kafka's own Java consumer, so that no line of ours is trusted in what it finds.
 * Calls back for each record, per partition in the order of its log. Returns how many there were.
 * @throws Error when the reader fails or its output is cut short.
 */
export function readTopic(
  brokers: string,
  topic: string,
  onRecord: (record: FoundRecord) => void,
): Promise<number> {
  return readLines([brokers, topic], ([partition, offset, key = '', ...value]) =>
    onRecord({ partition: Number(partition), offset: Number(offset), key, value: value.join('\t') }),
  );
}

/** As {@link readTopic}, where bytes matter that a line of text cannot hold. */
export function readTopicExactly(
  brokers: string,
  topic: string,
  onRecord: (record: ExactRecord) => void,
): Promise<number> {
  return readLines([brokers, topic, 'exact'], ([partition, offset, key = '-', value = '-', headers = '']) =>
    onRecord({
      partition: Number(partition),
      offset: Number(offset),
      key: decoded(key),
      value: decoded(value),
      headers: new Map(
        headers.split(' ').map((header) => {
          const at = header.indexOf('=');
          return [header.slice(0, at), String(decoded(header.slice(at + 1)) ?? '')];
        }),
      ),
    }),
  );
}

async function readLines(
  args: readonly string[],
  onLine: (fields: readonly string[]) => void,
): Promise<number> {
  const reader = startChild({
    ...(await javaCommand('TopicReader.java', args)),
    output: 'pipe',
  });
  if (!reader.stdout || !reader.stderr) throw new Error('the reader has no output');
  const timer = setTimeout(() => void reader.kill(), READ_TIMEOUT_MS);
  const complaints = text(reader.stderr);
  let records = 0;
  let promised = -1;
  for await (const line of createInterface({ input: reader.stdout })) {
    const fields = line.split('\t');
    if (fields[0] === 'end') {
      promised = Number(fields[1]);
      continue;
    }
    records += 1;
    onLine(fields);
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

function decoded(base64: string): Buffer | null {
  return base64 === '-' ? null : Buffer.from(base64, 'base64');
}
