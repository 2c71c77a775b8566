import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TObject } from 'typebox';
import { fetchFolder } from '../../dev/fetched-folder.ts';
import { LOCAL_FOLDER } from '../../dev/folders.ts';
import { KAFKA_VERSION } from '../../dev/kafka-jars.ts';
import { findOnPath } from '../../dev/on-path.ts';
import { MissingProgramError, StartError } from '../../dev/start-error.ts';
import { ConfigSchema, readConfig } from '../../src/config.ts';
import { ConfigError } from '../../src/settings.ts';
import {
  ProcessorConfigSchema,
  QueryConfigSchema,
  readProcessorConfig,
  readQueryConfig,
} from '../../src/store-config.ts';
import { Claims } from '../image/claims.ts';

/**
 * `npm run test:compose`: docker-compose.yml as the compose specification's own library reads it, with every profile, so
 * that a word that compose does not know is found without an engine. Then what we ask of it.
 */

const ROOT = join(import.meta.dirname, '..', '..');
const FILE = join(ROOT, 'docker-compose.yml');
/** What is built here, by its name in the file. */
const OURS: Readonly<
  Record<string, { schema: TObject; read: (env: NodeJS.ProcessEnv) => unknown; entry?: string }>
> = {
  'dual-stream': { schema: ConfigSchema, read: readConfig },
  processor: { schema: ProcessorConfigSchema, read: readProcessorConfig, entry: 'dist/processor/server.js' },
  query: { schema: QueryConfigSchema, read: readQueryConfig, entry: 'dist/query/server.js' },
};
/** As the Dockerfile sets it. */
const IMAGE_PORT = '8080';

/** What is read of a service. */
interface Service {
  readonly image?: string;
  readonly build?: unknown;
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly {
    readonly host_ip?: string;
    readonly target: number;
    readonly published: string;
  }[];
  readonly volumes?: readonly { readonly type: string; readonly source: string }[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly read_only?: boolean;
  readonly mem_limit?: string;
  readonly command?: readonly string[];
  readonly stop_grace_period?: string;
}

const print = (line: string) => process.stdout.write(`${line}\n`);
const claims = new Claims(print);

try {
  claimAll(servicesIn(await reader()));
  process.exitCode = claims.summary();
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`compose: ${error.message}\n`);
  process.exitCode = 1;
}

function servicesIn(program: string): ReadonlyMap<string, Service> {
  const { status, stdout, stderr } = spawnSync(program, [FILE], { encoding: 'utf8' });
  if (status !== 0) throw new StartError(`docker-compose.yml cannot be read: ${stderr.trim()}`);
  return new Map(Object.entries(JSON.parse(stdout).services as Record<string, Service>));
}

function claimAll(services: ReadonlyMap<string, Service>): void {
  claims.add(`it has services: ${[...services.keys()].join(', ')}`, services.size > 8);
  const all = [...services];
  const claimEach = (text: string, holds: (service: Service, name: string) => boolean) => {
    const others = all.filter(([name, service]) => !holds(service, name)).map(([name]) => name);
    claims.add(`${text}${others.length > 0 ? `, but ${others.join(', ')}` : ''}`, others.length === 0);
  };
  claimEach('ports are open on loopback only', ({ ports = [] }) =>
    ports.every(({ host_ip }) => host_ip === '127.0.0.1'),
  );
  const published = all.flatMap(([, { ports = [] }]) => ports.map((port) => port.published));
  claims.add('no port is given twice', new Set(published).size === published.length);
  claimEach(
    'images are pinned',
    ({ image, build }) => build !== undefined || /:v?\d+\.\d+/.test(image ?? ''),
  );
  // Ours has the one of its Dockerfile.
  const isChecked = ({ healthcheck, build }: Service) => healthcheck !== undefined || build !== undefined;
  claimEach('each has a health check', isChecked);
  claimEach('each waits only for the health of those that have a check', ({ depends_on = {} }) =>
    Object.keys(depends_on).every((name) => isChecked(services.get(name) ?? {})),
  );
  claimEach('each has no capability and can get none', ({ cap_drop, security_opt }) =>
    Boolean(cap_drop?.includes('ALL') && security_opt?.includes('no-new-privileges:true')),
  );
  claimEach('files that are mounted exist', ({ volumes = [] }) =>
    volumes.every(({ type, source }) => type !== 'bind' || existsSync(source)),
  );
  claims.add(
    `Kafka is the one of the tests: ${KAFKA_VERSION}`,
    services.get('kafka')?.image === `apache/kafka:${KAFKA_VERSION}`,
  );
  const built = all.filter(([, { build }]) => build !== undefined).map(([name]) => name);
  claims.add(
    `the image is that of: ${built.join(', ')}`,
    built.toSorted().join() === Object.keys(OURS).toSorted().join(),
  );
  for (const [name, program] of Object.entries(OURS)) claimProgram(name, program, services);
}

function claimProgram(
  name: string,
  { schema, read, entry }: (typeof OURS)[string],
  services: ReadonlyMap<string, Service>,
): void {
  const { environment = {}, ...service } = services.get(name) ?? {};
  claims.add(
    `${name} has a read-only root and a memory limit`,
    service.read_only === true && service.mem_limit !== undefined,
  );
  const problems = problemsOf(environment, schema, read);
  claims.add(`${name} takes its settings${problems}`, problems === '');
  claims.add(
    `${name} starts ${entry ?? 'what the image starts'}, with the health check of the image`,
    service.command?.at(-1) === entry &&
      service.healthcheck === undefined &&
      environment.MANAGEMENT_PORT !== undefined,
  );
  claims.add(
    `${name} is given the time that it takes to stop`,
    secondsOf(service.stop_grace_period) * 1_000 > Number(defaultOf(schema, 'SHUTDOWN_TIMEOUT_MS')),
  );
  const ports = [defaultOf(schema, 'PORT') === undefined ? [] : [environment.PORT ?? IMAGE_PORT]].flat();
  const led = (service.ports ?? []).map(({ target }) => String(target));
  claims.add(
    `${name} is reached where it listens: ${led.join(', ') || 'nowhere'}`,
    led.every((port) => [...ports, environment.MANAGEMENT_PORT].includes(port)) &&
      ports.every((port) => led.includes(port)),
  );
}

function defaultOf({ properties }: TObject, name: string): unknown {
  return (properties[name] as { default?: unknown } | undefined)?.default;
}

/** `30s`, as the reader writes it. */
function secondsOf(duration = ''): number {
  return Number(/^(\d+)s$/.exec(duration)?.[1] ?? 0);
}

function problemsOf(
  environment: NodeJS.ProcessEnv,
  schema: TObject,
  read: (env: NodeJS.ProcessEnv) => unknown,
): string {
  try {
    read(environment);
  } catch (error) {
    if (error instanceof ConfigError) return `: ${error.message}`;
    throw error;
  }
  const unknown = Object.keys(environment).filter((name) => !(name in schema.properties));
  return unknown.map((name) => `: ${name} is none`).join('');
}

/** The program that reads the file, compiled once for its sources. */
async function reader(): Promise<string> {
  const go = findOnPath('go');
  if (go === undefined)
    throw new MissingProgramError('this needs Go 1.24 or later, and there is no go on the PATH');
  const hash = createHash('sha256');
  for (const file of globSync(['*.go', 'go.*'], { cwd: import.meta.dirname }).toSorted())
    hash.update(readFileSync(join(import.meta.dirname, file)));
  const folder = join(LOCAL_FOLDER, `compose-${hash.digest('hex').slice(0, 12)}`);
  await fetchFolder({
    folder,
    name: "compose's own reader",
    from: 'the module proxy of Go',
    progress: print,
    commands: (unfinished) => [
      [go, 'build', '-C', import.meta.dirname, '-o', join(unfinished, 'compose'), '.'],
    ],
  });
  return join(folder, 'compose');
}
