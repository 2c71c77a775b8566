import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before as beforeAll, describe, it } from 'node:test';
import { type Child, describeExit, startChild } from '../../dev/child.ts';
import { type LocalService, startLocalService, until } from './local-service.ts';
import { quietKafka } from './topic-reader.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'dev', 'listen.ts');

describe('npm run listen', () => {
  let service: LocalService;
  const children: Child[] = [];

  beforeAll(async () => {
    service = await startLocalService();
  });
  after(async () => {
    await Promise.all(children.map((child) => child.kill()));
    await service?.close();
  });

  function start(env: NodeJS.ProcessEnv) {
    const started = startChild({
      command: process.execPath,
      args: ['--disable-warning=TimeoutNegativeWarning', PROGRAM],
      env: { PATH: process.env.PATH, ...env },
      output: 'pipe',
    });
    children.push(started);
    const lines: string[] = [];
    for (const output of [started.stdout, started.stderr])
      if (output !== null) createInterface({ input: output }).on('line', (line) => lines.push(line));
    return { started, lines };
  }

  it('shows an event in both streams, and leaves nothing behind', async () => {
    const { started, lines } = start({ KAFKA_BROKERS: service.brokers, REDIS_URL: service.redisUrl });
    await until(() => lines.some((line) => line.startsWith('listening')), 30_000);
    const event = '{"id":"seen","type":"push","source_type":"user","source_id":"octocat","data":1}';
    const answer = await fetch(`${service.url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: event,
    });
    const { partition, offset } = (await answer.json()) as { partition: number; offset: number };
    await until(() => lines.length === 3);
    const [redis, kafka] = ['redis', 'kafka'].map((stream) => lines.find((line) => line.startsWith(stream)));
    assert.equal(redis, 'redis  events:user:octocat  {"id":"seen","type":"push","source_id":"octocat"}');
    assert.match(
      kafka ?? '',
      /^kafka {2}events\[\d\] offset \d+ key octocat {2}\{"time":"[^"]+","id":"seen",/,
    );
    assert.ok(kafka?.startsWith(`kafka  events[${partition}] offset ${offset} `));

    assert.equal(describeExit(await started.stop(10_000)), 'exit code 0');
    const admin = quietKafka(service.brokers).admin();
    await admin.connect();
    const { groups } = await admin.listGroups();
    await admin.disconnect();
    assert.deepEqual(groups, []);
  });

  it('says what it cannot reach, without the password', async () => {
    const { started, lines } = start({
      KAFKA_BROKERS: service.brokers,
      REDIS_URL: 'redis://me:canary@127.0.0.1:1',
    });
    assert.equal(describeExit(await started.exit), 'exit code 1');
    await until(() => lines.length > 0);
    assert.match(lines.join(), /^listen: Redis at redis:\/\/127\.0\.0\.1:1: connect ECONNREFUSED/);
    assert.ok(!lines.join().includes('canary'));
  });
});
