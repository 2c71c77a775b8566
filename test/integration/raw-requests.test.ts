import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { errorRow } from '../../src/errors.ts';
import { type RawAnswer, RawClient } from '../raw-client.ts';
import { type LocalService, startLocalService, until } from './local-service.ts';
import { batchCases } from './raw-cases/batch-cases.ts';
import { bodyCases } from './raw-cases/body-cases.ts';
import { codingCases } from './raw-cases/coding-cases.ts';
import { connectionCases, slowCases } from './raw-cases/connection-cases.ts';
import { eventCases } from './raw-cases/event-cases.ts';
import { headCases } from './raw-cases/head-cases.ts';
import { jsonCases } from './raw-cases/json-cases.ts';
import { type ExpectedAnswer, ID, LIMITS, MARKER, type RawCase } from './raw-cases/raw-case.ts';
import { readTopic } from './topic-reader.ts';

/** Slow ones first: the others are sent while they wait. */
const cases = [
  ...slowCases,
  ...jsonCases,
  ...eventCases,
  ...headCases,
  ...bodyCases,
  ...codingCases,
  ...batchCases,
  ...connectionCases,
];
/** What arrives too slowly is answered by then. */
const PATIENCE_MS = 15_000;
const DRIP_MS = 250;
const ASSIGNED_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/;

describe('input that nobody should send', () => {
  let service: LocalService;
  const log: string[] = [];
  /** What was answered as stored: id, partition and offset. */
  const stored: string[] = [];
  let idleBytes: string | undefined;

  before(async () => {
    const logger = pino({ level: 'debug' }, { write: (line: string) => void log.push(line) });
    const settings = {
      PUBLISH_TIMEOUT_MS: '4000',
      EVENT_MAX_BYTES: String(LIMITS.eventBytesMax),
      BODY_MAX_BYTES: String(LIMITS.bodyBytesMax),
      BATCH_MAX_EVENTS: String(LIMITS.batchEventsMax),
    };
    service = await startLocalService(settings, logger);
    idleBytes = await metric('dual_stream_buffer_bytes');
  });
  after(() => service.close());

  it('is many cases, each with bytes of its own and the marker in them', () => {
    assert.ok(cases.length >= 120, `${cases.length}`);
    assert.equal(
      new Set(cases.map(({ bytes, drip, isEnded }) => JSON.stringify([bytes, drip, isEnded]))).size,
      cases.length,
    );
    assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
    const unmarked = cases.filter(({ bytes, drip }) => !bytes.includes(MARKER) && drip !== '\r\n');
    assert.deepEqual(unmarked, []);
  });

  describe('is answered as it should', { concurrency: 24 }, () => {
    for (const [index, each] of cases.entries()) {
      const codes = each.answers.map(({ status, code }) => `${status}${code ? ` ${code}` : ''}`);
      it(`${each.name}: ${codes.join(', ')}`, () => answered(each, index));
    }
  });

  it('P1, P4: Kafka holds exactly what was answered as stored, once and where the answer says', async () => {
    const records = await readTopic(service.brokers, 'events');
    const held = records.map(({ value, partition, offset }) =>
      position(JSON.parse(value).id, partition, offset),
    );
    assert.deepEqual(held.toSorted(), stored.toSorted());
    assert.ok(held.length > 50, `${held.length}`);
  });

  it('is not in the log, and no fault of the service is', () => {
    assert.ok(log.length > 0);
    assert.deepEqual(
      log.filter((line) => line.includes(MARKER) || JSON.parse(line).level >= 50),
      [],
    );
  });

  it('P3: leaves nothing behind in the buffer', async () => {
    await until(async () => (await metric('dual_stream_buffer_bytes')) === idleBytes);
    assert.equal(await metric('dual_stream_buffer_events'), '0');
  });

  /** As a request sees it, which itself takes room. */
  async function metric(name: string): Promise<string | undefined> {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    return new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1];
  }

  async function answered(
    { bytes, drip, isEnded, isLeftOpen, answers }: RawCase,
    caseNumber: number,
  ): Promise<void> {
    const id = ID.replace('000', String(caseNumber).padStart(3, '0'));
    const client = await RawClient.connect(Number(new URL(service.url).port));
    client.write(bytes.replaceAll(ID, id));
    if (isEnded) client.end();
    const dripping = drip === undefined ? undefined : setInterval(() => client.write(drip), DRIP_MS);
    try {
      for (const [index, expected] of answers.entries()) {
        const answer = await client.answer(PATIENCE_MS, expected.isToHead);
        assert.ok(answer, `closed or silent behind ${index} answers`);
        check(answer, expected, id);
      }
      if (!isLeftOpen) {
        clearInterval(dripping);
        client.end();
      }
      assert.ok(
        await client.isClosed(PATIENCE_MS),
        'something more is answered, or the connection stays open',
      );
    } finally {
      clearInterval(dripping);
      client.destroy();
    }
  }

  function check(answer: RawAnswer, expected: ExpectedAnswer, id: string): void {
    const body = Buffer.from(answer.body, 'latin1').toString();
    assert.equal(answer.status, expected.status, body);
    assert.ok(!`${[...answer.headers]}${body}`.toLowerCase().includes(MARKER), `it echoes: ${body}`);
    for (const [name, value] of Object.entries(expected.headers ?? {})) {
      assert.equal(answer.headers.get(name), value, name);
    }
    const type = answer.headers.get('content-type');
    if (expected.code !== undefined) {
      assert.equal(type, 'application/problem+json');
      if (!expected.isToHead) checkProblem(JSON.parse(body), answer, expected, id);
    } else if (expected.results !== undefined) {
      const { results } = JSON.parse(body) as { results: readonly Result[] };
      assert.deepEqual(
        results.map(({ status, code }) => code ?? status),
        expected.results,
      );
      for (const result of results) if (result.status === 'stored') note(result, id);
    } else if (answer.status === 201) {
      assert.equal(type, 'application/json; charset=utf-8');
      note(JSON.parse(body) as Result, id);
    }
  }

  function note(result: Result, id: string): void {
    assert.ok(result.id.startsWith(id) || ASSIGNED_ID.test(result.id), result.id);
    stored.push(position(result.id, result.partition, result.offset));
  }
});

interface Result {
  readonly id: string;
  readonly status: string;
  readonly code?: string;
  readonly partition: number;
  readonly offset: number;
}

const position = (id: string, partition: number, offset: number) => `${id} ${partition}:${offset}`;

function checkProblem(
  problem: { readonly errors?: readonly { readonly pointer: string }[]; readonly [name: string]: unknown },
  answer: RawAnswer,
  { code, status, pointers }: ExpectedAnswer,
  caseId: string,
): void {
  assert.ok(code);
  const { title, explanation, retryable } = errorRow(code);
  const { request_id, id = caseId, errors, ...rest } = problem;
  assert.deepEqual(rest, { type: `/problems/${code}`, title, status, detail: explanation, code, retryable });
  assert.ok(String(id).startsWith(caseId));
  assert.match(String(request_id), /^[\w.:-]{1,64}$/);
  assert.equal(answer.headers.get('x-request-id') ?? request_id, request_id);
  if (pointers)
    assert.deepEqual(
      errors?.map(({ pointer }) => pointer),
      pointers,
    );
}
