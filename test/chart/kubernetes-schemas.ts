import { execFileSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { KubernetesObject } from './rendering.ts';

/**
 * Objects against what Kubernetes takes: its own kinds by kubernetes-validate, which has the schemas of each version, and
 * those of operators by schemas of ours that hold as much of them as the chart uses.
 */

const SCHEMAS = join(import.meta.dirname, 'schemas');

const operatorKinds: ReadonlyMap<string, ValidateFunction> = new Map(
  globSync('*.json', { cwd: SCHEMAS }).map((file) => {
    const schema = JSON.parse(readFileSync(join(SCHEMAS, file), 'utf8')) as object;
    return [basename(file, '.json'), new Ajv2020({ allErrors: true }).compile(schema)];
  }),
);

/** Whether the schema of a kind is one of ours. */
export function isOfOperator({ kind }: KubernetesObject): boolean {
  return operatorKinds.has(kind);
}

/** What is wrong with an object of an operator's kind. */
export function operatorProblems(object: KubernetesObject): readonly string[] {
  const validate = operatorKinds.get(object.kind);
  if (validate === undefined || validate(object)) return [];
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** kubernetes-validate's line about each object: what does not begin with INFO is wrong, an unknown kind too. */
export function kubernetesVerdicts(
  objects: readonly KubernetesObject[],
  { python, version, file }: { readonly python: string; readonly version: string; readonly file: string },
): readonly string[] {
  writeFileSync(file, objects.map((object) => `---\n${JSON.stringify(object)}\n`).join(''));
  const args = ['-m', 'kubernetes_validate', '-k', version, '--strict', file];
  let output: string;
  try {
    output = execFileSync(python, args, { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    output = (error as { stdout: string }).stdout;
  }
  return output.split('\n').filter((line) => /^(INFO|WARN|ERROR|FATAL) /.test(line));
}
