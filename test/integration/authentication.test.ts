import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before as beforeAll, describe, it } from 'node:test';
import { pino } from 'pino';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import { makeApiKey, writeApiKeys } from '../../src/api-keys.ts';
import type { Server } from '../../src/ingest/server.ts';
import { AUDIENCE, ISSUER, type Issuer, signedWithPublicKey, startIssuer, unsigned } from '../issuer.ts';
import { startService, until } from './local-service.ts';
import { readTopic } from './topic-reader.ts';

const NOW = new Date();
const key = (client: string, scopes: string[], expires?: string) =>
  makeApiKey({ client, scopes, ...(expires === undefined ? {} : { expires }) }, NOW);

const writer = key('writer', ['events:write']);
const users = key('users', ['events:write:user']);
const reader = key('reader', ['events:read']);
const expired = key('late', ['events:write'], '2026-01-01T00:00:00.000Z');
const foreign = key('foreign', ['events:write']);
const added = key('added', ['events:write']);

describe('who may send', () => {
  let kafka: LocalKafka;
  let redis: LocalRedis;
  let issuer: Issuer;
  let folder: string;
  let keyFile: string;
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line) => void lines.push(line) });
  const said: string[] = [];
  const given: string[] = [];
  let byKey: Server;
  let byToken: Server;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'authentication-'));
    keyFile = join(folder, 'keys.json');
    writeKeys(writer, users, reader, expired);
    [kafka, redis, issuer] = await Promise.all([startKafka(), startRedis(), startIssuer()]);
    byKey = await startService(kafka, redis, { AUTH_MODE: 'api-key', AUTH_KEYS_FILE: keyFile }, log);
    const settings = {
      AUTH_MODE: 'jwt',
      AUTH_JWT_ISSUER: ISSUER,
      AUTH_JWT_AUDIENCE: AUDIENCE,
      AUTH_JWT_JWKS_URL: issuer.jwksUrl,
    };
    byToken = await startService(kafka, redis, settings, log);
  });
  after(async () => {
    await Promise.all([byKey?.close(), byToken?.close()]);
    await Promise.all([kafka?.stop(), redis?.stop(), issuer?.close()]);
    rmSync(folder, { recursive: true });
  });

  function writeKeys(...keys: (typeof writer)[]): void {
    writeFileSync(keyFile, writeApiKeys(keys.map((each) => each.key)));
  }

  async function send(server: Server, id: string, credential?: string, sourceType = 'user') {
    if (credential !== undefined) given.push(credential);
    const answer = await fetch(`${server.address}/v1/events`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(credential === undefined ? {} : { authorization: `Bearer ${credential}` }),
      },
      body: JSON.stringify({ id, type: 't', source_type: sourceType, source_id: 's' }),
    });
    const text = await answer.text();
    said.push(text, JSON.stringify([...answer.headers]));
    if (answer.status === 401) {
      const challenge = answer.headers.get('www-authenticate') ?? '';
      assert.equal(challenge.includes('error='), credential !== undefined, challenge);
    }
    return { status: answer.status, code: (JSON.parse(text) as { code?: string }).code };
  }

  it('by key: those who have one, what its scopes allow', async () => {
    assert.deepEqual(await send(byKey, 'stored-1', writer.credential), { status: 201, code: undefined });
    assert.deepEqual(await send(byKey, 'stored-2', users.credential), { status: 201, code: undefined });
    const attacks: [credential: string | undefined, status: number][] = [
      [undefined, 401],
      [foreign.credential, 401],
      [expired.credential, 401],
      [`${writer.key.id}.${foreign.credential.split('.')[1]}`, 401],
      [`${writer.key.id}.`, 401],
      [writer.key.hash, 401],
      [reader.credential, 403],
    ];
    for (const [credential, status] of attacks) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      assert.equal((await send(byKey, 'attack', credential)).status, status, `${credential}`);
    }
    assert.deepEqual(await send(byKey, 'attack', users.credential, 'repo'), {
      status: 403,
      code: 'forbidden',
    });
  });

  it('by key: a change of the file counts within seconds, and a broken file changes nothing', async () => {
    assert.equal((await send(byKey, 'attack', added.credential)).status, 401);
    writeKeys(users, added);
    await until(async () => (await send(byKey, 'stored-3', added.credential)).status === 201);
    assert.equal((await send(byKey, 'attack', writer.credential)).status, 401, 'it is revoked');
    writeFileSync(keyFile, '{"keys":[{"id":"canary-of-the-file"');
    await until(() => lines.some((line) => line.includes('the file of API keys cannot be used')));
    assert.equal((await send(byKey, 'stored-4', added.credential)).status, 201);
    rmSync(keyFile);
    await until(() => lines.some((line) => line.includes('ENOENT')));
    assert.equal((await send(byKey, 'stored-5', added.credential)).status, 201);
  });

  it('by token: those whose issuer signed for them', async () => {
    assert.equal((await send(byToken, 'stored-6', await issuer.token())).status, 201);
    const attacks = [
      undefined,
      writer.credential,
      unsigned(await issuer.token()),
      await signedWithPublicKey(issuer.publicJwk(), 'key-0'),
      await issuer.token({ aud: 'other' }),
      await issuer.token({ exp: Math.floor(Date.now() / 1_000) - 60 }),
    ];
    for (const credential of attacks) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      assert.equal((await send(byToken, 'attack', credential)).status, 401, `${credential}`);
    }
    assert.equal((await send(byToken, 'attack', await issuer.token({ scope: 'openid' }))).status, 403);
    assert.equal(
      (await send(byToken, 'attack', await issuer.token({ scope: 'events:write:repo' }))).status,
      403,
    );
  });

  it('by token: made-up names of keys do not have the issuer asked each time', async () => {
    const before = issuer.asked();
    const statuses = await Promise.all(
      Array.from(
        { length: 200 },
        async (_, index) =>
          (await send(byToken, 'attack', await issuer.token({}, { kid: `made-up-${index}` }))).status,
      ),
    );
    assert.ok(statuses.every((status) => status === 401 || status === 503));
    assert.ok(issuer.asked() - before <= 1, `${issuer.asked() - before}`);
  });

  it('changes nothing but that: what was refused is not stored, and no credential is told to anybody', async () => {
    const records = await readTopic(kafka.brokers, 'events');
    const stored = new Set(records.map(({ value }) => JSON.parse(value).id as string));
    assert.ok(!stored.has('attack'));
    for (let number = 1; number <= 6; number += 1) assert.ok(stored.has(`stored-${number}`));
    const metrics = await Promise.all(
      [byKey, byToken].map(async ({ address }) => (await fetch(`${address}/metrics`)).text()),
    );
    const told = [...lines, ...said, ...metrics].join('\n');
    assert.ok(given.length > 200);
    for (const credential of given) {
      const secret = credential.split('.').findLast((part) => part.length > 20) ?? credential;
      assert.ok(!told.includes(secret), 'a credential was told');
    }
    assert.ok(!told.includes('canary-of-the-file'));
  });
});
