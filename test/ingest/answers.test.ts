import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Verdict } from '../../src/authentication.ts';
import { Client } from '../../src/client.ts';
import { type ErrorCode, errors } from '../../src/errors.ts';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { type AppOptions, buildApp } from '../../src/ingest/app.ts';
import type { PublishRequest } from '../../src/ingest/dual-publisher.ts';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { appOptions } from '../fakes/app-options.ts';
import { RawClient } from '../raw-client.ts';
import { codesOf, readDocument } from '../specification.ts';

/**
 * Every answer that the specification promises is provoked, and every answer that is provoked is promised. An operation
 * that can answer something new makes one of these tests fail, until both the document and a request here say so.
 */

const { assertPromised, operations } = readDocument('openapi.yaml');

const EVENTS = 'POST /v1/events';
const BATCH = 'POST /v1/events/batch';
const READY = 'GET /readyz';
const LIVE = 'GET /livez';
const PAGE = 'GET /problems/{code}';

const EVENT = '{"id":"e1","type":"t","source_type":"user","source_id":"octocat"}';
const STORED: Outcome = { status: 'stored', partition: 3, offset: 42 };
const JSON_TYPE = 'application/json';
const NDJSON_TYPE = 'application/x-ndjson';

/** How the publisher ends all events of a request, by the id of its first; all others are stored. */
const outcomes: Readonly<Record<string, Outcome>> = Object.fromEntries(
  (
    [
      ['refused', 'event-too-large'],
      ['not_stored', 'buffer-full'],
      ['not_stored', 'kafka-unavailable'],
      ['not_stored', 'topic-missing'],
      ['not_stored', 'topic-forbidden'],
      ['not_stored', 'kafka-refused'],
      ['not_stored', 'shutting-down'],
      ['unknown', 'outcome-unknown'],
    ] as const
  ).map(([status, code]) => [code, { status, code }]),
);
/** The publisher has a bug with this event, and takes its time with that one. */
const BUG = 'internal-error';
const PENDING = 'pending';

const opened: FastifyInstance[] = [];
const pending: PublishRequest[] = [];
const seen = new Map<string, Set<string>>([...operations.keys()].map((name) => [name, new Set()]));

async function serve(changes: Partial<AppOptions> = {}, connectionsMax = 1_000): Promise<number> {
  const app = await buildApp(
    appOptions({
      publish(request) {
        const { id = '' } = request.events[0] ?? {};
        if (id === BUG) throw new Error('SECRET of the publisher');
        if (id === PENDING) pending.push(request);
        else settle(request, outcomes[id] ?? STORED);
      },
      budget: new BufferBudget({ bytesMax: 1024 * 1024, eventsMax: 100 }),
      limits: {
        bodyBytesMax: 3_000,
        batchEventsMax: 3,
        eventBytesMax: () => 500,
        publishTimeoutMs: 15_000,
        connectionsMax,
      },
      ...changes,
    }),
  );
  opened.push(app);
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/** What the publisher was given and takes its time with. */
async function pendingRequest(): Promise<PublishRequest> {
  for (;;) {
    const [request] = pending.splice(0);
    if (request !== undefined) return request;
    await delay(1);
  }
}

function settle(request: PublishRequest, outcome: Outcome): void {
  request.hold.close();
  request.settled(request.events.map(() => outcome));
}

/** Sends a request as it is written, holds the answer against the document, and returns its code and its body. */
async function provoke(name: string, at: number, text: string) {
  const client = await RawClient.connect(at);
  client.write(text);
  const answer = await client.answer(8_000);
  client.destroy();
  assert.ok(answer, `${name} is not answered`);
  const body = assertPromised(name, answer) as {
    code?: string;
    results?: { status: string; code?: string }[];
  };
  const code = body.code ?? String(answer.status);
  seen.get(name)?.add(code);
  return { ...answer, code, results: body.results };
}

function requestTo(
  name: string,
  { path, headers = '', body }: { path?: string; headers?: string; body?: string } = {},
) {
  const [method = '', template = ''] = name.split(' ');
  const target = path ?? template.replace('{code}', 'buffer-full');
  const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`;
  return `${method} ${target} HTTP/1.1\r\nHost: a\r\n${headers}${length}\r\n${body ?? ''}`;
}

const withBody = (
  name: string,
  body: string,
  type = JSON_TYPE,
  more: { path?: string; headers?: string } = {},
) => requestTo(name, { ...more, headers: `Content-Type: ${type}\r\n${more.headers ?? ''}`, body });
const eventOf = (id: string) => EVENT.replace('e1', id);

let port: number;
before(async () => {
  port = await serve();
});
after(() => Promise.all(opened.map((app) => app.close())));

describe('answers', () => {
  it('to whatever it is are as promised, when a request is not HTTP as it should be', async () => {
    const full = await serve({}, 0);
    await Promise.all(
      [...operations.keys()].map(async (name) => {
        const provoked = await Promise.all([
          provoke(name, port, requestTo(name).replace('Host: a\r\n', '')),
          provoke(name, port, requestTo(name).replace(/^\w+/, 'DELETE')),
          provoke(name, port, requestTo(name, { headers: `X: ${'x'.repeat(17_000)}\r\n` })),
          provoke(name, port, requestTo(name).replace(/\r\n\r\n$/, '\r\n')),
          provoke(name, full, requestTo(name)),
        ]);
        const codes = [
          'bad-request',
          'method-not-allowed',
          'headers-too-large',
          'request-timeout',
          'too-many-connections',
        ];
        assert.deepEqual(
          provoked.map(({ code }) => code),
          codes,
          name,
        );
      }),
    );
  });

  const refusals: readonly (readonly [code: ErrorCode, name: string, text: string])[] = [
    ...[EVENTS, BATCH].flatMap((name) => [
      ['malformed-json', name, withBody(name, '[{')] as const,
      ['invalid-utf8', name, withBody(name, `["\xff"]`)] as const,
      ['empty-body', name, withBody(name, ' \n')] as const,
      ['body-too-large', name, withBody(name, ' '.repeat(3_001))] as const,
      [
        'malformed-encoding',
        name,
        withBody(name, EVENT, JSON_TYPE, { headers: 'Content-Encoding: gzip\r\n' }),
      ] as const,
      [
        'unsupported-encoding',
        name,
        withBody(name, EVENT, JSON_TYPE, { headers: 'Content-Encoding: compress\r\n' }),
      ] as const,
      ['unsupported-media-type', name, withBody(name, EVENT, 'text/plain')] as const,
    ]),
    ['json-too-deep', EVENTS, withBody(EVENTS, '['.repeat(66) + ']'.repeat(66))],
    ['duplicate-key', EVENTS, withBody(EVENTS, '{"a":1,"a":2}')],
    ['forbidden-key', EVENTS, withBody(EVENTS, '{"__proto__":1}')],
    ['event-too-large', EVENTS, withBody(EVENTS, JSON.stringify('x'.repeat(500)))],
    ['invalid-event', EVENTS, withBody(EVENTS, '{}')],
    ['batch-empty', BATCH, withBody(BATCH, '[]')],
    ['batch-too-large', BATCH, withBody(BATCH, '[1,2,3,4]')],
    ['invalid-request', BATCH, withBody(BATCH, '[]', JSON_TYPE, { path: '/v1/events/batch?x' })],
    ['not-found', PAGE, requestTo(PAGE, { path: '/problems/none' })],
    ['uri-too-long', PAGE, requestTo(PAGE, { path: `/problems/${'x'.repeat(201)}` })],
    ['bad-request', PAGE, requestTo(PAGE, { path: '/problems/%zz' })],
    ['internal-error', EVENTS, withBody(EVENTS, eventOf(BUG))],
    ['internal-error', BATCH, withBody(BATCH, `[${eventOf(BUG)}]`)],
  ];
  for (const [code, name, text] of refusals) {
    it(`of ${name} with ${code} are as promised`, async () => {
      assert.equal((await provoke(name, port, text)).code, code);
    });
  }

  it('about events that Kafka did not take are as promised, also where the client shortened the wait', async () => {
    for (const code of Object.keys(outcomes)) {
      const answer = await provoke(
        EVENTS,
        port,
        withBody(EVENTS, eventOf(code), JSON_TYPE, { headers: 'Prefer: wait=2\r\n' }),
      );
      assert.equal(answer.code, code);
      assert.equal(answer.headers.get('preference-applied'), 'wait=2');
    }
  });

  it('of a service that has no room, stops, or has a bug are as promised', async () => {
    const full = await serve({ budget: new BufferBudget({ bytesMax: 0, eventsMax: 0 }) });
    assert.equal((await provoke(BATCH, full, withBody(BATCH, `[${EVENT}]`))).code, 'buffer-full');
    const broken = await serve({
      readiness: () => {
        throw new Error('SECRET');
      },
    });
    assert.equal((await provoke(READY, broken, requestTo(READY))).code, 'internal-error');

    for (const name of [EVENTS, BATCH]) {
      const stopping = await serve();
      const client = await RawClient.connect(stopping);
      client.write(withBody(EVENTS, eventOf(PENDING)));
      const accepted = await pendingRequest();
      void opened.at(-1)?.close();
      await delay(20);
      client.write(withBody(name, EVENT));
      await delay(20);
      settle(accepted, STORED);
      assertPromised(EVENTS, (await client.answer()) ?? assert.fail());
      const refusal = (await client.answer()) ?? assert.fail();
      assert.equal((assertPromised(name, refusal) as { code: string }).code, 'shutting-down');
      seen.get(name)?.add('shutting-down');
    }
  });

  it('to those who may not, or have sent too many, are as promised', async () => {
    const clients: Record<string, Verdict> = {
      'Bearer reader': new Client('reader', ['events:read']),
      'Bearer repos': new Client('repos', ['events:write:repo']),
      'Bearer later': 'unavailable',
    };
    const guarded = await serve({
      authentication: {
        clientOf: (header) => (header === undefined ? 'missing' : (clients[header] ?? 'invalid')),
      },
    });
    const share = { retryAfterS: 3, policy: '"requests";q=10;w=10', remaining: '"requests";r=0;t=10' };
    const limited = await serve({ rateLimiter: { request: () => share, received: () => {} } });
    for (const name of [EVENTS, BATCH]) {
      const body = name === BATCH ? `[${EVENT}]` : EVENT;
      const as = (who: string) =>
        provoke(
          name,
          guarded,
          withBody(name, body, JSON_TYPE, { headers: `Authorization: Bearer ${who}\r\n` }),
        );
      const missing = await provoke(name, guarded, withBody(name, body));
      assert.deepEqual(
        [missing.code, missing.headers.get('www-authenticate')],
        ['unauthorized', 'Bearer realm="dual-stream"'],
      );
      const invalid = await as('nobody');
      assert.equal(invalid.code, 'unauthorized');
      assert.match(invalid.headers.get('www-authenticate') ?? '', /invalid_token/);
      const reader = await as('reader');
      assert.equal(reader.code, 'forbidden');
      assert.match(reader.headers.get('www-authenticate') ?? '', /insufficient_scope/);
      const later = await as('later');
      assert.deepEqual([later.code, later.headers.get('retry-after')], ['auth-unavailable', '7']);
      assert.equal((await as('repos')).status, 403);
      const tooMany = await provoke(name, limited, withBody(name, body));
      assert.deepEqual([tooMany.code, tooMany.headers.get('retry-after')], ['rate-limited', '3']);
    }
  });

  it('that are successes are as promised', async () => {
    const headers = 'X-Request-Id: order:1\r\nPrefer: wait=2, return=minimal\r\n';
    const stored = await provoke(EVENTS, port, withBody(EVENTS, EVENT, JSON_TYPE, { headers }));
    assert.deepEqual([stored.status, stored.headers.get('x-request-id')], [201, 'order:1']);
    const batch = await provoke(BATCH, port, withBody(BATCH, `[${EVENT}]`, JSON_TYPE, { headers }));
    assert.deepEqual(
      [batch.status, batch.headers.get('preference-applied')],
      [200, 'wait=2, return=minimal'],
    );
    assert.equal((await provoke(LIVE, port, requestTo(LIVE))).status, 200);
    for (const code of Object.keys(errors)) {
      assert.equal((await provoke(PAGE, port, requestTo(PAGE, { path: `/problems/${code}` }))).status, 200);
    }
    for (const kafka of ['connecting', 'available', 'degraded', 'unavailable'] as const) {
      for (const redis of ['connecting', 'up', 'down', 'closed'] as const) {
        for (const hasManagementPort of [false, true]) {
          const one = await serve({ readiness: () => ({ kafka, redis }), hasManagementPort });
          const { status } = await provoke(READY, one, requestTo(READY));
          assert.equal(status, kafka === 'available' || kafka === 'degraded' ? 200 : 503);
        }
      }
    }
    await provoke(READY, await serve({ isLeaving: () => true }), requestTo(READY));
  });

  it('about batches are as promised, for every code that a result can have', async () => {
    const lines = [
      '{',
      '{"a":1,"a":2}',
      '{"__proto__":1}',
      '["\xff"]',
      '{}',
      JSON.stringify('x'.repeat(500)),
      `{"data":${'['.repeat(66)}${']'.repeat(66)}}`,
    ];
    const codes = new Set<string | undefined>();
    const send = async (body: string, type: string, path = '/v1/events/batch') => {
      const answer = await provoke(BATCH, port, withBody(BATCH, body, type, { path }));
      for (const { code } of answer.results ?? []) codes.add(code);
      return answer.status;
    };
    for (const line of lines) {
      assert.equal(await send(line, NDJSON_TYPE), 422);
      assert.equal(await send(`${line}\n${EVENT}\n`, NDJSON_TYPE), 207);
    }
    assert.equal(await send(`{}\n${EVENT}`, NDJSON_TYPE, '/v1/events/batch?on_refused=abort'), 422);
    for (const [code, { status }] of Object.entries(outcomes)) {
      const expected = { refused: 422, not_stored: 503, unknown: 504, stored: 200 }[status];
      assert.equal(await send(`[${eventOf(code)}]`, JSON_TYPE), expected);
    }
    const reader = new Client('repos', ['events:write:repo']);
    const guarded = await serve({ authentication: { clientOf: () => reader } });
    const forbidden = await provoke(BATCH, guarded, withBody(BATCH, `[${EVENT}]`));
    for (const { code } of forbidden.results ?? []) codes.add(code);
    codes.delete(undefined);
    const { schema } = operations.get(BATCH)?.responses[200]?.content?.[JSON_TYPE] ?? assert.fail();
    const [, failed] = (schema as BatchSchema).properties.results.items.anyOf;
    assert.deepEqual([...codes].toSorted(), [...(failed?.properties.code?.enum ?? [])].toSorted());
  });

  it('that are promised have all been seen', () => {
    for (const [name, operation] of operations) {
      const codes = codesOf(operation);
      const successes = Object.keys(operation.responses).filter((status) => Number(status) < 300);
      const unseen = [...codes, ...successes].filter((each) => !seen.get(name)?.has(each));
      // There is no code of ours that a bug could be put into from here.
      const isBeyondUs = (code: string) => code === 'internal-error' && (name === LIVE || name === PAGE);
      assert.deepEqual(
        unseen.filter((code) => !isBeyondUs(code)),
        [],
        name,
      );
    }
  });
});

interface BatchSchema {
  readonly properties: {
    readonly results: {
      readonly items: {
        readonly anyOf: readonly { readonly properties: { readonly code?: { readonly enum: string[] } } }[];
      };
    };
  };
}
