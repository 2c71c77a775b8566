import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { buildApp } from '../../src/ingest/app.ts';
import { readBatch } from '../../src/ingest/batch-reader.ts';
import type { PublishableEvent, PublishRequest } from '../../src/ingest/dual-publisher.ts';
import { IngestMetrics } from '../../src/ingest/metrics.ts';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { appOptions } from '../fakes/app-options.ts';

const BATCH_EVENTS_MAX = 20;
const JSON_TYPE = 'application/json';
const NDJSON_TYPE = 'application/x-ndjson';
const STORED = (partition = 0, offset = 7): Outcome => ({ status: 'stored', partition, offset });
const NOT_STORED: Outcome = { status: 'not_stored', code: 'buffer-full' };
const UNKNOWN: Outcome = { status: 'unknown', code: 'outcome-unknown' };

interface Answer {
  readonly stored: number;
  readonly failed: number;
  readonly results: readonly Record<string, unknown>[];
  readonly code?: string;
  readonly errors?: readonly { readonly pointer: string }[];
}

let budget: BufferBudget;
let metrics: IngestMetrics;
let lines: string[];
let app: FastifyInstance;
let published: PublishRequest[];
/** What the publisher makes of each event, by its id. */
let outcomeOf: (event: PublishableEvent) => Outcome;
const opened: FastifyInstance[] = [];

beforeEach(async () => {
  budget = new BufferBudget({ bytesMax: 64 * 1024 * 1024, eventsMax: 1_000 });
  metrics = new IngestMetrics();
  lines = [];
  published = [];
  outcomeOf = () => STORED();
  app = await buildApp(
    appOptions({
      publish(request) {
        published.push(request);
        request.hold.close();
        request.settled(request.events.map(outcomeOf));
      },
      budget,
      metrics,
      log: pino({ level: 'info' }, { write: (line) => void lines.push(line) }),
      limits: {
        bodyBytesMax: 100_000,
        batchEventsMax: BATCH_EVENTS_MAX,
        eventBytesMax: () => 2_000,
        publishTimeoutMs: 15_000,
        connectionsMax: 1_000,
      },
    }),
  );
  opened.push(app);
});
after(() => Promise.all(opened.map((instance) => instance.close())));

const event = (id: string, more = '') =>
  `{"id":"${id}","type":"t","source_type":"user","source_id":"octocat"${more}}`;
const INVALID = '{"id":"bad","type":"t","source_type":"User","source_id":"octocat"}';

async function post(
  payload: string | Buffer,
  options: { type?: string; query?: string; prefer?: string } = {},
) {
  const { type = JSON_TYPE, query = '', prefer } = options;
  const response = await app.inject({
    method: 'POST',
    url: `/v1/events/batch${query}`,
    headers: { 'content-type': type, ...(prefer && { prefer }) },
    payload,
  });
  return { status: response.statusCode, headers: response.headers, answer: response.json<Answer>() };
}

const publishedIds = () => published.flatMap(({ events }) => events.map(({ id }) => id));
const statuses = ({ results }: Answer) => results.map(({ status }) => status);

describe('POST /v1/events/batch', () => {
  for (const [type, body] of [
    [JSON_TYPE, ` [ ${event('a')} ,\n${event('b')},${event('c')}\t]\n`],
    [NDJSON_TYPE, `${event('a')}\r\n\n  \n${event('b')}\n${event('c')}`],
    [NDJSON_TYPE, `${event('a')}\n${event('b')}\n${event('c')}\n`],
  ] as const) {
    it(`P1: answers 200 and the place of each event, in order: ${type}`, async () => {
      outcomeOf = ({ id }) => STORED(1, id.charCodeAt(0));
      const { status, headers, answer } = await post(body, { type });
      assert.equal(status, 200);
      assert.equal(headers['content-type'], 'application/json; charset=utf-8');
      assert.deepEqual(answer, {
        stored: 3,
        failed: 0,
        results: ['a', 'b', 'c'].map((id, index) => ({
          index,
          id,
          status: 'stored',
          partition: 1,
          offset: id.charCodeAt(0),
        })),
      });
      assert.equal(published.length, 1, 'one request');
      const values = published[0]?.events.map(({ head, tail }) => head + tail.toString());
      assert.deepEqual(
        values?.map((value) => value.replace(/"time":"[^"]+",/, '')),
        ['a', 'b', 'c'].map((id) => event(id)),
      );
    });
  }

  it('a valid event is not held back by a refused neighbour', async () => {
    const tooLarge = event('large', `,"data":"${'x'.repeat(3_000)}"`);
    const { status, answer } = await post(`[${event('a')},${INVALID},${tooLarge},7,${event('b')}]`);
    assert.equal(status, 207);
    assert.deepEqual([answer.stored, answer.failed], [2, 3]);
    assert.deepEqual(publishedIds(), ['a', 'b']);
    assert.deepEqual(answer.results[1], {
      index: 1,
      id: 'bad',
      status: 'refused',
      code: 'invalid-event',
      detail: 'must be a string of 1 to 64 characters out of a-z, 0-9, _ and -',
      pointer: '/source_type',
      retryable: false,
    });
    assert.deepEqual(
      answer.results.map(({ index, code }) => [index, code]),
      [
        [0, undefined],
        [1, 'invalid-event'],
        [2, 'event-too-large'],
        [3, 'invalid-event'],
        [4, undefined],
      ],
    );
  });

  it('in NDJSON an unreadable line spoils only itself', async () => {
    const body = Buffer.concat([
      Buffer.from(`${event('a')}\n{"id":\n`),
      Buffer.from([0xff, 0x0a]),
      Buffer.from(`[${event('c')}]\n${event('b')} ${event('d')}\n${event('e')}\n`),
    ]);
    const { status, answer } = await post(body, { type: NDJSON_TYPE });
    assert.equal(status, 207);
    assert.deepEqual(
      answer.results.map(({ status: each, code }) => code ?? each),
      ['stored', 'malformed-json', 'invalid-utf8', 'invalid-event', 'malformed-json', 'stored'],
    );
    assert.deepEqual(publishedIds(), ['a', 'e']);
  });

  const unreadable: readonly (readonly [string, string | Buffer, number, string])[] = [
    ['no array', event('a'), 400, 'malformed-json'],
    ['an array that does not end', `[${event('a')},`, 400, 'malformed-json'],
    ['a comma too many', `[${event('a')},]`, 400, 'malformed-json'],
    ['a comma too few', `[${event('a')}${event('b')}]`, 400, 'malformed-json'],
    ['only a comma', '[,]', 400, 'malformed-json'],
    ['something behind the array', `[${event('a')}]]`, 400, 'malformed-json'],
    ['a fault of syntax in one element', `[${event('a')},{"id":tru}]`, 400, 'malformed-json'],
    ['brackets that do not match', `[${event('a').replace(/}$/, ']')}]`, 400, 'malformed-json'],
    ['an unquoted word', '[hello]', 400, 'malformed-json'],
    ['a string that does not end', '["]', 400, 'malformed-json'],
    ['a byte that is not UTF-8', Buffer.from([0x5b, 0xff, 0x5d]), 400, 'invalid-utf8'],
    ['a byte order mark', `\ufeff[${event('a')}]`, 400, 'invalid-utf8'],
    ['nothing', '', 400, 'empty-body'],
    ['white space', ' \n', 400, 'empty-body'],
    ['an empty array', '[ ]', 422, 'batch-empty'],
    [
      'too many events',
      `[${Array.from({ length: BATCH_EVENTS_MAX + 1 }, () => event('a'))}]`,
      413,
      'batch-too-large',
    ],
    ['too many bytes', `[${' '.repeat(100_000)}]`, 413, 'body-too-large'],
  ];
  for (const [name, body, status, code] of unreadable) {
    it(`refuses ${name} as a whole: ${status} ${code}`, async () => {
      const refused = await post(body);
      assert.deepEqual([refused.status, refused.answer.code], [status, code]);
      assert.equal(refused.headers['content-type'], 'application/problem+json');
      assert.equal(published.length, 0);
      assert.equal(budget.bytes, 0);
    });
  }

  for (const [format, what, text] of [
    ['json', 'elements', ',0'],
    ['ndjson', 'lines', '0\n'],
    ['ndjson', 'blank lines', '\n'],
  ] as const) {
    it(`P3: has done with a body of nothing but ${what} soon, and keeps no object for each`, async () => {
      const body = Buffer.alloc(4 * 1024 * 1024 + 1, text);
      if (format === 'json') body[0] = 0x5b;
      body[body.length - 1] = 0x30;
      const before = process.memoryUsage().heapUsed;
      const cpu = process.threadCpuUsage();
      const read = readBatch(body, format, { eventBytesMax: 2_000, eventsMax: BATCH_EVENTS_MAX });
      assert.ok(process.threadCpuUsage(cpu).user < 400_000);
      assert.ok(process.memoryUsage().heapUsed - before < 20e6);
      const result = await read;
      if (text === '\n') assert.ok(Array.isArray(result) && result.length === 1);
      else assert.deepEqual(result, { code: 'batch-too-large' });
    });
  }

  it('many batches at once hold up everything else for no longer than one', async () => {
    const body = Buffer.from(`[${Array.from({ length: 3_000 }, () => event('a'))}]`);
    const limits = { eventBytesMax: 2_000, eventsMax: 3_000 };
    const read: number[] = [];
    const reading = Array.from({ length: 30 }, async () => {
      const items = await readBatch(body, 'json', limits);
      read.push(Array.isArray(items) ? items.length : 0);
    });
    const held: number[] = [];
    while (read.length < 30) {
      const { user, system } = process.threadCpuUsage();
      await new Promise(setImmediate);
      const since = process.threadCpuUsage();
      held.push((since.user + since.system - user - system) / 1000);
    }
    await Promise.all(reading);
    assert.deepEqual(new Set(read), new Set([3_000]));
    held.sort((a, b) => a - b);
    // One turn is 5 ms; when all went on in each it was 60 to 127, and 170 to 590 at worst.
    assert.ok((held[Math.floor(held.length / 2)] ?? 0) < 25, `${held.map(Math.round)} ms`);
    assert.ok((held.at(-1) ?? 0) < 150, `${held.map(Math.round)} ms`);
  });

  it('takes as many events as allowed', async () => {
    const { status, answer } = await post(`[${Array.from({ length: BATCH_EVENTS_MAX }, () => event('a'))}]`);
    assert.deepEqual([status, answer.stored], [200, BATCH_EVENTS_MAX]);
  });

  const mixtures: readonly (readonly [string, Readonly<Record<string, Outcome>>, string, number])[] = [
    ['some stored, some unknown', { a: STORED(), b: UNKNOWN }, 'ab', 207],
    ['some unknown, some not stored', { a: NOT_STORED, b: UNKNOWN }, 'ab', 504],
    ['none stored, some could be', { a: NOT_STORED, b: NOT_STORED }, 'ab', 503],
    [
      'all forbidden',
      { a: { status: 'refused', code: 'forbidden' }, b: { status: 'refused', code: 'forbidden' } },
      'ab',
      403,
    ],
    [
      'all refused',
      { a: { status: 'refused', code: 'forbidden' }, b: { status: 'refused', code: 'event-too-large' } },
      'ab',
      422,
    ],
  ];
  for (const [name, outcomes, ids, expected] of mixtures) {
    it(`P4: ${name}: ${expected}`, async () => {
      outcomeOf = ({ id }) => outcomes[id] as Outcome;
      const { status, headers, answer } = await post(`[${[...ids].map((id) => event(id))}]`);
      assert.equal(status, expected);
      assert.equal(headers['retry-after'], expected === 503 ? '7' : undefined);
      assert.deepEqual(
        statuses(answer),
        [...ids].map((id) => outcomes[id]?.status),
      );
    });
  }

  it('none valid is 422, and nothing is published', async () => {
    const { status, answer } = await post(`[${INVALID},${INVALID}]`);
    assert.deepEqual([status, answer.failed, published.length], [422, 2, 0]);
    assert.equal(budget.bytes, 0);
  });

  it('with on_refused=abort nothing is sent when one is refused, and the others can be sent again', async () => {
    const { status, answer } = await post(`[${event('a')},${INVALID},${event('b')}]`, {
      query: '?on_refused=abort',
    });
    assert.equal(status, 422);
    assert.deepEqual(
      answer.results.map(({ code, retryable }) => [code, retryable]),
      [
        ['batch-aborted', true],
        ['invalid-event', false],
        ['batch-aborted', true],
      ],
    );
    assert.equal(published.length, 0);
    assert.equal(budget.bytes, 0);
    const whole = await post(`[${event('a')},${event('b')}]`, { query: '?on_refused=abort' });
    assert.equal(whole.status, 200);
  });

  it('refuses a parameter that it does not know, points at the fault, and repeats nothing of it', async () => {
    for (const [query, ...pointers] of [
      ['?on_refused=SECRET', '/on_refused'],
      ['?on_refused=', '/on_refused'],
      ['?on_refused=abort&on_refused=abort', '/on_refused'],
      ['?SECRET=abort', ''],
      ['?__proto__=SECRET', ''],
      ['?on_refused=SECRET&SECRET', '', '/on_refused'],
    ] as const) {
      const { status, answer } = await post(`[${event('a')}]`, { query });
      assert.deepEqual([status, answer.code], [422, 'invalid-request'], query);
      assert.deepEqual(
        answer.errors?.map((fault) => fault.pointer),
        pointers,
        query,
      );
      assert.ok(!JSON.stringify(answer).includes('SECRET'));
    }
    assert.equal(published.length, 0);
  });

  it('follows what the client prefers, and says so', async () => {
    outcomeOf = ({ id }) => (id === 'b' ? UNKNOWN : STORED());
    const { headers, answer } = await post(`[${event('a')},${event('b')},${event('c')}]`, {
      prefer: 'return=minimal, wait=3',
    });
    assert.equal(headers['preference-applied'], 'wait=3, return=minimal');
    const { timeoutMs = 0 } = published[0] ?? {};
    assert.ok(timeoutMs <= 3_000 && timeoutMs > 2_000);
    assert.deepEqual([answer.stored, answer.failed], [2, 1]);
    assert.deepEqual(
      answer.results.map(({ index, status }) => [index, status]),
      [[1, 'unknown']],
    );
  });

  it('takes no other content type', async () => {
    for (const type of ['text/plain', 'application/json, application/x-ndjson', 'application/ndjson']) {
      const { status } = await post(`[${event('a')}]`, { type });
      assert.equal(status, 415);
    }
  });

  it('counts every event by its outcome', async () => {
    outcomeOf = () => STORED();
    await post(`[${event('a')},${INVALID}]`);
    const text = await metrics.text();
    assert.match(text, /dual_stream_events_total\{outcome="refused"\} 1/);
  });

  it('counts what is not stored by its code, and logs what is no fault of the client', async () => {
    outcomeOf = ({ id }) => (id === 'a' ? STORED() : { status: 'unknown', code: 'outcome-unknown' });
    const { status } = await post(`[${event('a')},${INVALID},${event('b')},${event('c')}]`);
    assert.equal(status, 207);
    const text = await metrics.text();
    assert.match(text, /dual_stream_refused_total\{reason="outcome-unknown"\} 2/);
    assert.match(text, /dual_stream_refused_total\{reason="invalid-event"\} 1/);
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { code: string }).code),
      ['outcome-unknown'],
    );
  });
});
