import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before as beforeAll, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { readConfig } from '../../src/config.ts';
import type { Server } from '../../src/ingest/server.ts';
import { startServer } from '../../src/ingest/server.ts';
import { certificateFile, certificateOf } from '../certificates.ts';
import { until } from './local-service.ts';
import { readTopic } from './topic-reader.ts';

const ca = readFileSync(certificateFile('ca.pem'), 'utf8');
const EVENT = '{"type":"t","source_type":"user","source_id":"s"}';

describe('the API over HTTPS', () => {
  let kafka: LocalKafka;
  let folder: string;
  let server: Server;
  let mutual: Server;
  const lines: string[] = [];
  const file = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'https-'));
    use('server');
    kafka = await startKafka();
    server = await serve({});
    mutual = await serve({ TLS_CLIENT_CA_FILE: certificateFile('ca.pem') });
    for (const { address } of [server, mutual])
      await until(async () => (await ask(address, '/readyz', certificateOf('client'))).status === 200);
  });
  after(async () => {
    await Promise.all([server?.close(), mutual?.close()]);
    await kafka?.stop();
    rmSync(folder, { recursive: true });
  });

  function use(name: 'server' | 'expired'): void {
    copyFileSync(certificateFile(`${name}.pem`), file('cert'));
    copyFileSync(certificateFile(`${name}.key`), file('key'));
  }

  async function serve(settings: NodeJS.ProcessEnv): Promise<Server> {
    const env = {
      AUTH_MODE: 'none',
      KAFKA_BROKERS: kafka.brokers,
      KAFKA_TOPIC_CREATE: 'true',
      REDIS_MODE: 'off',
      PORT: String(await freePort()),
      TLS_CERT_FILE: file('cert'),
      TLS_KEY_FILE: file('key'),
      ...settings,
    };
    return startServer(readConfig(env), pino({ level: 'info' }, { write: (line) => void lines.push(line) }));
  }

  it('takes events', async () => {
    assert.match(server.address, /^https:/);
    const { status, body } = await ask(server.address, '/v1/events', {}, EVENT);
    assert.equal(status, 201, body);
  });

  it('takes pipelined events in their order, as without TLS', async () => {
    const socket = await tls(server.address);
    const one = `POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${EVENT.length}\r\n\r\n${EVENT}`;
    const last = 'GET /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    socket.write(one.repeat(20).concat(last));
    const answers = await text(socket);
    assert.equal(answers.match(/HTTP\/1\.1 201 /g)?.length, 20);
    assert.match(answers, /HTTP\/1\.1 405 [\s\S]*$/);
  });

  it('answers what is no HTTP inside TLS, and closes what is no TLS', async () => {
    const socket = await tls(server.address);
    socket.write('nonsense\r\n\r\n');
    assert.match(await text(socket), /^HTTP\/1\.1 400 [\s\S]*"code":"bad-request"/);
    const plain = connectTcp(Number(new URL(server.address).port), '127.0.0.1');
    plain.write('GET /livez HTTP/1.1\r\nHost: a\r\n\r\n');
    plain.on('error', () => {});
    await once(plain, 'close');
    assert.equal((await ask(server.address, '/livez')).status, 200);
  });

  it('closes a connection whose handshake does not come', async () => {
    const plain = connectTcp(Number(new URL(server.address).port), '127.0.0.1');
    const startedAt = performance.now();
    plain.on('error', () => {});
    await once(plain, 'close');
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs > 4_000 && tookMs < 7_000, `${tookMs} ms`);
  });

  it('has the same limits as without TLS: time for headers and bodies, and a Host', async () => {
    const head =
      'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60\r\n';
    const slow = [await tls(server.address), await tls(server.address)];
    slow[0]?.write(head);
    slow[1]?.write(`${head}\r\n{`);
    const startedAt = performance.now();
    const tookMs = (socket: TLSSocket | undefined) =>
      text(socket as TLSSocket).then((answer) => ({ answer, ms: performance.now() - startedAt }));
    const [headers, body] = await Promise.all(slow.map(tookMs));
    assert.match(headers?.answer ?? '', /^HTTP\/1\.1 408 [\s\S]*"code":"request-timeout"/);
    assert.match(body?.answer ?? '', /^HTTP\/1\.1 408 [\s\S]*"code":"request-timeout"/);
    assert.ok(headers && headers.ms < 8_000, `headers: ${headers?.ms} ms`);
    assert.ok(body && body.ms > 10_000 && body.ms < 15_000, `body: ${body?.ms} ms`);
    const hostless = await tls(server.address);
    hostless.write('GET /livez HTTP/1.1\r\n\r\n');
    assert.match(await text(hostless), /^HTTP\/1\.1 400 [\s\S]*"code":"bad-request"/);
  });

  it('answers a client that has ended its side', async () => {
    const halfOpen = { port: Number(new URL(server.address).port), ca, allowHalfOpen: true };
    const socket = connectTls({ host: '127.0.0.1', ...halfOpen });
    await once(socket, 'secureConnect');
    socket.end(
      `POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${EVENT.length}\r\nConnection: close\r\n\r\n${EVENT}`,
    );
    assert.match(await text(socket), /^HTTP\/1\.1 201 /);
  });

  it('closes connections beyond the limit, and serves on', async () => {
    const small = await serve({ CONNECTIONS_MAX: '20' });
    const open: TLSSocket[] = [];
    let next: TLSSocket | undefined = await tls(small.address);
    while (next !== undefined && open.length < 30) {
      open.push(next);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      next = await tls(small.address).catch(() => undefined);
    }
    assert.equal(open.length, 20);
    for (const socket of open) socket.destroy();
    await until(async () => (await ask(small.address, '/livez').catch(() => ({ status: 0 }))).status === 200);
    await small.close();
  });

  it('uses a new certificate without a restart, for new connections; a broken one changes nothing', async () => {
    const serialOf = async () => {
      const socket = await tls(server.address, { rejectUnauthorized: false });
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const kept = await tls(server.address);
    const first = await serialOf();
    use('expired');
    await until(async () => (await serialOf()) !== first);
    kept.write('GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(await text(kept), / 200 /);
    const second = await serialOf();
    copyFileSync(certificateFile('server.pem'), file('cert')); // its key is another one
    await until(() => lines.some((line) => line.includes('the certificates cannot be used')));
    assert.equal(await serialOf(), second);
    use('server');
    await until(async () => (await serialOf()) === first);
  });

  it('with an authority of clients, serves those only whose certificate is of it and in time', async () => {
    assert.equal((await ask(mutual.address, '/v1/events', certificateOf('client'), EVENT)).status, 201);
    for (const options of [{}, certificateOf('expired-client'), certificateOf('foreign')]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await assert.rejects(ask(mutual.address, '/v1/events', options, EVENT));
    }
  });

  it('P7: stopping answers what was accepted', async () => {
    const other = await serve({});
    await until(async () => (await ask(other.address, '/readyz')).status === 200);
    const before = (await readTopic(kafka.brokers, 'events')).length;
    const answers = Array.from({ length: 20 }, () =>
      ask(other.address, '/v1/events', {}, EVENT).catch(() => undefined),
    );
    await delay(30);
    assert.equal(await other.close(), 0);
    const ends = await Promise.all(answers);
    const stored = (await readTopic(kafka.brokers, 'events')).length - before;
    assert.ok(stored > 0);
    assert.equal(
      ends.filter((answer) => answer?.status === 201).length,
      stored,
      'each that is stored was answered',
    );
  });
});

async function ask(address: string, path: string, options: ConnectionOptions = {}, body?: string) {
  const sent = request(`${address}${path}`, {
    ca,
    agent: false,
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...options,
  });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: answer.statusCode, body: await text(answer) };
}

async function tls(address: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port: Number(new URL(address).port), ca, ...options });
  await once(socket, 'secureConnect');
  return socket;
}
