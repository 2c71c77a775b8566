import kafkajs from 'kafkajs';
import { startKafka } from '../dev/local-kafka.ts';
import { startRedis } from '../dev/local-redis.ts';
import type { Progress } from '../dev/progress.ts';

/** The one Kafka and the one Redis that all servers of a run use. */
export interface Backends {
  readonly brokers: string;
  readonly topic: string;
  /** A topic with so many partitions, which is there when this settles. */
  topicWith(partitions: number): Promise<string>;
  readonly redisUrl: string;
  readonly redisPort: number;
  /** By their names, for their shares of CPU. */
  readonly processes: Readonly<Record<'kafka' | 'redis', number>>;
  stop(): Promise<void>;
}

export const PARTITIONS = 6;
const TOPIC = 'bench';
/** Not those of a test broker: it runs for minutes, so the second compiler pays. */
const JVM_FLAGS = ['-Xmx512m'];

/** Ready, with the topic, when this settles. */
export async function startBackends(progress: Progress): Promise<Backends> {
  const started = await Promise.allSettled([
    startKafka({ progress, jvmFlags: JVM_FLAGS, properties: KEEP_LITTLE }),
    startRedis({ progress }),
  ]);
  const [kafka, redis] = started;
  const stop = async () => {
    await Promise.all(started.map((part) => (part.status === 'fulfilled' ? part.value.kill() : undefined)));
  };
  if (kafka.status === 'rejected' || redis.status === 'rejected') {
    await stop();
    throw kafka.status === 'rejected' ? kafka.reason : (redis as PromiseRejectedResult).reason;
  }
  const [node] = kafka.value.nodes;
  if (node === undefined) throw new Error('A Kafka without a node');
  const { brokers } = kafka.value;
  await createTopic(brokers, TOPIC, PARTITIONS);
  const topics = new Map([[PARTITIONS, TOPIC]]);
  return {
    brokers,
    topic: TOPIC,
    topicWith: async (partitions) => {
      const known = topics.get(partitions);
      if (known !== undefined) return known;
      const topic = `${TOPIC}-${partitions}`;
      await createTopic(brokers, topic, partitions);
      topics.set(partitions, topic);
      return topic;
    },
    redisUrl: redis.value.url,
    redisPort: redis.value.port,
    processes: { kafka: node.child.pid, redis: redis.value.child.pid },
    stop,
  };
}

/** A run writes gigabytes, which nobody reads. */
const KEEP_LITTLE = {
  'log.segment.bytes': '67108864',
  'log.retention.bytes': '67108864',
  'log.retention.check.interval.ms': '5000',
  'log.segment.delete.delay.ms': '1000',
  // The default would wait half a minute before the first look.
  'log.initial.task.delay.ms': '5000',
};

async function createTopic(brokers: string, topic: string, numPartitions: number): Promise<void> {
  const client = new kafkajs.Kafka({ brokers: brokers.split(','), logLevel: kafkajs.logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions }] });
  await admin.disconnect();
}
