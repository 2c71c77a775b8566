import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { eventText } from '../json-text.ts';
import { type LocalService, startLocalService } from './local-service.ts';
import { readTopic, type StoredRecord } from './topic-reader.ts';

const EVENT_BYTES_MAX = 900_000;

interface Result {
  readonly index: number;
  readonly id?: string;
  readonly status: string;
  readonly code?: string;
  readonly detail?: string;
  readonly pointer?: string;
  readonly retryable?: boolean;
  readonly partition?: number;
  readonly offset?: number;
}

const idsIn = (found: readonly StoredRecord[], prefix: string) =>
  found.map(({ value }) => JSON.parse(value).id as string).filter((id) => id.startsWith(prefix));

describe('many events on a real Kafka', () => {
  let service: LocalService;

  before(async () => {
    service = await startLocalService();
  });
  after(() => service.close());

  async function post(path: string, body: string | Buffer, headers: Record<string, string> = {}) {
    const response = await fetch(service.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: body as string,
    });
    return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
  }

  async function postBatch(body: string | Buffer, headers: Record<string, string> = {}) {
    const { status, answer } = await post('/v1/events/batch', body, headers);
    const { stored, failed, results } = answer as { stored: number; failed: number; results: Result[] };
    return { status, stored, failed, results };
  }

  const records = () => readTopic(service.brokers, 'events');

  it('stores 996 of 1,000 where three are broken and one is too large, and names the four', async () => {
    const events = Array.from(
      { length: 1_000 },
      (_, index) =>
        `{"id":"m${index}","type":"t","source_type":"user","source_id":"s${index % 7}","data":1.10}`,
    );
    events[17] = '{"id":"m17","type":"t","source_type":"User","source_id":"s"}';
    events[500] = '{"id":"m500","type":"t","source_type":"user","source_id":"s","more":1}';
    events[501] = '{"type":"t","id":"m501","type":"t","source_type":"user","source_id":"s"}';
    events[999] = `{"id":"m999","type":"t","source_type":"user","source_id":"s","data":"${'x'.repeat(EVENT_BYTES_MAX)}"}`;
    const { status, stored, failed, results } = await postBatch(`[${events.join(',\n')}]`);

    assert.equal(status, 207);
    assert.deepEqual([stored, failed, results.length], [996, 4, 1_000]);
    assert.deepEqual(
      results.filter((result) => result.status !== 'stored'),
      [
        {
          index: 17,
          id: 'm17',
          status: 'refused',
          code: 'invalid-event',
          detail: 'must be a string of 1 to 64 characters out of a-z, 0-9, _ and -',
          pointer: '/source_type',
          retryable: false,
        },
        {
          index: 500,
          id: 'm500',
          status: 'refused',
          code: 'invalid-event',
          detail: 'must have no members besides id, type, source_type, source_id, time, data',
          pointer: '',
          retryable: false,
        },
        {
          index: 501,
          status: 'refused',
          code: 'duplicate-key',
          detail: 'A member is given twice',
          retryable: false,
        },
        {
          index: 999,
          status: 'refused',
          code: 'event-too-large',
          detail: 'The event is too large',
          retryable: false,
        },
      ],
    );

    const found = await records();
    const expected = results.filter((result) => result.status === 'stored').map(({ index }) => `m${index}`);
    assert.deepEqual(idsIn(found, 'm').toSorted(), expected.toSorted());
    for (const { index, partition, offset } of results.filter((result) => result.status === 'stored')) {
      const record = found.find((each) => each.partition === partition && each.offset === offset);
      assert.equal(record?.value.replace(/"time":"[^"]+",/, ''), events[index]);
    }
  });

  it('stores 100 events of 20 KB with one key, in their order', async () => {
    const events = Array.from(
      { length: 100 },
      (_, index) =>
        `{"id":"k${index}","type":"t","source_type":"user","source_id":"one","data":"${String(index).repeat(20_000).slice(0, 20_000)}"}`,
    );
    const { status, stored } = await postBatch(events.join('\n'), { 'content-type': 'application/x-ndjson' });
    assert.deepEqual([status, stored], [200, 100]);
    const found = await records();
    assert.deepEqual(
      idsIn(found, 'k'),
      events.map((_, index) => `k${index}`),
    );
  });

  it('stores the bytes that were sent, however their JSON is spelled and whichever way they came', async () => {
    const written = fc
      .sample(
        eventText(() => 'ID'),
        600,
      )
      .map(({ text }, index) => text.replace('"ID"', `"p${index}"`));
    const third = written.length / 3;
    const sent: { text: string; at: Result }[] = [];

    for (const text of written.slice(0, third)) {
      const { status, answer } = await post('/v1/events', text);
      assert.equal(status, 201, text);
      sent.push({ text, at: answer as unknown as Result });
    }
    const arrays = written.slice(third, 2 * third);
    const array = await postBatch(brotliCompressSync(`[${arrays.join(' ,\n')}]`), {
      'content-encoding': 'br',
    });
    for (const [index, text] of arrays.entries()) sent.push({ text, at: array.results[index] as Result });
    // A line is an event, so there is none within one. White space outside of strings is all that this can hit.
    const lines = written.slice(2 * third).map((text) => text.replaceAll(/[\r\n]/g, ' '));
    const half = lines.length / 2;
    for (const [part, coding, encode] of [
      [lines.slice(0, half), 'gzip', gzipSync],
      [lines.slice(half), 'zstd', zstdCompressSync],
    ] as const) {
      const { results } = await postBatch(encode(part.join('\n')), {
        'content-type': 'application/x-ndjson',
        'content-encoding': coding,
      });
      for (const [index, text] of part.entries()) sent.push({ text, at: results[index] as Result });
    }

    const found = new Map(
      (await records()).map((record) => [`${record.partition}/${record.offset}`, record]),
    );
    assert.equal(sent.length, 600);
    for (const { text, at } of sent) {
      assert.equal(at.status, 'stored', text);
      const { value } = found.get(`${at.partition}/${at.offset}`) ?? {};
      const { id, time } = JSON.parse(text) as { id?: string; time?: string };
      const added = new RegExp(
        `^\\{${id === undefined ? '"id":"[0-9a-f-]{36}",' : ''}${time === undefined ? '"time":"[0-9TZ:.-]{24}",' : ''}`,
      );
      assert.match(value ?? '', added);
      assert.equal(value?.replace(added, '{'), text);
    }
  });
});
