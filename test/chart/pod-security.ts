/** The Pod Security Standard "restricted", and what this chart promises beyond it. */

interface Container {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: each member is compared with the one value that is right.
  readonly securityContext?: any;
  readonly ports?: readonly { readonly hostPort?: number }[];
  readonly resources?: { readonly limits?: Readonly<Record<string, unknown>> };
}

export interface PodSpec {
  readonly [name: string]: unknown;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly securityContext?: any;
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Readonly<Record<string, unknown>>[];
}

const VOLUMES = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);

export function podSecurityProblems(spec: PodSpec, uidWanted: number | undefined): readonly string[] {
  const pod = spec.securityContext ?? {};
  const problems: string[] = [];
  const hold = (isSo: boolean, problem: string) => {
    if (!isSo) problems.push(problem);
  };
  for (const name of ['hostNetwork', 'hostPID', 'hostIPC']) hold(!spec[name], name);
  hold(spec.automountServiceAccountToken === false, 'a token of Kubernetes is mounted');
  hold(pod.sysctls === undefined, 'sysctls');
  for (const volume of spec.volumes ?? []) {
    const type = Object.keys(volume).find((name) => name !== 'name') ?? '';
    hold(VOLUMES.has(type), `volume of type ${type}`);
  }
  for (const { name, securityContext: own = {}, ports = [], resources } of [
    ...spec.containers,
    ...(spec.initContainers ?? []),
  ]) {
    const uid = own.runAsUser ?? pod.runAsUser;
    const seccomp = own.seccompProfile ?? pod.seccompProfile;
    hold((own.runAsNonRoot ?? pod.runAsNonRoot) === true, `${name} may run as root`);
    hold(uid === uidWanted, `${name} runs as ${uid}`);
    hold(seccomp?.type === 'RuntimeDefault', `${name} has no seccomp profile`);
    hold(own.allowPrivilegeEscalation === false, `${name} may escalate privileges`);
    hold(own.privileged !== true, `${name} is privileged`);
    hold(own.procMount === undefined, `${name} has a procMount`);
    hold(own.readOnlyRootFilesystem === true, `${name} may write its file system`);
    hold(own.capabilities?.drop?.includes('ALL') === true, `${name} keeps capabilities`);
    hold(own.capabilities?.add === undefined, `${name} adds capabilities`);
    hold(
      ports.every(({ hostPort }) => hostPort === undefined),
      `${name} has a port of the host`,
    );
    hold(resources?.limits?.memory !== undefined, `${name} has no memory limit`);
  }
  return problems;
}
