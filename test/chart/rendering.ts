import { execFile, execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';

/** What Helm makes of the chart. */

export const CHART = join(import.meta.dirname, '..', '..', 'helm', 'dual-stream');
export const RELEASE = 'demo';
export const NAMESPACE = 'somewhere';
/** Helm that is built from its module takes the cluster for a very old one. */
const KUBE_VERSION = '1.31.0';

const WHERE = ['--namespace', NAMESPACE, '--kube-version', KUBE_VERSION];
const ENV = { PATH: process.env.PATH, HOME: '/nonexistent' };

/** An object of Kubernetes, as far as it is looked into. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: kinds differ, and Kubernetes' own schemas check what stands in them.
  readonly spec?: any;
}

/** The files of values that the chart is tried with, by name. */
export const VALUES_FILES: ReadonlyMap<string, string> = new Map(
  globSync(['ci/*-values.yaml', 'examples/*.yaml'], { cwd: CHART })
    .toSorted()
    .map((path) => [basename(path).replace(/(-values)?\.yaml$/, ''), join(CHART, path)]),
);

/** Helm's arguments for a file of values. */
export function valuesOf(name: string): readonly string[] {
  const file = VALUES_FILES.get(name);
  if (file === undefined) throw new Error(`There are no values ${name}`);
  return ['--values', file];
}

export class Helm {
  readonly #binary: string;

  constructor(binary: string) {
    this.#binary = binary;
  }

  /** What is wrong with the chart under these values; nothing if it is an empty text. */
  lint(values: readonly string[]): string {
    return this.#run(['lint', '--strict', '--kube-version', KUBE_VERSION, CHART, ...values]).complaint;
  }

  /** Objects, in the order of Helm; an error with Helm's message where it refuses. */
  render(values: readonly string[]): readonly KubernetesObject[] {
    const { output, complaint } = this.#template(values);
    if (complaint !== '') throw new Error(complaint);
    return objectsOf(output);
  }

  /** The same with a look into a cluster. */
  async renderBeside(cluster: string, values: readonly string[]): Promise<readonly KubernetesObject[]> {
    const look = ['--dry-run=server', '--kube-apiserver', cluster];
    const args = ['template', RELEASE, CHART, ...WHERE, ...look, ...values];
    return objectsOf((await promisify(execFile)(this.#binary, args, { env: ENV, timeout: 20_000 })).stdout);
  }

  /** Why Helm does not render these values; an empty text if it does. */
  refusal(values: readonly string[]): string {
    return this.#template(values).complaint;
  }

  #template(values: readonly string[]): { readonly output: string; readonly complaint: string } {
    return this.#run(['template', RELEASE, CHART, ...WHERE, ...values]);
  }

  #run(args: readonly string[]): { readonly output: string; readonly complaint: string } {
    try {
      const options = { encoding: 'utf8', stdio: 'pipe', env: ENV, maxBuffer: 16 * 1024 * 1024 } as const;
      return { output: execFileSync(this.#binary, args, options), complaint: '' };
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      return { output: '', complaint: `${stdout}${stderr}`.trim() || String(error) };
    }
  }
}

function objectsOf(output: string): readonly KubernetesObject[] {
  // Kubernetes reads YAML 1.1, where `off` is false and 0440 is octal.
  return parseAllDocuments(output, { version: '1.1' }).flatMap((document) => {
    const [error] = document.errors;
    if (error) throw error;
    const object = document.toJS() as KubernetesObject | null;
    return object === null ? [] : [object];
  });
}

/** The only object of a kind, and of a name if there are several. */
export function only(objects: readonly KubernetesObject[], kind: string, name?: string): KubernetesObject {
  const [found, ...others] = objects.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  );
  if (found === undefined || others.length > 0) throw new Error(`There is no single ${kind} ${name ?? ''}`);
  return found;
}
