import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before as beforeAll, describe, it } from 'node:test';
import { freePort } from '../../dev/free-port.ts';
import { checkTypes, type RunningExample, runExample } from './examples.ts';
import { type LocalService, startLocalService, until } from './local-service.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'examples', 'dashboard');

describe('the page that shows events', () => {
  let service: LocalService;
  let dashboard: RunningExample;
  let url: string;

  beforeAll(async () => {
    service = await startLocalService();
    const port = String(await freePort());
    url = `http://127.0.0.1:${port}`;
    const env = { PORT: port, REDIS_URL: service.redisUrl };
    dashboard = runExample(FOLDER, [process.execPath, 'dashboard.mjs'], env);
    await until(() => dashboard.lines.includes(url));
  });
  after(async () => {
    await dashboard?.stop();
    await service?.close();
  });

  it('has no fault of types', () => {
    checkTypes(FOLDER, 'dashboard.mjs');
  });

  it('is served, and nothing else is', async () => {
    const page = await fetch(url);
    assert.match(await page.text(), /new EventSource\('stream'\)/);
    assert.equal((await fetch(`${url}/dashboard.mjs`)).status, 404);
    assert.equal((await fetch(url, { method: 'POST' })).status, 404);
  });

  it('is told of an event by the time its sender knows', async () => {
    const controller = new AbortController();
    const stream = await fetch(`${url}/stream`, { signal: controller.signal });
    assert.equal(stream.headers.get('content-type'), 'text/event-stream');
    let text = '';
    const reading = (async () => {
      for await (const chunk of stream.body ?? []) text += new TextDecoder().decode(chunk);
    })().catch(() => {});
    const answer = await fetch(`${service.url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"shown","type":"push","source_type":"repo","source_id":"octocat/hello:world"}',
    });
    assert.equal(answer.status, 201);
    await until(() => text.includes('shown'), 3_000);
    const [, data = ''] = /^data: (.*)$/m.exec(text) ?? [];
    assert.deepEqual(JSON.parse(data), {
      source_type: 'repo',
      id: 'shown',
      type: 'push',
      source_id: 'octocat/hello:world',
    });
    controller.abort();
    await reading;
  });
});
