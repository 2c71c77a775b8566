import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { GatheredBytes } from '../../src/http/gathered-bytes.ts';
import { type ReceivedBody, type ReceiveLimits, receiveBody } from '../../src/http/receive-body.ts';

/** As much of a request as a body is received from. */
function requestOf(chunks: Iterable<Buffer>, announcedLength?: number): IncomingMessage {
  const headers = {
    'content-type': 'application/json',
    ...(announcedLength !== undefined && { 'content-length': String(announcedLength) }),
  };
  return Object.assign(Readable.from(chunks, { objectMode: false }), {
    headers,
    rawHeaders: Object.entries(headers).flat(),
  }) as unknown as IncomingMessage;
}

function* bytesOf(text: string): Iterable<Buffer> {
  for (const byte of Buffer.from(text)) yield Buffer.from([byte]);
}

function receive(request: IncomingMessage, limits: ReceiveLimits): Promise<ReceivedBody> {
  return new Promise((done) => receiveBody(request, limits, ['application/json'], done));
}

describe('receiving a body', () => {
  it('takes time in proportion to its length, also when it comes byte by byte', async () => {
    const budget = new BufferBudget({ bytesMax: 64 << 20, eventsMax: 1 });
    const text = '0123456789'.repeat(40_000);
    const startedAt = performance.now();
    const received = await receive(requestOf(bytesOf(text)), { budget, bodyBytesMax: text.length });
    assert.ok(received.status === 'received');
    assert.equal(received.bytes.toString(), text);
    assert.ok(performance.now() - startedAt < 3_000);
  });

  it('P3: bodies that are complete leave their room to those that arrive', async () => {
    const budget = new BufferBudget({ bytesMax: 96 * 1024, eventsMax: 1 });
    const body = Buffer.alloc(10_000, ' ');
    for (let count = 0; count < 3; count += 1) {
      const { status } = await receive(requestOf([body]), { budget, bodyBytesMax: 10_000 });
      assert.equal(status, 'received');
    }
    assert.ok(budget.bytes >= 3 * body.length);
  });

  for (const announced of [true, false]) {
    it(`keeps every byte of a body in chunks whose length was ${announced ? '' : 'not '}announced`, async () => {
      const budget = new BufferBudget({ bytesMax: 8 << 20, eventsMax: 1 });
      const chunks = Array.from({ length: 40 }, (_, index) => Buffer.alloc(10_000 + index, index));
      const body = Buffer.concat(chunks);
      const request = requestOf(chunks, announced ? body.length : undefined);
      const received = await receive(request, { budget, bodyBytesMax: body.length });
      assert.ok(received.status === 'received');
      assert.ok(received.bytes.equals(body));
      const counted = received.hold.bytes;
      assert.ok(counted > body.length && counted < body.length + 10_000);
    });
  }

  it('P3: gives the memory of a refused body back at once, but not what others share', async () => {
    const budget = new BufferBudget({ bytesMax: 96 * 1024, eventsMax: 1 });
    const shared = Buffer.alloc(16_000, ' ');
    const chunks = [Buffer.alloc(16_000), shared.subarray(0, 8_000), Buffer.alloc(16_000)];
    const received = await receive(requestOf(chunks), { budget, bodyBytesMax: 100_000 });
    assert.deepEqual(received, { status: 'refused', code: 'buffer-full' });
    assert.deepEqual(
      chunks.map(({ buffer }) => buffer.byteLength > 0),
      [false, true, false],
    );
    assert.equal(budget.bytes, 0);
  });

  it('P3: what was gathered and taken is not kept for as long as its request is', () => {
    for (const chunks of [1, 2, 3]) {
      const gathered = new GatheredBytes();
      for (let count = 0; count < chunks; count += 1) gathered.add(Buffer.alloc(5_000));
      assert.equal(gathered.take().length, chunks * 5_000);
      assert.equal(gathered.take().length, 0);
    }
  });

  it('P3: a few that announce much and send little leave room to others', async () => {
    const budget = new BufferBudget({ bytesMax: 64 << 20, eventsMax: 1 });
    const limits = { budget, bodyBytesMax: 8 << 20 };
    for (let count = 0; count < 10; count += 1) {
      const slow = requestOf([], 8 << 20);
      void receive(slow, limits);
      slow.emit('data', Buffer.alloc(1));
    }
    const body = Buffer.alloc(300_000, ' ');
    const chunks = [body.subarray(0, 100_000), body.subarray(100_000)];
    assert.equal((await receive(requestOf(chunks, body.length), limits)).status, 'received');
  });

  it('P3: gives back what it counted when the connection breaks', async () => {
    const budget = new BufferBudget({ bytesMax: 64 * 1024, eventsMax: 1 });
    const request = requestOf([]);
    const received = receive(request, { budget, bodyBytesMax: 10_000 });
    request.emit('data', Buffer.alloc(5_000));
    assert.ok(budget.bytes > 0);
    request.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }));
    assert.deepEqual(await received, { status: 'aborted' });
    assert.equal(budget.bytes, 0);
  });
});
