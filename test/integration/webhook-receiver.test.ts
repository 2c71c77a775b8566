import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { after, before as beforeAll, describe, it } from 'node:test';
import { freePort } from '../../dev/free-port.ts';
import { checkTypes, needProgram, type RunningExample, runExample, unpackExamples } from './examples.ts';
import { type LocalService, startLocalService, until } from './local-service.ts';
import { readTopic } from './topic-reader.ts';

const FOLDER = join('examples', 'webhook-receiver');
const SECRET = 'canary-of-the-webhook';

describe('the receiver of webhooks', () => {
  const folder = unpackExamples(join(FOLDER, 'README.md'));
  let service: LocalService;
  let receiver: RunningExample;
  let url: string;

  beforeAll(async () => {
    needProgram('curl', 'curl');
    needProgram('openssl', 'openssl');
    cpSync(join(import.meta.dirname, '..', '..', FOLDER, 'receiver.mjs'), join(folder, 'receiver.mjs'));
    service = await startLocalService();
    const port = String(await freePort());
    url = `http://127.0.0.1:${port}`;
    receiver = runExample(folder, [process.execPath, 'receiver.mjs'], {
      PORT: port,
      DUAL_STREAM_URL: service.url,
      WEBHOOK_SECRET: SECRET,
    });
    await until(() => receiver.lines.length > 0);
  });
  after(async () => {
    await receiver?.stop();
    await service?.close();
  });

  async function deliver(body: string, id: string, signature?: string) {
    const signed = createHmac('sha256', SECRET).update(body).digest('hex');
    const answer = await fetch(url, {
      method: 'POST',
      headers: {
        'x-hub-signature-256': signature ?? `sha256=${signed}`,
        'x-github-event': 'push',
        'x-github-delivery': id,
      },
      body,
    });
    return { status: answer.status, text: await answer.text() };
  }
  const stored = async () =>
    (await readTopic(service.brokers, 'events')).map(({ key, value }) => ({ key, value }));

  it('has no fault of types', () => {
    checkTypes(folder, 'receiver.mjs');
  });

  it('stores what the document delivers, and its bytes stay as they are', async () => {
    const sent = runExample(folder, ['sh', 'deliver.sh', 'd-1'], {
      WEBHOOK_SECRET: SECRET,
      RECEIVER_URL: url,
    });
    const { how, complaints } = await sent.ended;
    assert.equal(how, 'exit code 0', complaints);
    const body = '{"n":12345678901234567890,  "repository":{"full_name":"octocat/hello-world"}}';
    assert.deepEqual(await deliver(body, 'd-2'), { status: 201, text: 'd-2\n' });
    const records = await stored();
    assert.deepEqual(
      records.map(({ key }) => key),
      ['octocat/hello-world', 'octocat/hello-world'],
    );
    const values = records.map(({ value }) => JSON.parse(value) as { id: string; type: string });
    assert.deepEqual(
      values.map(({ id, type }) => [id, type]),
      [
        ['d-1', 'star'],
        ['d-2', 'push'],
      ],
    );
    assert.ok(records[1]?.value.includes(`"data":${body}`));
  });

  it('refuses what is not signed, is no delivery, or is too large, and stores none of it', async () => {
    const before = (await stored()).length;
    const body = '{"repository":{"full_name":"octocat/hello-world"}}';
    const other = createHmac('sha256', 'other').update(body).digest('hex');
    assert.equal((await deliver(body, 'x', `sha256=${other}`)).status, 401);
    assert.equal((await deliver(body, 'x', 'sha256=')).status, 401);
    assert.equal((await deliver('{"zen":"…"}', 'x')).status, 422);
    assert.equal((await deliver(`{"x":"${'x'.repeat(900_000)}"}`, 'x')).status, 413);
    assert.equal((await deliver('{"repository":{"full_name":"a*b"}}', 'x')).status, 422);
    assert.equal((await deliver('no JSON', 'x')).status, 422);
    assert.equal((await stored()).length, before);
  });
});
