import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { BufferBudget, REQUEST_BYTES } from '../../src/http/buffer-budget.ts';
import { Connections } from '../../src/http/connections.ts';
import { receiveBody } from '../../src/http/receive-body.ts';
import { SocketErrors } from '../../src/http/socket-errors.ts';
import { RawClient } from '../raw-client.ts';

const HEADERS = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n';

describe('a client that is too slow', () => {
  const budget = new BufferBudget({ bytesMax: 1_000_000, eventsMax: 1 });
  const refused: string[] = [];
  const connections = new Connections(budget);
  const errors = new SocketErrors({ refused: (code) => void refused.push(code) }, connections);
  let served = 0;
  const server = createServer({ headersTimeout: 60, requestTimeout: 120, connectionsCheckingInterval: 20 });
  server.on('clientError', (error, socket) => errors.answer(error, socket as never));
  server.prependListener('connection', (socket) => connections.opened(socket));
  server.on('request', (request, response) => {
    const connection = connections.began(request, response);
    if (connection === undefined) return;
    served += 1;
    assert.ok(connections.count(connection, REQUEST_BYTES));
    response.once('finish', () => connections.answered(connection, REQUEST_BYTES));
    receiveBody(request, { budget, bodyBytesMax: 1_000 }, ['application/json'], (received) => {
      if (received.status === 'received') received.hold.close();
      response.end('code' in received ? received.code : received.status);
    });
  });
  let port: number;
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });
  after(() => server.close());

  for (const [name, text] of [
    ['sends nothing', ''],
    ['does not end its headers', 'GET / HTTP/1.1\r\nHost: a\r\n'],
  ] as const) {
    it(`is answered 408 when it ${name}, and the connection is closed`, async () => {
      const client = await RawClient.connect(port);
      client.write(text);
      const answer = await client.answer();
      assert.equal(answer?.status, 408);
      const { code, request_id } = JSON.parse(answer?.body ?? '');
      assert.equal(code, 'request-timeout');
      assert.equal(answer?.headers.get('x-request-id'), request_id);
      assert.ok(await client.isClosed());
    });
  }

  it('P3: has its request refused when it does not end its body, and nothing is held', async () => {
    const client = await RawClient.connect(port);
    client.write(`${HEADERS}12345`);
    const answer = await client.answer();
    assert.equal(answer?.body, 'request-timeout');
    assert.equal(answer?.headers.get('connection'), 'close');
    assert.equal(budget.bytes, 0);
    assert.ok(await client.isClosed());
  });

  it('has what it sent before answered first', async () => {
    const client = await RawClient.connect(port);
    client.write(`${HEADERS}1234567890${HEADERS}12345`);
    assert.equal((await client.answer())?.body, 'received');
    assert.equal((await client.answer())?.body, 'request-timeout');
    assert.ok(await client.isClosed());
  });

  it('P4: has nothing stored of what it sends after its 408', async () => {
    const servedBefore = served;
    const client = await RawClient.connect(port);
    client.write(HEADERS.slice(0, 30));
    assert.equal((await client.answer())?.status, 408);
    client.write(`${HEADERS.slice(30)}1234567890`);
    assert.ok(await client.isClosed());
    assert.equal(served, servedBefore);
    assert.equal(budget.bytes, 0);
  });
});
