import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../dev/free-port.ts';
import { encodeMetadata, encodeProduce } from '../../src/ingest/kafka-protocol.ts';
import { recordBatch } from '../../src/ingest/record-batch.ts';
import { waitUntil } from '../dev/wait-until.ts';
import { acksOne, startProxy } from './proxy.ts';

const HEADER = { correlationId: 7, clientId: 'dual-stream' };

function produceRequest(): Buffer {
  const record = { sourceId: 'key', head: '{', tail: Buffer.from('}') };
  const partitions = [{ partition: 0, batch: recordBatch([record], 0, 'none') }];
  return encodeProduce(HEADER, { topic: 'events', timeoutMs: 1_000, partitions });
}

describe('the proxy of the fault runs', () => {
  it('changes acks in a Produce request and nothing else', () => {
    const before = produceRequest();
    const altered = Buffer.from(before);
    acksOne(altered);
    const differing = [...before.keys()].filter((at) => before[at] !== altered[at]);
    const acksAt = 4 + 2 + 2 + 4 + 2 + HEADER.clientId.length + 2;
    assert.deepEqual(differing, [acksAt, acksAt + 1]);
    assert.equal(before.readInt16BE(acksAt), -1);
    assert.equal(altered.readInt16BE(acksAt), 1);
  });

  it('leaves other requests alone', () => {
    const before = encodeMetadata(HEADER, 'events');
    const altered = Buffer.from(before);
    acksOne(altered);
    assert.deepEqual(altered, before);
  });

  it('passes on, loses requests, loses answers, and delivers again', async () => {
    const heard: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        heard.push(chunk.toString());
        socket.write(`re ${chunk.toString()}`);
      });
    });
    const targetPort = await freePort();
    await new Promise<void>((resolve) => server.listen(targetPort, '127.0.0.1', resolve));
    const proxy = await startProxy({ port: await freePort(), targetPort });
    after(async () => {
      await proxy.close();
      server.close();
    });
    const answers: string[] = [];
    const client = connect(proxy.port, '127.0.0.1');
    client.on('error', () => {});
    client.on('data', (chunk) => answers.push(chunk.toString()));
    const say = async (word: string, until: () => boolean) => {
      client.write(word);
      await waitUntil(until, word);
    };
    await say('one', () => answers.length === 1);
    proxy.loseAnswers();
    await say('two', () => heard.length === 2);
    proxy.deliver();
    await say('three', () => answers.includes('re three'));
    proxy.loseRequests();
    client.write('four');
    await delay(50); // time to arrive, if it were let through
    proxy.reset();
    await waitUntil(() => client.destroyed, 'the reset');
    assert.deepEqual(heard, ['one', 'two', 'three']);
    assert.deepEqual(answers, ['re one', 're three']);
  });
});
