import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TObject } from 'typebox';
import { ConfigSchema, readConfig } from '../../src/config.ts';
import { ConfigError, unknownSettings } from '../../src/settings.ts';
import {
  ProcessorConfigSchema,
  QueryConfigSchema,
  readProcessorConfig,
  readQueryConfig,
} from '../../src/store-config.ts';
import { type KubernetesObject, only } from './rendering.ts';

/** What the programs themselves say of the settings that the chart gives them. */

const MiB = 1024 * 1024;
const IMAGE_ENV = { HOST: '0.0.0.0', PORT: '8080', MANAGEMENT_PORT: '9090' };
/** Read by OpenTelemetry's own code. */
const NOT_OURS = new Set(['OTEL_RESOURCE_ATTRIBUTES']);

/** By the component in the labels of its objects. */
export const PROGRAMS = {
  ingest: { schema: ConfigSchema, read: readConfig, entry: undefined, hasApi: true },
  processor: {
    schema: ProcessorConfigSchema,
    read: readProcessorConfig,
    entry: 'dist/processor/server.js',
    hasApi: false,
  },
  query: { schema: QueryConfigSchema, read: readQueryConfig, entry: 'dist/query/server.js', hasApi: true },
} as const satisfies Record<
  string,
  { schema: TObject; read: unknown; entry: string | undefined; hasApi: boolean }
>;

export type Program = keyof typeof PROGRAMS;
export const PROGRAM_NAMES = Object.keys(PROGRAMS) as readonly Program[];

const componentOf = ({ metadata }: KubernetesObject) => metadata.labels?.['app.kubernetes.io/component'];

/** The programs that are rendered. */
export function programsIn(objects: readonly KubernetesObject[]): readonly Program[] {
  const deployments = objects.filter(({ kind }) => kind === 'Deployment');
  return PROGRAM_NAMES.filter((program) => deployments.some((object) => componentOf(object) === program));
}

export function deploymentOf(
  objects: readonly KubernetesObject[],
  program: Program = 'ingest',
): KubernetesObject {
  return only(
    objects.filter((object) => componentOf(object) === program),
    'Deployment',
  );
}

/** The environment of a program's container. */
export function environmentOf(
  objects: readonly KubernetesObject[],
  program: Program = 'ingest',
): Readonly<Record<string, string>> {
  const container = containerOf(objects, program);
  const env: Record<string, string> = {};
  for (const { configMapRef } of container.envFrom)
    Object.assign(env, only(objects, 'ConfigMap', configMapRef.name).data);
  for (const { name, value } of container.env ?? []) env[name] = value;
  return env;
}

/** Names that the program does not read, and secrets that stand in the environment. An address of Redis may, without a user. */
export function strangeNames(env: Readonly<Record<string, string>>, program: Program): readonly string[] {
  const { schema } = PROGRAMS[program];
  const settingNames = new Map(
    Object.entries(schema.properties).map(([name, setting]) => [name, 'secret' in setting]),
  );
  const isFine = (name: string) => {
    const isSecret = settingNames.get(name);
    if (isSecret === false || NOT_OURS.has(name)) return true;
    if (isSecret) return name === 'REDIS_URL' && !env[name]?.includes('@');
    return name.endsWith('_FILE') && settingNames.get(name.slice(0, -'_FILE'.length)) === true;
  };
  const strange = Object.keys(env).filter((name) => !isFine(name));
  return [...strange, ...unknownSettings({ ...env }, schema)];
}

/** What the program would not start with, its Secrets mounted in a folder of ours. */
export function settingProblems(
  objects: readonly KubernetesObject[],
  program: Program,
  folder: string,
): readonly string[] {
  const env = { ...IMAGE_ENV, ...environmentOf(objects, program) };
  mountSecrets(objects, program, folder, env);
  const problems: string[] = [];
  const moved = Object.fromEntries(
    Object.entries(env).map(([name, value]) => {
      if (!name.endsWith('_FILE')) return [name, value];
      const file = join(folder, value);
      if (!existsSync(file)) problems.push(`${name} is ${value}, where nothing is mounted`);
      return [name, file];
    }),
  );
  const memory = containerOf(objects, program).resources.limits.memory as string;
  try {
    PROGRAMS[program].read(moved, bytesOf(memory));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
  }
  return problems;
}

/** The program's own container. */
// biome-ignore lint/suspicious/noExplicitAny: Kubernetes' schemas have checked it.
export function containerOf(objects: readonly KubernetesObject[], program: Program = 'ingest'): any {
  return deploymentOf(objects, program).spec.template.spec.containers[0];
}

/** A file for every item of every Secret that is mounted, with what such a secret would be. */
function mountSecrets(
  objects: readonly KubernetesObject[],
  program: Program,
  folder: string,
  env: Readonly<Record<string, string>>,
): void {
  const { volumes = [] } = deploymentOf(objects, program).spec.template.spec;
  for (const { name, mountPath } of containerOf(objects, program).volumeMounts ?? []) {
    const volume = volumes.find((each: { name: string }) => each.name === name);
    for (const { path } of volume?.secret?.items ?? []) {
      const inContainer = `${mountPath}/${path}`;
      const [setting = ''] = Object.entries(env).find(([, value]) => value === inContainer) ?? [];
      const file = join(folder, inContainer);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, secretFor(setting, env));
    }
  }
}

function secretFor(setting: string, env: Readonly<Record<string, string>>): string {
  if (setting === 'OTEL_EXPORTER_OTLP_HEADERS_FILE') return 'authorization=Bearer%20x\n';
  if (setting === 'POSTGRES_URL_FILE') return 'postgres://user:secret@postgres:5432/store\n';
  if (setting !== 'REDIS_URL_FILE') return 'something\n';
  return `${env.REDIS_TLS_CA_FILE === undefined ? 'redis' : 'rediss'}://user:secret@redis:6379\n`;
}

function bytesOf(quantity: string): number {
  const [, amount, unit] = /^(\d+)(Mi|Gi)$/.exec(quantity) ?? [];
  if (amount === undefined) throw new Error(`${quantity} is no number of bytes`);
  return Number(amount) * MiB * (unit === 'Gi' ? 1024 : 1);
}
