import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startChild } from '../../dev/child.ts';
import { temporaryFolder } from '../../dev/folders.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import { pythonTools } from '../../dev/python-tools.ts';
import { StartError } from '../../dev/start-error.ts';
import { type ServiceProcess, startServiceProcess } from '../faults/service-process.ts';

/**
 * `npm run test:contract [-- --seed N]`: Schemathesis makes requests of the OpenAPI document, valid
 * ones and others, sends them to the service on a real Kafka and a real Redis, and holds each answer against the
 * document.
 */

const ROOT = join(import.meta.dirname, '..', '..');
const DOCUMENT = join(ROOT, 'openapi', 'openapi.yaml');
const REQUIREMENTS = join(ROOT, 'dev', 'schemathesis', 'requirements.txt');
const SEED = '20261125';
const REQUESTS_MIN = 10_000;
const RUN_TIMEOUT_MS = 15 * 60_000;
const STOP_GRACE_MS = 5_000;
const LOG_LEVEL_ERROR = 50;

/** At least so many answers of each of these kinds, or the requests were not the ones that were meant. */
const ANSWERS_MIN: readonly (readonly [route: string, status: number, count: number])[] = [
  ['/v1/events', 201, 1_000],
  ['/v1/events', 422, 100],
  ['/v1/events/batch', 200, 1_000],
  ['/v1/events/batch', 422, 200],
  ['/problems/:code', 200, 20],
  ['/problems/:code', 404, 20],
  ['/livez', 200, 1],
  ['unmatched', 405, 20],
  ['/readyz', 200, 1],
];

/** What is read of Schemathesis' report. */
interface Report {
  readonly complete: boolean;
  readonly phases: Readonly<Record<string, { readonly status: string }>>;
  readonly test_cases: {
    readonly generated: number;
    readonly with_failures: number;
    readonly unique_failures: number;
    readonly errored: number;
  };
  readonly filtered: number;
  readonly warnings: Readonly<Record<string, readonly unknown[]>>;
}

interface Claim {
  readonly text: string;
  readonly holds: boolean;
}

const print = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seed: { type: 'string', default: SEED } } });
  print(`seed ${values.seed} (-- --seed N runs another)`);
  const { python } = await pythonTools(REQUIREMENTS, { name: 'Schemathesis', progress: print });
  const folder = temporaryFolder('contract');
  const stop: (() => Promise<unknown>)[] = [];
  try {
    const [kafka, redis] = await Promise.all([
      startKafka({ progress: print }),
      startRedis({ progress: print }),
    ]);
    stop.push(() => Promise.all([kafka.stop(), redis.stop()]));
    const logFile = join(folder, 'service.log');
    const service = await startService(kafka, redis, logFile);
    stop.push(() => service.stop());
    const startedAt = performance.now();
    const report = await runSchemathesis(python, service, folder, values.seed);
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    const claims = [...claimsOf(report), ...(await claimsAbout(service, logFile))];

    const { generated, with_failures, unique_failures, errored } = report.test_cases;
    print(
      `${generated} cases in ${seconds} s; ${report.filtered} failures were none by test/contract/hooks.py`,
    );
    for (const { text, holds } of claims) print(`${holds ? 'yes' : 'NO '}  ${text}`);
    const broken = claims.filter(({ holds }) => !holds).length;
    const failed = Math.max(unique_failures, with_failures) + errored + broken;
    print(`${generated - with_failures - errored + claims.length - broken} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
  } finally {
    for (const each of stop.toReversed()) await each();
  }
}

function startService(kafka: LocalKafka, redis: LocalRedis, logFile: string): Promise<ServiceProcess> {
  const settings = { KAFKA_TOPIC_CREATE: 'true' };
  return startServiceProcess({
    brokers: kafka.brokers,
    topic: 'events',
    redisUrl: redis.url,
    settings,
    logFile,
  });
}

async function runSchemathesis(
  python: string,
  { host, port }: ServiceProcess,
  folder: string,
  seed: string,
): Promise<Report> {
  const reportFile = join(folder, 'report.json');
  const child = startChild({
    command: python,
    args: [
      '-m',
      'schemathesis.cli',
      `--config-file=${join(import.meta.dirname, 'schemathesis.toml')}`,
      'run',
      DOCUMENT,
      `--url=http://${host}:${port}`,
      `--seed=${seed}`,
      '--no-color',
      '--continue-on-failure',
      '--report=json',
      `--report-json-path=${reportFile}`,
    ],
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      PYTHONDONTWRITEBYTECODE: '1',
      SCHEMATHESIS_HOOKS: join(import.meta.dirname, 'hooks.py'),
    },
    output: 'pipe',
  });
  child.stdout?.pipe(process.stdout, { end: false });
  child.stderr?.pipe(process.stderr, { end: false });
  const timer = setTimeout(() => void child.stop(STOP_GRACE_MS), RUN_TIMEOUT_MS);
  await child.exit;
  clearTimeout(timer);
  try {
    return JSON.parse(readFileSync(reportFile, 'utf8')) as Report;
  } catch (cause) {
    throw new Error('Schemathesis left no report', { cause });
  }
}

function claimsOf({ complete, phases, warnings }: Report): readonly Claim[] {
  const warned = Object.entries(warnings).filter(([, about]) => about.length > 0);
  return [
    { text: 'the run is complete', holds: complete },
    ...Object.entries(phases).map(([phase, { status }]) => ({
      text: `phase ${phase}: ${status}`,
      holds: status === 'success',
    })),
    { text: `warnings: ${warned.map(([name]) => name).join(', ') || 'none'}`, holds: warned.length === 0 },
  ];
}

/** What the service itself says about the run. */
async function claimsAbout(service: ServiceProcess, logFile: string): Promise<readonly Claim[]> {
  const counts = await answerCounts(service);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const faults = readFileSync(logFile, 'utf8')
    .split('\n')
    .filter(
      (line) => line.startsWith('{') && (JSON.parse(line) as { level: number }).level >= LOG_LEVEL_ERROR,
    );
  for (const line of faults.slice(0, 5)) print(line);
  for (const [name, count] of [...counts].toSorted()) print(`${String(count).padStart(8)}  ${name}`);
  return [
    { text: `${total} requests were answered, of ${REQUESTS_MIN} at least`, holds: total >= REQUESTS_MIN },
    ...ANSWERS_MIN.map(([route, status, least]) => {
      const count = counts.get(`${route} ${status}`) ?? 0;
      return {
        text: `${route} answered ${status} ${count} times, of ${least} at least`,
        holds: count >= least,
      };
    }),
    { text: `the service logged ${faults.length} errors`, holds: faults.length === 0 },
  ];
}

/** How often each route answered with each status: `/v1/events 201`. */
async function answerCounts(service: ServiceProcess): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const [sample, count] of await service.metrics()) {
    const [, route, status] =
      /^http_server_request_duration_seconds_count\{.*http_route="([^"]*)".*status_code="(\d+)"/.exec(
        sample,
      ) ?? [];
    if (route === undefined || route === '/metrics') continue;
    const name = `${route} ${status}`;
    counts.set(name, (counts.get(name) ?? 0) + count);
  }
  return counts;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
