import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { goCompiler } from '../../dev/go-compiler.ts';
import { checkTypes, needProgram, runExample, unpackExamples } from './examples.ts';
import { type LocalService, startLocalService } from './local-service.ts';
import { readTopic } from './topic-reader.ts';

/** What a scripted service does with one request. */
type Answer = { readonly status: number; readonly retryAfter?: number } | 'lose the connection';

const ATTEMPTS = 5;
const examples = unpackExamples('README.md', 'docs/sending.md');

/** Each program, and what runs it. Go is ready before the first of several would compile the same. */
const senders: readonly (readonly [name: string, command: () => string[]])[] = [
  ['send.sh', () => ['sh']],
  ['send.mjs', () => [process.execPath]],
  ['send.py', () => [needProgram('python3', 'python3')]],
  ['send.go', () => [needProgram('go', 'golang-go'), 'run']],
];

describe('the senders that the documents show', { concurrency: true }, () => {
  let service: LocalService;
  before(async () => {
    needProgram('curl', 'curl');
    await goCompiler(() => {});
    service = await startLocalService();
  });
  after(() => service?.close());

  for (const [name, command] of senders) {
    const send = async (url: string, id: string) =>
      runExample(examples, [...command(), name, id], { DUAL_STREAM_URL: url }).ended;

    describe(name, { concurrency: true }, () => {
      it('stores an event in Kafka', async () => {
        const id = `${name}/order-4711`;
        const { how, complaints } = await send(service.url, id);
        assert.equal(how, 'exit code 0', complaints);
        const values = (await readTopic(service.brokers, 'events')).map(({ value }) => JSON.parse(value));
        const stored = values.filter((value) => value.id === id);
        assert.equal(stored.length, 1);
        const { time, ...sent } = stored[0];
        assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
        assert.deepEqual(sent, {
          id,
          type: 'order.paid',
          source_type: 'shop',
          source_id: 'berlin',
          data: { cents: 4200 },
        });
      });

      it('sends the same event again after Retry-After and after a lost connection', async () => {
        const fake = await scripted([{ status: 503, retryAfter: 2 }, 'lose the connection', { status: 201 }]);
        const { how, complaints } = await send(fake.url, 'again');
        fake.close();
        assert.equal(how, 'exit code 0', complaints);
        assert.equal(fake.requests.length, 3);
        const [first, second] = fake.requests;
        assert.equal(JSON.parse(first?.body ?? '').id, 'again');
        for (const { target, type, body } of fake.requests) {
          assert.equal(target, 'POST /v1/events');
          assert.equal(type, 'application/json');
          assert.equal(body, first?.body);
        }
        const waitedMs = (second?.at ?? 0) - (first?.at ?? 0);
        assert.ok(waitedMs >= 1_950, `it waited ${waitedMs} ms`);
      });

      it('does not send again what is refused', async () => {
        const fake = await scripted([{ status: 422 }]);
        const { how, complaints } = await send(fake.url, 'refused');
        fake.close();
        assert.equal(fake.requests.length, 1);
        assert.match(how, /^exit code [1-9]/);
        assert.match(complaints, /refused, do not resend.*says the script/s);
      });

      it('gives up after a bounded number of attempts, and says that the outcome is not known', async () => {
        const fake = await scripted([{ status: 504, retryAfter: 1 }]);
        const { how, complaints } = await send(fake.url, 'bounded');
        fake.close();
        assert.equal(fake.requests.length, ATTEMPTS);
        assert.match(how, /^exit code [1-9]/);
        assert.match(complaints, /not known to be stored/);
      });
    });
  }

  it('send.mjs has the types that it states', () => checkTypes(examples, 'send.mjs'));

  it('send.go is formatted as gofmt does', () => {
    const differences = execFileSync(needProgram('gofmt', 'golang-go'), ['-d', 'send.go'], {
      cwd: examples,
      encoding: 'utf8',
    });
    assert.equal(differences, '');
  });
});

/** A service that answers one request after the other as told, and all further ones as the last. */
async function scripted(answers: readonly Answer[]) {
  const requests: { target: string; type: string | undefined; body: string; at: number }[] = [];
  const server = createServer(async (request, response) => {
    const at = performance.now();
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    requests.push({
      target: `${request.method} ${request.url}`,
      type: request.headers['content-type'],
      body,
      at,
    });
    const answer = answers[Math.min(requests.length, answers.length) - 1];
    if (answer === undefined || answer === 'lose the connection') {
      request.socket.destroy();
      return;
    }
    const { status, retryAfter } = answer;
    response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) });
    response.end('{"detail":"says the script"}');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
