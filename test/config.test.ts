import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { brokerAddresses, ConfigSchema, isTracing, readConfig } from '../src/config.ts';
import { ConfigError, unknownSettings } from '../src/settings.ts';
import { readQueryConfig } from '../src/store-config.ts';

const enough = { AUTH_MODE: 'none', KAFKA_BROKERS: '127.0.0.1:9092', REDIS_URL: 'redis://127.0.0.1:6379' };
const NO_LIMIT = 0;
const MiB = 1024 * 1024;

describe('configuration', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'config-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('needs three settings and has a default for every other', () => {
    const config = readConfig(enough, NO_LIMIT);
    assert.equal(config.PORT, 8080);
    assert.equal(config.HOST, '127.0.0.1', 'not open to the network unless someone says so');
    assert.equal(config.MANAGEMENT_PORT, undefined);
    assert.equal(config.BUFFER_MAX_BYTES, 64 * MiB);
  });

  it('lists every problem at once, by name, without repeating a value', () => {
    const problems = problemsOf({
      ...enough,
      PORT: '80.5',
      LOG_LEVEL: 'loud',
      KAFKA_BROKERS: 'no-port',
      REDIS_URL: 'http://user:canary-password@redis',
      KAFKA_TOPIC_CREATE: 'yes',
      PUBLISH_TIMEOUT_MS: '',
      BUFFER_MAX_EVENTS: '-1',
      CONNECTIONS_MAX: '0',
    });
    assert.deepEqual(
      problems.map((problem) => problem.split(' ')[0]),
      [
        'PORT',
        'LOG_LEVEL',
        'KAFKA_BROKERS',
        'KAFKA_TOPIC_CREATE',
        'REDIS_URL',
        'BUFFER_MAX_EVENTS',
        'CONNECTIONS_MAX',
      ],
    );
    assert.ok(!problems.join().includes('canary'));
  });

  it('has no default for AUTH_MODE, so that open is a decision, and refuses a mode that is not there', () => {
    assert.match(problemsOf({ ...enough, AUTH_MODE: undefined }).join(), /^AUTH_MODE is not set/);
    assert.match(
      problemsOf({ ...enough, AUTH_MODE: 'basic' }).join(),
      /^AUTH_MODE must be one of none, api-key, jwt$/,
    );
  });

  it('needs for each way to authenticate what it takes', () => {
    assert.deepEqual(
      problemsOf({ ...enough, AUTH_MODE: 'jwt' }).map((problem) => problem.split(' ')[0]),
      ['AUTH_JWT_ISSUER', 'AUTH_JWT_AUDIENCE', 'AUTH_JWT_JWKS_URL'],
    );
    assert.match(problemsOf({ ...enough, AUTH_MODE: 'api-key' }).join(), /^AUTH_KEYS_FILE is not set: /);
    const jwks = (url: string) => problemsOf({ ...enough, AUTH_JWT_JWKS_URL: url }).join();
    assert.equal(jwks('https://issuer.example.com/jwks.json'), '');
    assert.equal(jwks('http://127.0.0.1:8081/jwks.json'), '');
    assert.match(jwks('http://issuer.example.com/jwks.json'), /^AUTH_JWT_JWKS_URL must look like https/);
    for (const url of [
      'http://localhost.evil.com/',
      'http://localhost:x@evil.com/',
      'https://id:secret@issuer.example.com/',
      'https://%',
    ])
      assert.match(jwks(url), /^AUTH_JWT_JWKS_URL /, url);
    assert.ok(!jwks('https://id:canary@issuer.example.com/').includes('canary'));
    for (const algorithms of ['HS256', 'none', 'RS256,HS256', 'RS256,'])
      assert.match(
        problemsOf({ ...enough, AUTH_JWT_ALGORITHMS: algorithms }).join(),
        /^AUTH_JWT_ALGORITHMS /,
      );
  });

  it('needs an address of Redis, and the name of a master, only where the mode of Redis does', () => {
    const { REDIS_URL: _, ...without } = enough;
    assert.match(problemsOf(without).join(), /^REDIS_URL is not set: /);
    assert.match(
      problemsOf({ ...without, PORT: 'x', REDIS_MODE: 'cluster' }).join(),
      /,REDIS_URL is not set: /,
    );
    assert.match(
      problemsOf({ ...enough, REDIS_MODE: 'sentinel' }).join(),
      /^REDIS_SENTINEL_MASTER is not set: /,
    );
    assert.equal(readConfig({ ...without, REDIS_MODE: 'off' }, NO_LIMIT).REDIS_URL, undefined);
  });

  it('checks the relations between settings', () => {
    assert.match(
      problemsOf({ ...enough, PUBLISH_TIMEOUT_MS: '18000' }).join(),
      /SHUTDOWN_TIMEOUT_MS must be more/,
    );
    assert.match(
      problemsOf({ ...enough, EVENT_MAX_BYTES: '2000', BODY_MAX_BYTES: '1000' }).join(),
      /EVENT_MAX_BYTES/,
    );
    assert.match(problemsOf({ ...enough, BODY_MAX_BYTES: '20000000' }).join(), /quarter of BUFFER_MAX_BYTES/);
    assert.match(
      problemsOf({ ...enough, CONNECTIONS_MAX: '7000' }).join(),
      /^CONNECTIONS_MAX must not be more/,
    );
    assert.match(problemsOf({ ...enough, REDIS_SHARDED_PUBSUB: 'true' }).join(), /needs REDIS_MODE cluster$/);
    assert.match(problemsOf({ ...enough, REDIS_URL: 'redis://a,redis://b' }).join(), /must be one address/);
    assert.match(problemsOf({ ...enough, MANAGEMENT_PORT: '8080' }).join(), /must differ from PORT/);
    const tls = { TLS_CERT_FILE: 'x', TLS_KEY_FILE: 'x' };
    assert.equal(readConfig({ ...enough, ...tls }, NO_LIMIT).CONNECTIONS_MAX, 655, 'TLS takes more memory');
    assert.match(
      problemsOf({ ...enough, ...tls, CONNECTIONS_MAX: '1000' }).join(),
      /^CONNECTIONS_MAX must not/,
    );
    const mixed = { REDIS_MODE: 'sentinel', REDIS_SENTINEL_MASTER: 'm', REDIS_URL: 'redis://a,rediss://b' };
    assert.match(problemsOf({ ...enough, ...mixed }).join(), /^REDIS_URL must be rediss:/);
    assert.match(problemsOf({ ...enough, REDIS_TLS_CA_FILE: 'x' }).join(), /need rediss:/);
    for (const name of ['TLS_CERT_FILE', 'KAFKA_SSL_KEY_FILE', 'REDIS_TLS_CERT_FILE'])
      assert.match(problemsOf({ ...enough, [name]: 'x' }).join(), /must be set together/, name);
    assert.match(problemsOf({ ...enough, TLS_CLIENT_CA_FILE: 'x' }).join(), /^TLS_CLIENT_CA_FILE needs/);
    assert.match(problemsOf({ ...enough, KAFKA_SSL_CA_FILE: 'x' }).join(), /need KAFKA_SSL$/);
  });

  it('fits the buffer into a small memory limit, and the body into the buffer', () => {
    const config = readConfig(enough, 96 * MiB);
    assert.equal(config.BUFFER_MAX_BYTES, 16 * MiB);
    assert.equal(config.BODY_MAX_BYTES, 4 * MiB - 64 * 1024);
    assert.equal(
      readConfig({ ...enough, BUFFER_MAX_BYTES: String(48 * MiB) }, 96 * MiB).BUFFER_MAX_BYTES,
      48 * MiB,
    );
  });

  it('P3: fits the connections into the memory beside the buffer, but always takes a few', () => {
    assert.equal(readConfig(enough, NO_LIMIT).CONNECTIONS_MAX, 6_000);
    assert.equal(readConfig(enough, 256 * MiB).CONNECTIONS_MAX, 4_369);
    assert.equal(readConfig({ ...enough, EVENT_MAX_BYTES: '50000' }, 6 * MiB).CONNECTIONS_MAX, 500);
    assert.equal(readConfig({ ...enough, CONNECTIONS_MAX: '500' }, 6 * MiB * 4).CONNECTIONS_MAX, 500);
    const large = { ...enough, BUFFER_MAX_BYTES: String(256 * MiB) };
    assert.equal(readConfig(large, NO_LIMIT).CONNECTIONS_MAX, 6_000);
    assert.equal(readConfig({ ...large, CONNECTIONS_MAX: '20000' }, NO_LIMIT).CONNECTIONS_MAX, 20_000);
  });

  it('P3: fits the connections of the query API likewise', () => {
    const settings = { AUTH_MODE: 'none', POSTGRES_URL: 'postgres://reader@127.0.0.1/events' };
    const tls = { TLS_CERT_FILE: 'x', TLS_KEY_FILE: 'x' };
    const small = { ...settings, BUFFER_MAX_BYTES: String(8 * MiB) };
    assert.equal(readQueryConfig(settings).CONNECTIONS_MAX, 6_000);
    assert.equal(readQueryConfig(small).CONNECTIONS_MAX, 819);
    assert.equal(readQueryConfig({ ...settings, ...tls }).CONNECTIONS_MAX, 655);
    assert.equal(readQueryConfig({ ...small, ...tls, CONNECTIONS_MAX: '500' }).CONNECTIONS_MAX, 500);
    for (const [more, connections] of [
      [{}, '820'],
      [tls, '501'],
    ] as const) {
      const tooMany = { ...small, ...more, CONNECTIONS_MAX: connections };
      assert.throws(() => readQueryConfig(tooMany), /CONNECTIONS_MAX must not be more/);
    }
  });

  it('makes spans where there is a collector, unless it is told not to', () => {
    const isOn = (settings: NodeJS.ProcessEnv) => isTracing(readConfig({ ...enough, ...settings }, NO_LIMIT));
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
    assert.equal(isOn({}), false);
    assert.equal(isOn(endpoint), true);
    assert.equal(isOn({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://collector/traces' }), true);
    assert.equal(isOn({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }), false);
    assert.equal(isOn({ ...endpoint, OTEL_SDK_DISABLED: 'true' }), false);
    const { OTEL_TRACES_SAMPLER_ARG } = readConfig({ ...enough, OTEL_TRACES_SAMPLER_ARG: '0.01' }, NO_LIMIT);
    assert.equal(OTEL_TRACES_SAMPLER_ARG, 0.01);
    for (const [name, value] of [
      ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
      ['OTEL_TRACES_SAMPLER_ARG', '1e-2'],
      ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
      ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://user:canary@collector:4318'],
      ['OTEL_EXPORTER_OTLP_HEADERS', 'canary'],
      ['OTEL_EXPORTER_OTLP_HEADERS', 'a=canary%ff'],
      ['OTEL_EXPORTER_OTLP_HEADERS', 'a=canary%0d%0ax'],
      ['OTEL_EXPORTER_OTLP_HEADERS', 'a:b=canary'],
    ] as const) {
      const problems = problemsOf({ ...enough, [name]: value });
      assert.deepEqual([problems.length, problems[0]?.startsWith(`${name} `)], [1, true], `${name}=${value}`);
      assert.ok(!problems[0]?.includes('canary'));
    }
    const basic = 'authorization=Basic%20dXNlcjpwYXNz==, x=a=b';
    assert.equal(problemsOf({ ...enough, OTEL_EXPORTER_OTLP_HEADERS: basic }).length, 0);
  });

  it('reads a secret from a file, but not from two places', () => {
    const file = join(folder, 'redis-url');
    writeFileSync(file, 'rediss://user:pass@redis:6380\n');
    const { REDIS_URL: _, ...rest } = enough;
    assert.equal(
      readConfig({ ...rest, REDIS_URL_FILE: file }, NO_LIMIT).REDIS_URL,
      'rediss://user:pass@redis:6380',
    );
    assert.match(problemsOf({ ...enough, REDIS_URL_FILE: file }).join(), /both set/);
    assert.deepEqual(problemsOf({ ...rest, REDIS_URL_FILE: join(folder, 'none') }), [
      'REDIS_URL_FILE cannot be read (ENOENT)',
    ]);
  });

  it('names what looks like a setting and is none, but not what Kubernetes adds', () => {
    const env = {
      ...enough,
      KAFKA_BROKER: 'x',
      REDIS_URL_FILE: 'x',
      KAFKA_PORT: 'tcp://10.0.0.1:9092',
      REDIS_SERVICE_HOST: '10.0.0.2',
      KAFKA_PORT_9092_TCP_ADDR: '10.0.0.1',
    };
    assert.deepEqual(unknownSettings(env, ConfigSchema), ['KAFKA_BROKER']);
    const files = {
      AUTH_KEYS_FILE: 'x',
      TLS_CERT_FILE: 'x',
      KAFKA_SSL_CA_FILE: 'x',
      KAFKA_SASL_PASSWORD_FILE: 'x',
    };
    assert.deepEqual(
      unknownSettings({ ...files, KAFKA_TOPIC_FILE: 'x' }, ConfigSchema),
      ['KAFKA_TOPIC_FILE'],
      'it is no secret',
    );
  });

  it('reads a list of brokers', () => {
    assert.deepEqual(brokerAddresses('a:1,b.example:9092'), [
      { host: 'a', port: 1 },
      { host: 'b.example', port: 9092 },
    ]);
  });
});

function problemsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(env, NO_LIMIT);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
