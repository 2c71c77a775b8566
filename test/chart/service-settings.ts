import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigSchema, readConfig } from '../../src/config.ts';
import { ConfigError, unknownSettings } from '../../src/settings.ts';
import { type KubernetesObject, only } from './rendering.ts';

/** What the service itself says of the settings that the chart gives it. */

const MiB = 1024 * 1024;
const IMAGE_ENV = { HOST: '0.0.0.0', PORT: '8080', MANAGEMENT_PORT: '9090' };
/** Read by OpenTelemetry's own code. */
const NOT_OURS = new Set(['OTEL_RESOURCE_ATTRIBUTES']);
const settingNames = new Map(
  Object.entries(ConfigSchema.properties).map(([name, schema]) => [name, 'secret' in schema]),
);

/** The environment of the service's container. */
export function environmentOf(objects: readonly KubernetesObject[]): Readonly<Record<string, string>> {
  const container = containerOf(objects);
  const env: Record<string, string> = {};
  for (const { configMapRef } of container.envFrom)
    Object.assign(env, only(objects, 'ConfigMap', configMapRef.name).data);
  for (const { name, value } of container.env ?? []) env[name] = value;
  return env;
}

/** Names that the service does not read, and secrets that stand in the environment. An address of Redis may, without a user. */
export function strangeNames(env: Readonly<Record<string, string>>): readonly string[] {
  const isFine = (name: string) => {
    const isSecret = settingNames.get(name);
    if (isSecret === false || NOT_OURS.has(name)) return true;
    if (isSecret) return name === 'REDIS_URL' && !env[name]?.includes('@');
    return name.endsWith('_FILE') && settingNames.get(name.slice(0, -'_FILE'.length)) === true;
  };
  const strange = Object.keys(env).filter((name) => !isFine(name));
  return [...strange, ...unknownSettings({ ...env }, ConfigSchema)];
}

/** What the service would not start with, its Secrets mounted in a folder of ours. */
export function settingProblems(objects: readonly KubernetesObject[], folder: string): readonly string[] {
  const env = { ...IMAGE_ENV, ...environmentOf(objects) };
  mountSecrets(objects, folder, env);
  const problems: string[] = [];
  const moved = Object.fromEntries(
    Object.entries(env).map(([name, value]) => {
      if (!name.endsWith('_FILE')) return [name, value];
      const file = join(folder, value);
      if (!existsSync(file)) problems.push(`${name} is ${value}, where nothing is mounted`);
      return [name, file];
    }),
  );
  const memory = containerOf(objects).resources.limits.memory as string;
  try {
    readConfig(moved, bytesOf(memory));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
  }
  return problems;
}

/** The service's own container. */
// biome-ignore lint/suspicious/noExplicitAny: Kubernetes' schemas have checked it.
export function containerOf(objects: readonly KubernetesObject[]): any {
  return only(objects, 'Deployment').spec.template.spec.containers[0];
}

/** A file for every item of every Secret that is mounted, with what such a secret would be. */
function mountSecrets(
  objects: readonly KubernetesObject[],
  folder: string,
  env: Readonly<Record<string, string>>,
): void {
  const { volumes = [] } = only(objects, 'Deployment').spec.template.spec;
  for (const { name, mountPath } of containerOf(objects).volumeMounts ?? []) {
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
  if (setting !== 'REDIS_URL_FILE') return 'something\n';
  return `${env.REDIS_TLS_CA_FILE === undefined ? 'redis' : 'rediss'}://user:secret@redis:6379\n`;
}

function bytesOf(quantity: string): number {
  const [, amount, unit] = /^(\d+)(Mi|Gi)$/.exec(quantity) ?? [];
  if (amount === undefined) throw new Error(`${quantity} is no number of bytes`);
  return Number(amount) * MiB * (unit === 'Gi' ? 1024 : 1);
}
