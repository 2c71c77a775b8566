import assert from 'node:assert/strict';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Client } from 'pg';
import { pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalPostgres, startPostgres } from '../../dev/local-postgres.ts';
import { POSTGRES_USER } from '../../dev/postgres-binaries.ts';
import { startProcessor } from '../../src/processor/server.ts';
import { startQuery } from '../../src/query/server.ts';
import { readProcessorConfig, readQueryConfig } from '../../src/store-config.ts';
import { certificateFile } from '../certificates.ts';
import { until } from './local-service.ts';

/** Whoever comes needs TLS: `cert_user` a certificate, all others a password. */
const HBA = [
  'hostssl all cert_user 127.0.0.1/32 cert map=named',
  'hostssl all all 127.0.0.1/32 scram-sha-256',
];
const PASSWORD = 'p@ss:w/ord';

describe('PostgreSQL with TLS and passwords', () => {
  let folder: string;
  let postgres: LocalPostgres;
  let kafka: LocalKafka;
  let lines: string[];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'postgres-tls-'));
    chmodSync(folder, 0o755);
    for (const file of ['server.pem', 'server.key', 'ca.pem'] as const) {
      copyFileSync(certificateFile(file), join(folder, file));
      chmodSync(join(folder, file), 0o600);
      if (POSTGRES_USER !== undefined) chownSync(join(folder, file), POSTGRES_USER.uid, POSTGRES_USER.gid);
    }
    writeFileSync(join(folder, 'ident'), 'named dual-stream cert_user\n');
    const settings = {
      ssl: 'on',
      ssl_cert_file: join(folder, 'server.pem'),
      ssl_key_file: join(folder, 'server.key'),
      ssl_ca_file: join(folder, 'ca.pem'),
      ident_file: join(folder, 'ident'),
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    [kafka, postgres] = await Promise.all([startKafka(), startPostgres({ args, hba: HBA })]);
    const admin = new Client({ connectionString: postgres.url.replace(/\w+$/, 'postgres') });
    await admin.connect();
    await admin.query(`alter role dual_stream password '${PASSWORD}'`);
    await admin.query('create role cert_user login superuser');
    await admin.end();
  });
  after(async () => {
    await Promise.all([kafka.stop(), postgres.stop()]);
    rmSync(folder, { recursive: true });
  });

  const url = (user: string, password?: string) => {
    const credentials = password === undefined ? user : `${user}:${encodeURIComponent(password)}`;
    return postgres.url.replace('dual_stream@', `${credentials}@`);
  };
  const trusted = { POSTGRES_SSL: 'true', POSTGRES_SSL_CA_FILE: certificateFile('ca.pem') };
  const shown = {
    ...trusted,
    POSTGRES_SSL_CERT_FILE: certificateFile('client.pem'),
    POSTGRES_SSL_KEY_FILE: certificateFile('client.key'),
  };
  const newLog = () => {
    lines = [];
    return pino({ level: 'trace' }, { write: (line) => void lines.push(line) });
  };

  async function processorWith(settings: NodeJS.ProcessEnv) {
    const config = readProcessorConfig({
      KAFKA_BROKERS: kafka.brokers,
      MANAGEMENT_PORT: String(await freePort()),
      ...settings,
    });
    return startProcessor(config, newLog());
  }

  const hasTables = () =>
    lines.some((line) => line.includes('made the tables') || line.includes('partitions'));

  for (const [how, settings] of [
    ['with a password', () => ({ POSTGRES_URL: url('dual_stream', PASSWORD), ...trusted })],
    ['with a certificate', () => ({ POSTGRES_URL: url('cert_user'), ...shown })],
  ] as const) {
    it(`is used ${how} by the processor and the query API`, async () => {
      const processor = await processorWith(settings());
      const query = await startQuery(
        readQueryConfig({ AUTH_MODE: 'none', PORT: String(await freePort()), ...settings() }),
        pino({ level: 'silent' }),
      );
      try {
        await until(async () => (await fetch(`${query.address}/readyz`)).ok);
        assert.equal((await fetch(`${query.address}/v1/sources/user/octocat/events`)).status, 200);
        await until(async () => (await fetch(`${processor.address}/metrics`)).ok);
        const text = await (await fetch(`${processor.address}/metrics`)).text();
        assert.match(text, /dual_stream_ready\{dependency="postgres"\} 1/);
      } finally {
        await query.close();
        await processor.close();
      }
      assert.ok(!lines.join('').includes(encodeURIComponent(PASSWORD)) && !lines.join('').includes(PASSWORD));
    });
  }

  for (const [what, settings, reason] of [
    ['no TLS', () => ({ POSTGRES_URL: url('dual_stream', PASSWORD) }), /no pg_hba.conf entry/],
    [
      'an authority that is not trusted',
      () => ({
        POSTGRES_URL: url('dual_stream', PASSWORD),
        ...trusted,
        POSTGRES_SSL_CA_FILE: certificateFile('other-ca.pem'),
      }),
      /certificate/,
    ],
    [
      'a wrong password',
      () => ({ POSTGRES_URL: url('dual_stream', 'other'), ...trusted }),
      /password authentication failed/,
    ],
    [
      'a certificate of another authority',
      () => ({
        POSTGRES_URL: url('cert_user'),
        ...shown,
        POSTGRES_SSL_CERT_FILE: certificateFile('foreign.pem'),
        POSTGRES_SSL_KEY_FILE: certificateFile('foreign.key'),
      }),
      /alert|certificate|ECONNRESET/,
    ],
  ] as const) {
    it(`is not used with ${what}, which the log says once, without the password`, async () => {
      const processor = await processorWith(settings());
      try {
        await until(() => lines.some((line) => reason.test(line)));
        assert.equal((await fetch(`${processor.address}/readyz`)).status, 503);
        assert.ok(!hasTables());
        assert.equal(lines.filter((line) => line.includes('cannot start yet')).length, 1);
      } finally {
        await processor.close();
      }
      assert.ok(!lines.join('').includes(PASSWORD) && !lines.join('').includes(encodeURIComponent(PASSWORD)));
    });
  }
});
