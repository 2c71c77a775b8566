import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { Metrics } from '../src/metrics.ts';
import { ConfigError } from '../src/settings.ts';
import { openTlsFiles, type TlsFiles } from '../src/tls-files.ts';
import { certificateFile, certificateOf } from './certificates.ts';

const GOOD = { ca: readFileSync(certificateFile('ca.pem'), 'utf8'), ...certificateOf('server') };
type Name = keyof typeof GOOD;

let folder: string;
let metrics: Metrics;
let said: string[];
const opened: TlsFiles[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tls-files-'));
  metrics = new Metrics();
  said = [];
});
afterEach(() => {
  for (const files of opened.splice(0)) files.close();
  rmSync(folder, { recursive: true });
});

function open(texts: Partial<Record<Name, string>>): TlsFiles {
  const paths = { ca: undefined, cert: undefined, key: undefined } as Record<Name, string | undefined>;
  for (const [name, text] of Object.entries(texts) as [Name, string][]) {
    paths[name] = join(folder, name);
    writeFileSync(paths[name], text);
  }
  const log = pino({ level: 'info' }, { write: (line) => void said.push(JSON.parse(line).msg) });
  const files = openTlsFiles('TLS', paths, { log, metrics, intervalMs: 5 });
  opened.push(files);
  return files;
}

async function samples(name: string): Promise<string[]> {
  return (await metrics.text()).split('\n').filter((line) => line.startsWith(name));
}

describe('certificates and their keys', () => {
  it('are taken as they are, alone or together', () => {
    assert.deepEqual(open(GOOD).value, GOOD);
    assert.deepEqual(open({ ca: GOOD.ca }).value, { ca: GOOD.ca });
    assert.deepEqual(open({}).value, {});
  });

  it('tell when they expire, and that they are what the files say', async () => {
    open(GOOD);
    assert.deepEqual(await samples('dual_stream_credentials_current'), [
      'dual_stream_credentials_current{setting="TLS"} 1',
    ]);
    const [expiry = ''] = await samples('dual_stream_certificate_expiry_timestamp_seconds');
    assert.equal(Number(expiry.split(' ')[1]) * 1_000, Date.parse('2126-01-01T00:00:00Z'));
    open({});
    assert.equal(
      (await samples('dual_stream_credentials_current')).length,
      1,
      'where there are none, nothing is said',
    );
  });

  const broken: [what: string, name: Name, text: string][] = [
    ['an empty authority, for which Node would take its own', 'ca', ''],
    ['an authority that is none', 'ca', 'not a certificate'],
    ['half an authority', 'ca', GOOD.ca.slice(0, 200)],
    ['an empty certificate', 'cert', ''],
    ['a certificate that is none', 'cert', GOOD.key],
    ['an empty key', 'key', ''],
    ['a key that is none', 'key', 'canary'],
    ['the key of another certificate', 'key', certificateOf('client').key],
  ];
  for (const [what, name, text] of broken) {
    it(`are refused at the start with ${what}`, () => {
      assert.throws(
        () => open({ ...GOOD, [name]: text }),
        (error) => error instanceof ConfigError && /^.*TLS_…_FILE cannot be used/.test(error.message),
      );
    });

    it(`stay what they were when a change brings ${what}`, async () => {
      const kept = open(GOOD);
      writeFileSync(join(folder, name), text);
      const giveUpAt = performance.now() + 8_000;
      // oxlint-disable-next-line no-await-in-loop -- until it is read
      while (said.length === 0 && performance.now() < giveUpAt) await delay(5);
      assert.deepEqual(said, ['the certificates cannot be used; those read before still hold']);
      assert.deepEqual(kept.value, GOOD);
      assert.deepEqual(await samples('dual_stream_credentials_current'), [
        'dual_stream_credentials_current{setting="TLS"} 0',
      ]);
    });
  }
});
