import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { startChild } from '../../dev/child.ts';
import { temporaryFolder } from '../../dev/folders.ts';
import { freePort } from '../../dev/free-port.ts';
import { startPostgres } from '../../dev/local-postgres.ts';
import { findOnPath } from '../../dev/on-path.ts';
import { startProcessor } from '../../src/processor/server.ts';
import { startQuery } from '../../src/query/server.ts';
import { readProcessorConfig, readQueryConfig } from '../../src/store-config.ts';
import { startLocalService, until } from '../integration/local-service.ts';

/**
 * `npm run test:observability`: the alerts by promtool, with their cases, and each query of the dashboard on a real
 * Prometheus that scrapes the real service, event processor and query API. Needs promtool and prometheus (on Debian:
 * apt-get install prometheus).
 */

const OBSERVABILITY = join(import.meta.dirname, '..', '..', 'observability');
/** What shows something only where something is wrong, or where there are certificates and files of keys. */
const MAY_BE_EMPTY = /kafka_errors_total|credentials_current|certificate_expiry|dead_letters_total/;
const READY_TIMEOUT_MS = 30_000;

let passed = 0;
let failed = 0;

function check(what: string, isSo: boolean, why = ''): void {
  if (isSo) passed += 1;
  else failed += 1;
  if (!isSo) process.stdout.write(`FAILED ${what} ${why}\n`);
}

const promtool = findOnPath('promtool');
const prometheus = findOnPath('prometheus');
if (promtool === undefined || prometheus === undefined) {
  process.stderr.write('promtool and prometheus are needed; on Debian: apt-get install prometheus\n');
  process.exit(1);
}

for (const args of [
  ['check', 'rules', 'alerts.yaml'],
  ['test', 'rules', 'alerts.test.yaml'],
]) {
  try {
    execFileSync(promtool, args, { cwd: OBSERVABILITY, encoding: 'utf8', stdio: 'pipe' });
    check(args.join(' '), true);
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    check(args.join(' '), false, `${stdout}${stderr}`);
  }
}

const service = await startLocalService();
const postgres = await startPostgres();
const processor = await startProcessor(
  readProcessorConfig({
    KAFKA_BROKERS: service.brokers,
    KAFKA_TOPIC_CREATE: 'true',
    POSTGRES_URL: postgres.url,
    MANAGEMENT_PORT: String(await freePort()),
  }),
  pino({ level: 'silent' }),
);
await until(async () => (await fetch(`${processor.address}/readyz`)).ok, READY_TIMEOUT_MS);
const reading = await startQuery(
  readQueryConfig({ AUTH_MODE: 'none', PORT: String(await freePort()), POSTGRES_URL: postgres.url }),
  pino({ level: 'silent' }),
);
await until(async () => (await fetch(`${reading.address}/readyz`)).ok, READY_TIMEOUT_MS);
const folder = temporaryFolder('prometheus');
const port = await freePort();
mkdirSync(folder, { recursive: true });
writeFileSync(
  join(folder, 'prometheus.yaml'),
  `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${join(OBSERVABILITY, 'alerts.yaml')}]
scrape_configs:
  - job_name: dual-stream
    static_configs: [{ targets: ["${new URL(service.url).host}"] }]
  - job_name: dual-stream-processor
    static_configs: [{ targets: ["${new URL(processor.address).host}"] }]
  - job_name: dual-stream-query
    static_configs: [{ targets: ["${new URL(reading.address).host}"] }]
`,
);
const server = startChild({
  command: prometheus,
  args: [
    `--config.file=${join(folder, 'prometheus.yaml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ],
  output: { logFile: join(folder, 'prometheus.log') },
});

try {
  const bodies = ['{"type":"t","source_type":"user","source_id":"s"}', '{}'];
  const endAt = performance.now() + 8_000;
  while (performance.now() < endAt) {
    for (const body of bodies) {
      // oxlint-disable-next-line no-await-in-loop -- a little at a time, so that there are rates
      await fetch(`${service.url}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
    }
    // oxlint-disable-next-line no-await-in-loop -- one that is there, and one that is not
    for (const path of ['events', 'events/none']) await fetch(`${reading.address}/v1/sources/user/s/${path}`);
    // oxlint-disable-next-line no-await-in-loop
    await delay(50);
  }
  const { panels } = JSON.parse(readFileSync(join(OBSERVABILITY, 'dashboard.json'), 'utf8')) as {
    panels: { title: string; targets?: { expr: string }[] }[];
  };
  for (const { title, targets = [] } of panels) {
    for (const { expr } of targets) {
      const asked = expr
        .replaceAll('$job', 'dual-stream.*')
        .replaceAll('$instance', '.*')
        .replaceAll('$__rate_interval', '6s');
      // oxlint-disable-next-line no-await-in-loop -- it is one Prometheus
      const { status, error, data } = await ask(asked);
      check(`${title}: ${asked}`, status === 'success', error);
      if (!MAY_BE_EMPTY.test(asked))
        check(`${title}: ${asked} shows something`, (data?.result.length ?? 0) > 0);
    }
  }
  const alerts = (await ask('ALERTS{alertstate="firing"}')).data?.result ?? [];
  check('no alert fires about programs that are well', alerts.length === 0, JSON.stringify(alerts));
} finally {
  await server.stop(10_000);
  await reading.close();
  await processor.close();
  await postgres.stop();
  await service.close();
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly unknown[] };
}

async function ask(query: string): Promise<Answer> {
  const giveUpAt = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- until it listens
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`);
      // oxlint-disable-next-line no-await-in-loop
      return (await answer.json()) as Answer;
    } catch (error) {
      if (server.hasEnded() || performance.now() > giveUpAt) throw error;
      // oxlint-disable-next-line no-await-in-loop
      await delay(100);
    }
  }
}
