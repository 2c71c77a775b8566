import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import type { FastifyInstance } from 'fastify';
import type { Verdict } from '../../src/authentication.ts';
import { Client } from '../../src/client.ts';
import { errors } from '../../src/errors.ts';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { type AppOptions, buildApp } from '../../src/query/app.ts';
import { entityTag } from '../../src/query/tagged-answer.ts';
import { EPOCH, queryOptions } from '../fakes/query-options.ts';
import { RawClient } from '../raw-client.ts';
import { codesOf, readDocument } from '../specification.ts';

/**
 * Every answer that the specification promises is provoked, and every answer that is provoked is promised, as in
 * test/ingest/answers.test.ts.
 */

const { assertPromised, operations } = readDocument('query.yaml');

const EVENT = 'GET /v1/sources/{source_type}/{source_id}/events/{id}';
const LIST = 'GET /v1/sources/{source_type}/{source_id}/events';
const READY = 'GET /readyz';
const LIVE = 'GET /livez';
const PAGE = 'GET /problems/{code}';

const VALUE = Buffer.from(
  '{"id":"e1","time":"2026-11-23T12:00:00Z","type":"t","source_type":"user","source_id":"octocat"}',
);
const THERE: Partial<AppOptions> = {
  readEvent: async () => VALUE,
  readPage: async () => ({ epoch: EPOCH, values: [VALUE, VALUE], before: 3n, after: 9n }),
};

const opened: FastifyInstance[] = [];
const seen = new Map<string, Set<string>>([...operations.keys()].map((name) => [name, new Set()]));
after(() => Promise.all(opened.map((app) => app.close())));

async function serve(changes: Partial<AppOptions> = {}): Promise<number> {
  const app = await buildApp(queryOptions(changes));
  opened.push(app);
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

function requestTo(name: string, { query = '', headers = '', id = 'e1', code = 'busy' } = {}): string {
  const path = name
    .slice('GET '.length)
    .replace('{source_type}', 'user')
    .replace('{source_id}', 'octocat')
    .replace('{id}', id)
    .replace('{code}', code);
  return `GET ${path}${query} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
}

/** Sends a request as it is written, holds the answer against the document, and returns it with its code. */
async function provoke(name: string, at: number, text = requestTo(name)) {
  const client = await RawClient.connect(at);
  client.write(text);
  const answer = await client.answer(8_000);
  client.destroy();
  assert.ok(answer, `${name} is not answered`);
  const { code } = Object(assertPromised(name, answer)) as { code?: string };
  seen.get(name)?.add(code ?? String(answer.status));
  return { ...answer, code: code ?? String(answer.status) };
}

const bug = () => {
  throw new Error('SECRET');
};

describe('answers of the query API', () => {
  it('to whatever it is are as promised, when a request is not HTTP as it should be', async () => {
    const [port, full] = [await serve(), await serve({ connectionsMax: 0 })];
    await Promise.all(
      [...operations.keys()].map(async (name) => {
        const answers = await Promise.all([
          provoke(name, port, requestTo(name).replace('Host: a\r\n', '')),
          provoke(name, port, requestTo(name).replace(/^\w+/, 'DELETE')),
          provoke(name, port, requestTo(name, { headers: `X: ${'x'.repeat(17_000)}\r\n` })),
          provoke(name, port, requestTo(name).replace(/\r\n\r\n$/, '\r\n')),
          provoke(name, full),
        ]);
        assert.deepEqual(
          answers.map(({ code }) => code),
          [
            'bad-request',
            'method-not-allowed',
            'headers-too-large',
            'request-timeout',
            'too-many-connections',
          ],
        );
      }),
    );
  });

  it('that are successes are as promised', async () => {
    const port = await serve(THERE);
    assert.equal((await provoke(EVENT, port)).body, VALUE.toString());
    const headers = `If-None-Match: ${entityTag(VALUE)}\r\nX-Request-Id: order:1\r\n`;
    assert.equal((await provoke(EVENT, port, requestTo(EVENT, { headers }))).status, 304);
    const list = await provoke(LIST, port);
    const known = `If-None-Match: ${list.headers.get('etag')}\r\n`;
    assert.equal((await provoke(LIST, port, requestTo(LIST, { headers: known }))).status, 304);
    assert.equal((await provoke(LIST, await serve())).status, 200);
    assert.equal((await provoke(LIVE, port)).status, 200);
    for (const code of Object.keys(errors))
      assert.equal((await provoke(PAGE, port, requestTo(PAGE, { code }))).status, 200);
    for (const postgres of ['connecting', 'up', 'down', 'no-tables'] as const) {
      for (const hasManagementPort of [false, true]) {
        const one = await serve({ readiness: () => ({ postgres }), hasManagementPort });
        assert.equal((await provoke(READY, one)).status, postgres === 'up' ? 200 : 503);
      }
    }
    await provoke(READY, await serve({ isLeaving: () => true }));
  });

  it('about what is not there, or not as it should be, are as promised', async () => {
    const port = await serve();
    const codes = [
      await provoke(EVENT, port),
      await provoke(EVENT, port, requestTo(EVENT, { id: 'x'.repeat(3_100) })),
      await provoke(EVENT, port, requestTo(EVENT, { query: '?wait=9' })),
      await provoke(LIST, port, requestTo(LIST).replace('/user/', '/User/')),
      await provoke(LIST, port, requestTo(LIST).replace('octocat', 'x'.repeat(3_100))),
      await provoke(LIST, port, requestTo(LIST, { query: '?limit=0' })),
      await provoke(PAGE, port, requestTo(PAGE, { code: 'none' })),
      await provoke(PAGE, port, requestTo(PAGE, { code: 'x'.repeat(3_100) })),
      await provoke(PAGE, port, requestTo(PAGE, { code: '%zz' })),
    ].map(({ code }) => code);
    const each = ['not-found', 'uri-too-long', 'invalid-request'];
    assert.deepEqual(codes, [...each, ...each, 'not-found', 'uri-too-long', 'bad-request']);
  });

  it('of a program that cannot, stops, or has a bug are as promised', async () => {
    for (const code of ['busy', 'store-unavailable', 'event-too-large-to-read'] as const) {
      const port = await serve({ readEvent: async () => code, readPage: async () => code });
      for (const name of [EVENT, LIST]) assert.equal((await provoke(name, port)).code, code);
    }
    const full = await serve({ ...THERE, budget: new BufferBudget({ bytesMax: 0, eventsMax: 0 }) });
    for (const name of [EVENT, LIST]) assert.equal((await provoke(name, full)).code, 'busy');
    const broken = await serve({ readEvent: bug, readPage: bug, readiness: bug });
    for (const name of [EVENT, LIST, READY])
      assert.equal((await provoke(name, broken)).code, 'internal-error');
    const { promise: leaving, resolve: leave } = Promise.withResolvers<'left'>();
    const stopping = await serve({
      awaitEvent: () => {
        setTimeout(() => void opened.at(-1)?.close(), 20);
        return leaving;
      },
      stopWaiting: () => leave('left'),
    });
    const stopped = await provoke(EVENT, stopping, requestTo(EVENT, { query: '?wait=5' }));
    assert.equal(stopped.code, 'shutting-down');
  });

  it('to those who may not, or have asked too often, are as promised', async () => {
    const clients: Record<string, Verdict> = {
      'Bearer writer': new Client('writer', ['events:write']),
      'Bearer later': 'unavailable',
    };
    const guarded = await serve({
      ...THERE,
      authentication: {
        clientOf: (header) => (header === undefined ? 'missing' : (clients[header] ?? 'invalid')),
      },
    });
    const share = { retryAfterS: 3, policy: '"requests";q=10;w=10', remaining: '"requests";r=0;t=10' };
    const limited = await serve({ rateLimiter: { request: () => share, received: () => {} } });
    for (const name of [EVENT, LIST]) {
      const as = (who: string) =>
        provoke(name, guarded, requestTo(name, { headers: `Authorization: Bearer ${who}\r\n` }));
      assert.equal((await provoke(name, guarded)).code, 'unauthorized');
      assert.equal((await as('nobody')).code, 'unauthorized');
      assert.equal((await as('writer')).code, 'forbidden');
      assert.equal((await as('later')).code, 'auth-unavailable');
      assert.equal((await provoke(name, limited)).code, 'rate-limited');
    }
  });

  it('that are promised have all been seen', () => {
    for (const [name, operation] of operations) {
      const successes = Object.keys(operation.responses).filter((status) => Number(status) < 400);
      const unseen = [...codesOf(operation), ...successes].filter((each) => !seen.get(name)?.has(each));
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
