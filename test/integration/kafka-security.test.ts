import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before as beforeAll, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { readConfig } from '../../src/config.ts';
import { type Server, startServer } from '../../src/ingest/server.ts';
import { certificateFile, certificateOf } from '../certificates.ts';
import { until } from './local-service.ts';

/** A real broker that wants TLS, certificates, passwords or tokens, and lets only some users write. */

const TOPIC = 'events';
const PASSWORD = 'right-canary-password';
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } =
  kafkajs;

/** As docs/least-privilege.md has them: `--operation DescribeConfigs`. */
const OPERATIONS = [
  ...readFileSync(new URL('../../docs/least-privilege.md', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('    --add --allow-principal User:dual-stream '))
    .join()
    .matchAll(/--operation (\w+)/g),
].map(
  ([, name = '']) =>
    name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase() as keyof typeof AclOperationTypes,
);

describe('Kafka that is secured', () => {
  let folder: string;
  let kafka: LocalKafka;
  let admin: ReturnType<InstanceType<typeof Kafka>['admin']>;
  let tokens: HttpServer;
  let isClientKnown = true;
  let lifetimeS = 3_600;
  let tokensGiven = 0;
  const at = { SSL: '', SASL_SSL: '', EXPIRED: '' };
  const started: Server[] = [];
  let lines: Record<string, unknown>[] = [];
  const everything: string[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'kafka-security-'));
    for (const name of ['server', 'expired'] as const) {
      const { cert, key } = certificateOf(name);
      writeFileSync(join(folder, `${name}-store.pem`), `${key}${cert}`);
    }
    for (const name of Object.keys(at) as (keyof typeof at)[]) at[name] = `127.0.0.1:${await freePort()}`;
    const store = (name: string) => join(folder, `${name}-store.pem`);
    kafka = await startKafka({
      listeners: Object.entries(at).map(([name, address]) => `${name}://${address}`),
      formatArgs: ['256', '512'].flatMap((bits) => [
        '--add-scram',
        `SCRAM-SHA-${bits}=[name=writer,password=${PASSWORD}]`,
      ]),
      properties: {
        'listener.security.protocol.map':
          'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,EXPIRED:SSL',
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': store('server'),
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': certificateFile('ca.pem'),
        'listener.name.expired.ssl.keystore.type': 'PEM',
        'listener.name.expired.ssl.keystore.location': store('expired'),
        'listener.name.ssl.ssl.client.auth': 'required',
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
        [jaasName('plain')]: jaasOf(
          'plain.PlainLoginModule',
          ` user_writer="${PASSWORD}" user_late="${PASSWORD}" user_creator="${PASSWORD}"`,
        ),
        [jaasName('scram-sha-256')]: jaasOf('scram.ScramLoginModule'),
        [jaasName('scram-sha-512')]: jaasOf('scram.ScramLoginModule'),
        [jaasName('oauthbearer')]: jaasOf(
          'oauthbearer.OAuthBearerLoginModule',
          ' unsecuredLoginStringClaim_sub="broker"',
        ),
        // Sessions end, and have to be begun anew before that.
        'listener.name.sasl_ssl.connections.max.reauth.ms': '4000',
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
      },
    });
    tokens = createServer((request, response) => {
      request.resume();
      const isKnown =
        isClientKnown && request.headers.authorization === `Basic ${btoa(`writer:${PASSWORD}`)}`;
      tokensGiven += isKnown ? 1 : 0;
      const answer = isKnown
        ? { access_token: unsecuredToken(lifetimeS), expires_in: lifetimeS }
        : { error: 'invalid_client' };
      response
        .writeHead(isKnown ? 200 : 401, { 'content-type': 'application/json' })
        .end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => tokens.listen(0, '127.0.0.1', resolve));
    admin = new Kafka({ brokers: kafka.brokers.split(','), logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3 }], waitForLeaders: true });
    await allow('writer');
    await allow('CN=dual-stream');
  });
  afterEach(async () => {
    await Promise.all(started.splice(0).map((server) => server.close()));
    const told = everything.join('');
    assert.ok(!told.includes(PASSWORD) && !told.includes('wrong-canary'), 'a password was logged');
  });
  after(async () => {
    await admin?.disconnect();
    await kafka?.stop();
    tokens?.close();
    rmSync(folder, { recursive: true });
  });

  /** What the service needs of its topic, and no more. */
  async function allow(
    user: string,
    topic = TOPIC,
    operations: readonly (keyof typeof AclOperationTypes)[] = OPERATIONS,
  ): Promise<void> {
    await admin.createAcls({
      acl: operations.map((operation) => ({
        resourceType: AclResourceTypes.TOPIC,
        resourceName: topic,
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: `User:${user}`,
        host: '*',
        operation: AclOperationTypes[operation],
        permissionType: AclPermissionTypes.ALLOW,
      })),
    });
  }

  async function serve(settings: NodeJS.ProcessEnv): Promise<string> {
    lines = [];
    const write = (line: string) => {
      everything.push(line);
      lines.push(JSON.parse(line));
    };
    const log = pino({ level: 'trace' }, { write });
    const env = {
      AUTH_MODE: 'none',
      REDIS_MODE: 'off',
      PORT: String(await freePort()),
      PUBLISH_TIMEOUT_MS: '3000',
      KAFKA_SSL: 'true',
      KAFKA_SSL_CA_FILE: certificateFile('ca.pem'),
      ...settings,
    };
    const server = await startServer(readConfig(env), log);
    started.push(server);
    return server.address;
  }

  const sasl = (mechanism: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
    KAFKA_BROKERS: at.SASL_SSL,
    KAFKA_SASL_MECHANISM: mechanism,
    KAFKA_SASL_USERNAME: 'writer',
    KAFKA_SASL_PASSWORD: PASSWORD,
    ...more,
  });
  const oauth = (): NodeJS.ProcessEnv => ({
    KAFKA_BROKERS: at.SASL_SSL,
    KAFKA_SASL_MECHANISM: 'OAUTHBEARER',
    KAFKA_SASL_OAUTH_TOKEN_URL: `http://127.0.0.1:${(tokens.address() as AddressInfo).port}/token`,
    KAFKA_SASL_OAUTH_CLIENT_ID: 'writer',
    KAFKA_SASL_OAUTH_CLIENT_SECRET: PASSWORD,
  });
  const withClient = (name: 'client' | 'expired-client' | 'foreign'): NodeJS.ProcessEnv => ({
    KAFKA_BROKERS: at.SSL,
    KAFKA_SSL_CERT_FILE: certificateFile(`${name}.pem`),
    KAFKA_SSL_KEY_FILE: certificateFile(`${name}.key`),
  });
  /** Warnings and errors, without those about a topic of one replica. */
  const complaints = () =>
    lines.filter(
      ({ level, part, replicationFactor }) =>
        part === 'kafka' && Number(level) >= 40 && replicationFactor === undefined,
    );
  const saidOf = (pattern: RegExp) => complaints().filter((line) => pattern.test(JSON.stringify(line)));

  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
    it(`takes events by TLS and ${mechanism}`, async () => {
      const url = await serve(sasl(mechanism));
      await until(() => ready(url));
      assert.equal((await post(url)).status, 201);
    });
  }

  it('takes events by TLS with certificates on both sides', async () => {
    const url = await serve(withClient('client'));
    await until(() => ready(url));
    assert.equal((await post(url)).status, 201);
  });

  it('takes events by OAUTHBEARER, with one token for many connections', async () => {
    const before = tokensGiven;
    const url = await serve(oauth());
    await until(() => ready(url));
    assert.equal((await post(url)).status, 201);
    assert.equal(tokensGiven - before, 1);
  });

  it('begins a session anew before it ends: nobody notices', async () => {
    lifetimeS = 5;
    const before = tokensGiven;
    const url = await serve(oauth());
    await until(() => ready(url));
    const endAt = performance.now() + 10_000;
    const statuses = new Set<number>();
    while (performance.now() < endAt) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      statuses.add((await post(url)).status);
      await delay(20);
    }
    lifetimeS = 3_600;
    assert.deepEqual([...statuses], [201]);
    assert.ok(tokensGiven - before >= 2);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.doesNotMatch(
      metrics,
      /^dual_stream_kafka_errors_total\{/m,
      'no session was used until it was closed',
    );
  });

  it('says what is wrong when a password is, is not ready, and recovers when it is right', async () => {
    isClientKnown = false;
    const url = await serve(oauth());
    await until(() => saidOf(/endpoint answers 401 invalid_client/).length > 0);
    assert.equal(await ready(url), false);
    assert.deepEqual(await post(url), { status: 503, code: 'kafka-unavailable' });
    await delay(3_000);
    assert.equal(saidOf(/invalid_client/).length, 1, 'once');
    isClientKnown = true;
    await until(() => ready(url));
    assert.equal((await post(url)).status, 201);
  });

  it('says what is wrong when the broker does not take the password', async () => {
    for (const mechanism of ['PLAIN', 'SCRAM-SHA-512']) {
      const url = await serve(sasl(mechanism, { KAFKA_SASL_PASSWORD: 'wrong-canary' }));
      await until(() => saidOf(/authentication failed/i).length > 0);
      await delay(2_500);
      assert.equal(saidOf(/authentication failed/i).length, 1, JSON.stringify(complaints()));
      assert.equal(await ready(url), false);
    }
  });

  it('says what is wrong when its certificate has expired, and uses a new one without a restart', async () => {
    const cert = join(folder, 'client.pem');
    const key = join(folder, 'client.key');
    copyFileSync(certificateFile('expired-client.pem'), cert);
    copyFileSync(certificateFile('expired-client.key'), key);
    const url = await serve({ KAFKA_BROKERS: at.SSL, KAFKA_SSL_CERT_FILE: cert, KAFKA_SSL_KEY_FILE: key });
    await until(() => saidOf(/certificate/i).length > 0);
    assert.equal(await ready(url), false);
    copyFileSync(certificateFile('client.pem'), cert);
    copyFileSync(certificateFile('client.key'), key);
    await until(() => ready(url));
    assert.equal((await post(url)).status, 201);
  });

  it('trusts no broker whose certificate has expired or is of another authority, and says so', async () => {
    const expired = await serve({ KAFKA_BROKERS: at.EXPIRED });
    await until(() => saidOf(/certificate has expired/).length > 0);
    assert.equal(await ready(expired), false);
    const other = await serve(sasl('PLAIN', { KAFKA_SSL_CA_FILE: certificateFile('other-ca.pem') }));
    await until(() => saidOf(/unable to verify|self-signed|issuer/).length > 0);
    assert.equal(await ready(other), false);
  });

  it('creates its topic with one right more', async () => {
    await allow('creator', 'created', ['CREATE', ...OPERATIONS]);
    lifetimeS = 3_600;
    const url = await serve(
      sasl('PLAIN', { KAFKA_SASL_USERNAME: 'creator', KAFKA_TOPIC: 'created', KAFKA_TOPIC_CREATE: 'true' }),
    );
    await until(() => ready(url));
    assert.equal((await post(url)).status, 201);
  });

  it('is not taken for somebody by a certificate of another authority', async () => {
    const url = await serve(withClient('foreign'));
    await until(() => complaints().length > 0);
    assert.equal(await ready(url), false);
  });

  it('says that the topic is forbidden, and recovers when it is allowed', async () => {
    const url = await serve(sasl('PLAIN', { KAFKA_SASL_USERNAME: 'late' }));
    await until(() => saidOf(/authoriz/i).length > 0);
    assert.equal(await ready(url), false);
    assert.deepEqual(await post(url), { status: 503, code: 'topic-forbidden' });
    await allow('late');
    await until(() => ready(url));
    assert.equal((await post(url)).status, 201);
  });
});

const jaasName = (mechanism: string) => `listener.name.sasl_ssl.${mechanism}.sasl.jaas.config`;
const jaasOf = (module: string, more = '') => `org.apache.kafka.common.security.${module} required${more};`;

async function ready(url: string): Promise<boolean> {
  return (await fetch(`${url}/readyz`)).status === 200;
}

async function post(url: string): Promise<{ status: number; code: string | undefined }> {
  const answer = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"type":"t","source_type":"user","source_id":"s"}',
  });
  return { status: answer.status, code: ((await answer.json()) as { code?: string }).code };
}

const base64Url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** As a broker takes it that validates no signatures. */
function unsecuredToken(seconds: number): string {
  const now = Math.floor(Date.now() / 1_000);
  return `${base64Url({ alg: 'none' })}.${base64Url({ sub: 'writer', iat: now, exp: now + seconds, scope: 'kafka' })}.`;
}
