import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before as beforeAll, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import { makeApiKey, writeApiKeys } from '../../src/api-keys.ts';
import type { Server } from '../../src/ingest/server.ts';
import { type Collector, startCollector } from '../collector.ts';
import { RawClient } from '../raw-client.ts';
import { startService, until } from './local-service.ts';

/** Sent in every place where a client can write, in requests that end in every way. It may come out nowhere. */
const CANARY = 'canary-5c0ffee';

const now = new Date();
const writer = makeApiKey({ client: 'writer', scopes: ['events:write:user'] }, now);
const reader = makeApiKey({ client: 'reader', scopes: ['events:read'] }, now);
const limited = makeApiKey({ client: 'limited', scopes: ['events:write'] }, now);

type Body = string | Buffer;
interface Sent {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body;
}

const event = (more: object = {}) =>
  JSON.stringify({
    type: CANARY,
    source_type: 'user',
    source_id: CANARY,
    data: { [CANARY]: CANARY },
    ...more,
  });
const batch = '/v1/events/batch';

/** By the status that each is answered with. */
const requests: readonly [status: number, sent: Sent][] = [
  [201, { body: event() }],
  [200, { path: batch, body: `[${event()},${event()}]` }],
  [207, { path: batch, body: `[${event()},${event({ source_type: CANARY.toUpperCase() })}]` }],
  [422, { path: `${batch}?on_refused=abort`, body: `[${event()},{"${CANARY}":1}]` }],
  [422, { path: `${batch}?on_refused=${CANARY}`, body: `[${event()}]` }],
  [422, { path: `${batch}?${CANARY}=1`, body: `[${event()}]` }],
  [400, { body: `{"type":"${CANARY}"` }],
  [400, { body: `${CANARY}` }],
  [400, { body: event().replace('"data"', `"source_id":"${CANARY}","data"`) }],
  [400, { body: `{"__proto__":{"${CANARY}":1},${event().slice(1)}` }],
  [400, { body: event({ data: JSON.parse(`${'['.repeat(70)}"${CANARY}"${']'.repeat(70)}`) }) }],
  [400, { body: Buffer.concat([Buffer.from(event().slice(0, -1)), Buffer.from([0xff])]) }],
  [400, { path: batch, body: `[${event()},${CANARY}]` }],
  [
    207,
    { path: batch, headers: { 'content-type': 'application/x-ndjson' }, body: `${event()}\n${CANARY}\n` },
  ],
  [422, { body: event({ id: `${CANARY} *` }) }],
  [422, { body: event({ time: CANARY }) }],
  [422, { body: event({ [CANARY]: CANARY }) }],
  [422, { body: event({ source_type: CANARY.toUpperCase() }) }],
  [403, { body: event({ source_type: CANARY }) }],
  [413, { body: event({ data: CANARY.repeat(70_000) }) }],
  [415, { headers: { 'content-type': `text/${CANARY}` }, body: event() }],
  [415, { headers: { 'content-encoding': CANARY }, body: event() }],
  [400, { headers: { 'content-encoding': 'gzip' }, body: gzipSync(event()).subarray(0, 40) }],
  [201, { headers: { 'content-encoding': 'gzip' }, body: gzipSync(event()) }],
  [401, { headers: { authorization: `Bearer ${CANARY}` }, body: event() }],
  [401, { headers: { authorization: CANARY }, body: event() }],
  [401, { headers: { authorization: `${writer.credential.split('.')[0]}.${CANARY}` }, body: event() }],
  [403, { headers: { authorization: `Bearer ${reader.credential}` }, body: event() }],
  [404, { path: `/${CANARY}?${CANARY}` }],
  [404, { path: `/problems/${CANARY}`, method: 'GET' }],
  [405, { method: 'PUT', body: event() }],
  [
    201,
    {
      headers: { prefer: `wait=1, ${CANARY}`, traceparent: CANARY, 'x-request-id': `${CANARY} !` },
      body: event(),
    },
  ],
];

/** What a parser refuses. */
const raw: readonly string[] = [
  `${CANARY}\r\n\r\n`,
  `GET /${CANARY} HTTP/9.9\r\n\r\n`,
  `POST /v1/events HTTP/1.1\r\nHost: a\r\n${CANARY}\r\n\r\n`,
  `POST /v1/events HTTP/1.1\r\nHost: a\r\nHost: ${CANARY}\r\n\r\n`,
  `POST /v1/events HTTP/1.1\r\nHost: a\r\nX: ${CANARY.repeat(2_000)}\r\n\r\n`,
  `POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${writer.credential}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${CANARY}`,
  `CONNECT ${CANARY}:443 HTTP/1.1\r\nHost: a\r\n\r\n`,
];

describe('what is sent and what is secret', () => {
  let kafka: LocalKafka;
  let redis: LocalRedis;
  let collector: Collector;
  let server: Server;
  const folder = mkdtempSync(join(tmpdir(), 'canaries-'));
  const lines: string[] = [];
  const answers: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line) => void lines.push(line) });

  beforeAll(async () => {
    const keys = join(folder, 'keys.json');
    writeFileSync(keys, writeApiKeys([writer, reader, limited].map(({ key }) => key)));
    [kafka, redis, collector] = await Promise.all([startKafka(), startRedis(), startCollector()]);
    const settings = {
      AUTH_MODE: 'api-key',
      AUTH_KEYS_FILE: keys,
      // Redis has no such user, and says so again and again.
      REDIS_URL: redis.url.replace('//', `//${CANARY}:${CANARY}@`),
      RATE_LIMIT_REQUESTS_PER_SECOND: '20',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=${CANARY}`,
      OTEL_BSP_SCHEDULE_DELAY: '50',
    };
    server = await startService(kafka, redis, settings, log);
  });
  after(async () => {
    await server?.close();
    await Promise.all([kafka?.stop(), redis?.stop(), collector?.close()]);
    rmSync(folder, { recursive: true });
  });

  async function send({ path = '/v1/events', method = 'POST', headers = {}, body }: Sent): Promise<number> {
    const answer = await fetch(server.address + path, {
      method,
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${writer.credential}`,
        cookie: CANARY,
        'user-agent': CANARY,
        'x-forwarded-for': CANARY,
        [`x-${CANARY}`]: CANARY,
        ...headers,
      },
      ...(body !== undefined && { body: body as never }),
    });
    answers.push(await answer.text(), JSON.stringify([...answer.headers]));
    return answer.status;
  }

  it('are taken or refused as they should be', async () => {
    for (const [index, [status, sent]] of requests.entries()) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      assert.equal(await send(sent), status, `request ${index}: ${answers.at(-2)}`);
    }
    for (const text of raw) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const client = await RawClient.connect(Number(new URL(server.address).port));
      client.write(text);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const answer = await client.answer();
      assert.ok(answer !== undefined && answer.status >= 400, JSON.stringify(text.slice(0, 60)));
      answers.push(answer.body, JSON.stringify([...answer.headers]));
      client.destroy();
    }
    const many = Array.from({ length: 250 }, () =>
      send({ headers: { authorization: `Bearer ${limited.credential}` }, body: event() }),
    );
    const statuses = new Set(await Promise.all(many));
    assert.ok(statuses.has(429) && statuses.has(201), [...statuses].join());
    await kafka.pause();
    assert.equal(await send({ headers: { prefer: 'wait=1' }, body: event() }), 504);
    await kafka.resume();
    await until(async () => (await send({ body: event() })) === 201);
  });

  it('are in no answer, no line of the log, no metric and no span', async () => {
    const metrics = await (await fetch(`${server.address}/metrics`)).text();
    const readiness = await (await fetch(`${server.address}/readyz`)).text();
    await server.close();
    const spans = collector.received.map((bytes) => bytes.toString('latin1'));
    assert.ok(spans.some((text) => text.includes('POST /v1/events')));
    assert.ok(lines.some((line) => line.includes('outcome-unknown')));
    assert.ok(lines.some((line) => line.includes('WRONGPASS')));
    const told = { answers, lines, metrics: [metrics, readiness], spans };
    const secrets = [writer, reader, limited].map(({ credential }) => credential.split('.')[1] as string);
    for (const [where, texts] of Object.entries(told)) {
      for (const text of texts) {
        for (const secret of [CANARY, CANARY.toUpperCase(), ...secrets])
          assert.ok(!text.includes(secret), `${where}: ${text.slice(0, 2_000)}`);
      }
    }
  });
});
