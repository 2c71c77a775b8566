import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import {
  brotliCompressSync,
  constants,
  createZstdCompress,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib';
import { BufferBudget, type Hold } from '../../src/http/buffer-budget.ts';
import { bodyDecoder, type ContentCoding, codingOf } from '../../src/http/content-coding.ts';

const MiB = 1024 * 1024;
const encoders: Readonly<Record<ContentCoding, (bytes: Buffer) => Buffer>> = {
  gzip: gzipSync,
  deflate: deflateSync,
  br: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
  zstd: zstdCompressSync,
};
const codings = Object.keys(encoders) as ContentCoding[];

/** As the receiver leaves it: the encoded bytes are counted. */
function received(budget: BufferBudget, body: Buffer): Hold {
  const hold = budget.open();
  assert.ok(hold.take(body.length));
  return hold;
}

describe('decoding a body', () => {
  const decode = bodyDecoder(4 * MiB);
  const large = () => new BufferBudget({ bytesMax: 64 * MiB, eventsMax: 1 });

  for (const coding of codings) {
    const encoded = (bytes: Buffer) => Buffer.from(encoders[coding](bytes));

    for (const length of [1, 500, 65_535, 65_536, 65_537, 200_000, 4 * MiB]) {
      it(`gives ${length} bytes back from ${coding}, and counts just those`, async () => {
        const budget = large();
        const original = Buffer.concat([
          randomBytes(length / 2),
          Buffer.alloc(length - Math.floor(length / 2), 'x'),
        ]);
        const body = encoded(original);
        const hold = received(budget, body);
        const decoded = await decode(body, coding, hold);
        assert.ok(typeof decoded !== 'string' && decoded.equals(original));
        assert.equal(decoded.buffer.byteLength, length, 'no more is kept than is counted');
        assert.equal(budget.bytes, length);
        hold.close();
        assert.equal(budget.bytes, 0);
      });
    }

    for (const [what, spoil] of [
      ['cut short by a byte', (body: Buffer) => body.subarray(0, -1)],
      ['cut in half', (body: Buffer) => body.subarray(0, body.length / 2)],
      ['followed by something', (body: Buffer) => Buffer.concat([body, Buffer.from('more')])],
      ['followed by a zero', (body: Buffer) => Buffer.concat([body, Buffer.alloc(1)])],
      ['damaged at its beginning', (body: Buffer) => Buffer.concat([Buffer.from('{'), body.subarray(1)])],
      ['not encoded at all', () => Buffer.from('{"id":"e1","type":"t"}')],
    ] as const) {
      it(`refuses ${coding} that is ${what}`, async () => {
        const budget = large();
        const body = spoil(encoded(randomBytes(1_000)));
        const hold = received(budget, body);
        assert.equal(await decode(body, coding, hold), 'malformed-encoding');
        hold.close();
        assert.equal(budget.bytes, 0);
      });
    }

    it(`P3: stops ${coding} at the limit of a body, however few bytes it came in`, async () => {
      const budget = large();
      const body = encoded(Buffer.alloc(20 * MiB));
      const hold = received(budget, body);
      assert.equal(await decode(body, coding, hold), 'body-too-large');
      assert.ok(budget.bytes <= body.length + 4 * MiB);
      hold.close();
      assert.equal(budget.bytes, 0);
    });

    it(`P3: stops ${coding} where there is no more room`, async () => {
      const budget = new BufferBudget({ bytesMax: MiB, eventsMax: 1 });
      const body = encoded(Buffer.alloc(MiB / 2));
      const hold = received(budget, body);
      assert.equal(await decode(body, coding, hold), 'buffer-full', 'what is decoded may hold a quarter');
      hold.close();
      assert.equal(budget.bytes, 0);
    });
  }

  it('refuses deflate without its zlib wrapper', async () => {
    const body = deflateRawSync(randomBytes(1_000));
    assert.equal(await decode(body, 'deflate', received(large(), body)), 'malformed-encoding');
  });

  it('P3: refuses zstd that wants a window of more than 8 MiB', async () => {
    const resultWith = async (windowLog: number) => {
      const encoder = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: windowLog } });
      // It makes the window no larger than the content, if it knows that.
      for (let count = 0; count < 3; count += 1) encoder.write(Buffer.alloc(MiB));
      encoder.end();
      const body = await buffer(encoder);
      const result = await decode(body, 'zstd', received(large(), body));
      return typeof result === 'string' ? result : result.length;
    };
    assert.equal(await resultWith(23), 3 * MiB);
    assert.equal(await resultWith(24), 'malformed-encoding');
  });

  it('decodes one after the other, in the order in which they came', async () => {
    const ended: number[] = [];
    const budget = large();
    const bodies = [4 * MiB, 10, MiB, 10].map((length) => gzipSync(Buffer.alloc(length)));
    await Promise.all(
      bodies.map(async (body, index) => {
        const hold = received(budget, body);
        await decode(body, 'gzip', hold);
        ended.push(index);
      }),
    );
    assert.deepEqual(ended, [0, 1, 2, 3]);
  });

  it('decodes behind one for which no decoder could be made', async () => {
    const body = gzipSync('a');
    const failed = decode(body, 'none' as ContentCoding, received(large(), body));
    const decoded = decode(body, 'gzip', received(large(), body));
    await assert.rejects(failed);
    assert.equal(String(await decoded), 'a');
  });

  it('refuses what would wait for too long', async () => {
    const busy = bodyDecoder(64 * MiB);
    const budget = new BufferBudget({ bytesMax: 1 << 30, eventsMax: 1 });
    const encoded = gzipSync(Buffer.alloc(8 * MiB));
    const results = await Promise.all(
      Array.from({ length: 3_000 }, () => {
        const body = Buffer.from(encoded);
        const hold = received(budget, body);
        return busy(body, 'gzip', hold).then((result) => {
          hold.close();
          return typeof result === 'string' ? result : 'decoded';
        });
      }),
    );
    assert.deepEqual(new Set(results), new Set(['decoded', 'buffer-full']));
    assert.equal(results[0], 'decoded');
    assert.equal(budget.bytes, 0);
  });
});

describe('Content-Encoding', () => {
  for (const [given, coding] of [
    [undefined, undefined],
    ['', undefined],
    ['identity', undefined],
    [' Identity , identity', undefined],
    ['gzip', 'gzip'],
    ['X-GZIP', 'gzip'],
    ['identity, br', 'br'],
    ['gzip, br', 'unsupported'],
    ['gzip gzip', 'unsupported'],
    ['constructor', 'unsupported'],
  ] as const) {
    it(`${JSON.stringify(given)} is ${coding}`, () => assert.equal(codingOf(given), coding));
  }
});
