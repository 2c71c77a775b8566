import { setTimeout as delay } from 'node:timers/promises';
import type { Admin, ITopicConfig } from 'kafkajs';

const NEW_TOPIC_POLL_MS = 50;
const NEW_TOPIC_POLLS_MAX = 40;

/** As safe as the cluster allows. Returns whether it was created now, rather than being there. */
export async function createTopic(
  admin: Admin,
  topic: string,
  partitions: number,
  settings: NonNullable<ITopicConfig['configEntries']> = [],
): Promise<boolean> {
  const existing = await admin.listTopics();
  if (existing.includes(topic)) return false;
  const { brokers } = await admin.describeCluster();
  const replicationFactor = Math.min(3, brokers.length);
  const isNew = await admin.createTopics({
    waitForLeaders: false,
    topics: [
      {
        topic,
        numPartitions: partitions,
        replicationFactor,
        configEntries: [
          { name: 'min.insync.replicas', value: replicationFactor === 3 ? '2' : '1' },
          { name: 'unclean.leader.election.enable', value: 'false' },
          { name: 'message.timestamp.type', value: 'LogAppendTime' },
          ...settings,
        ],
      },
    ],
  });
  // The broker that is asked next hears of the topic a moment later.
  for (let poll = 0; poll < NEW_TOPIC_POLLS_MAX; poll += 1) {
    if ((await admin.listTopics()).includes(topic)) break;
    await delay(NEW_TOPIC_POLL_MS);
  }
  return isNew;
}
