import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { kafkaClient } from '../../src/kafka/kafka-client.ts';

const HOST = '127.0.0.1';

describe('the client of Kafka', () => {
  it('does not begin with the same broker each time, as that one may be down', async () => {
    let connections = 0;
    const broker = createServer((socket) => {
      connections += 1;
      socket.destroy();
    }).listen(0, HOST);
    await once(broker, 'listening');
    const { port } = broker.address() as AddressInfo;
    const { kafka } = kafkaClient({
      clientId: 'test',
      brokers: [
        { host: HOST, port: 1 },
        { host: HOST, port },
      ],
      log: pino({ level: 'silent' }),
    });
    // A client is made anew when it fails, as the consumer of the event processor is.
    for (let attempt = 0; attempt < 30; attempt += 1) {
      await assert.rejects(kafka.admin().connect());
    }
    broker.close();
    assert.ok(connections > 0, 'nobody came to the second broker');
  });
});
