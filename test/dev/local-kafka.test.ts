import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import kafkajs from 'kafkajs';
import { answersAs } from '../../dev/kafka-node.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { isAlive } from './wait-until.ts';

describe('local Kafka', () => {
  let kafka: LocalKafka;
  before(async () => {
    kafka = await startKafka({ properties: { 'num.partitions': '3' } });
  });
  after(() => kafka.kill());

  it('answers with its own cluster id, and no other one passes for it', async () => {
    assert.equal(await answersAs(kafka.brokers, kafka.clusterId), true);
    assert.equal(await answersAs(kafka.brokers, 'somebody-elses-cluster'), false);
    assert.equal(await answersAs(kafka.brokers, kafka.clusterId, 2), false, 'it has no node 2');
  });

  it('starts again on the same port with the data it had, and leaves no process behind', async () => {
    await withAdmin(kafka, (admin) => admin.createTopics({ topics: [{ topic: 'kept' }] }));
    const pid = kafka.nodes[0]?.child.pid ?? 0;
    const { brokers } = kafka;
    await kafka.stop();
    assert.equal(isAlive(pid), false);
    assert.equal(await answersAs(brokers, kafka.clusterId), false);
    await kafka.start();
    assert.equal(kafka.brokers, brokers);
    const metadata = await withAdmin(kafka, (admin) => admin.fetchTopicMetadata({ topics: ['kept'] }));
    assert.equal(metadata.topics[0]?.partitions.length, 3, 'extra properties count');
  });

  it('cannot be started on a port that is taken', async () => {
    const port = Number(kafka.brokers.split(':')[1]);
    await assert.rejects(startKafka({ port }), /Kafka ended with exit code 1 while starting; its log is/);
  });
});

async function withAdmin<T>({ brokers }: LocalKafka, act: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const client = new kafkajs.Kafka({ brokers: [brokers], logLevel: kafkajs.logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  try {
    return await act(admin);
  } finally {
    await admin.disconnect();
  }
}
