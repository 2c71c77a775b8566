import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { type Helm, type KubernetesObject, NAMESPACE, only, RELEASE, valuesOf } from './rendering.ts';
import { containerOf, environmentOf } from './service-settings.ts';

/** What single values do: each is true or not. */

const OBSERVABILITY = join(import.meta.dirname, '..', '..', 'observability');

/** How a cluster lists what it knows. */
const DEPLOYMENTS = {
  name: 'deployments',
  singularName: 'deployment',
  namespaced: true,
  kind: 'Deployment',
  verbs: ['get'],
};

export interface Case {
  readonly what: string;
  readonly holds: (helm: Helm) => boolean | Promise<boolean>;
}

const render = (helm: Helm, name: string, ...assignments: readonly string[]) =>
  helm.render([...valuesOf(name), ...assignments.flatMap((each) => ['--set', each])]);
const renderJson = (helm: Helm, name: string, assignments: readonly string[]) =>
  helm.render([
    ...valuesOf(name),
    ...assignments.flatMap((each) => [/=[\d.e-]+$/.test(each) ? '--set-json' : '--set', each]),
  ]);
/** A variable of extraEnv; from a Secret if no value is given. */
const extraEnv = (name: string, value?: string) => [
  `extraEnv[0].name=${name}`,
  value === undefined
    ? 'extraEnv[0].valueFrom.secretKeyRef.name=mine'
    : `extraEnv[0].value="${value}"`.replaceAll('"', ''),
];
const checksum = (objects: readonly KubernetesObject[]): string =>
  only(objects, 'Deployment').spec.template.metadata.annotations['checksum/config'];
const portsOf = (rules: readonly { ports: { port: number | string }[] }[]) =>
  rules.map(({ ports }) => ports.map(({ port }) => port).join(','));
/** What the first `helm install` of a document sets. */
function installValues(document: string): readonly string[] {
  const text = readFileSync(join(import.meta.dirname, '..', '..', document), 'utf8').replace(/\\\n/g, ' ');
  const [, command = ''] = /helm install \S+ \S+ (.*)/.exec(text) ?? [];
  const words = command.split(/\s+/).filter((word) => word !== '');
  if (!words.includes('--set')) throw new Error(`${document} installs nothing`);
  return words;
}
const networkPolicy = (helm: Helm, name: string) =>
  only(render(helm, name, 'networkPolicy.enabled=true'), 'NetworkPolicy').spec;

export const CASES: readonly Case[] = [
  {
    what: 'another setting makes other pods',
    holds: (helm) =>
      checksum(render(helm, 'minimal')) !== checksum(render(helm, 'minimal', 'config.LOG_LEVEL=debug')),
  },
  {
    what: 'what is no setting does not',
    holds: (helm) =>
      checksum(render(helm, 'minimal')) === checksum(render(helm, 'minimal', 'replicaCount=3')),
  },
  {
    what: 'the same values give the same objects',
    holds: (helm) => new Set([1, 2].map(() => JSON.stringify(render(helm, 'everything')))).size === 1,
  },
  {
    what: 'the commands of the documents install it',
    holds: (helm) =>
      ['README.md', join('helm', 'dual-stream', 'README.md')].every((document) => {
        const objects = helm.render(installValues(document));
        return objects.some(({ kind }) => kind === 'Deployment');
      }),
  },
  {
    what: 'a digest wins over a tag',
    holds: (helm) =>
      imageOf(render(helm, 'api-key')).startsWith('registry.example.com/dual-stream@sha256:0123'),
  },
  {
    what: "the tag is the chart's version of the service",
    holds: (helm) => imageOf(render(helm, 'minimal')) === `dual-stream:${packageVersion()}`,
  },
  {
    what: 'large numbers keep their digits',
    holds: (helm) => environmentOf(render(helm, 'autoscaling')).BUFFER_MAX_BYTES === '134217728',
  },
  {
    what: 'the grace period follows the drain',
    holds: (helm) =>
      graceOf(render(helm, 'minimal')) === 30 &&
      graceOf(render(helm, 'autoscaling')) === 48 &&
      graceOf(render(helm, 'minimal', 'terminationGracePeriodSeconds=31')) === 31 &&
      graceOf(render(helm, 'minimal', 'config.SHUTDOWN_TIMEOUT_MS=null')) === 30 &&
      graceOf(render(helm, 'minimal', 'config.SHUTDOWN_DELAY_MS=null')) === 25 &&
      graceOf(render(helm, 'minimal', ...extraEnv('SHUTDOWN_TIMEOUT_MS', '60000'))) === 70,
  },
  {
    what: 'small fractions are written without an exponent',
    holds: (helm) =>
      [0.00005, 0.5, 0.000000001].every((part) => {
        const values = ['config.OTEL_TRACES_SAMPLER=traceidratio', `config.OTEL_TRACES_SAMPLER_ARG=${part}`];
        const text = environmentOf(renderJson(helm, 'minimal', values)).OTEL_TRACES_SAMPLER_ARG ?? '';
        return /^0\.\d{1,9}$/.test(text) && Number(text) === part;
      }),
  },
  {
    what: 'secrets may come by files of config or by extraEnv',
    holds: (helm) => {
      const user = ['config.KAFKA_SASL_MECHANISM=PLAIN', 'config.KAFKA_SASL_USERNAME=me'];
      const byFile = render(helm, 'minimal', ...user, 'config.KAFKA_SASL_PASSWORD_FILE=/vault/password');
      const byEnv = render(helm, 'minimal', ...user, ...extraEnv('KAFKA_SASL_PASSWORD'));
      const redis = render(
        helm,
        'minimal',
        'redis.url=',
        'redis.ca.existingSecret=ca',
        ...extraEnv('REDIS_URL'),
      );
      return [byFile, byEnv, redis].every((objects) => objects.some(({ kind }) => kind === 'Deployment'));
    },
  },
  {
    what: 'pods that are replaced all at once have no rolling update',
    holds: (helm) => {
      const { strategy } = only(render(helm, 'minimal', 'updateStrategy.type=Recreate'), 'Deployment').spec;
      return JSON.stringify(strategy) === '{"type":"Recreate"}';
    },
  },
  {
    what: 'a probe that is null is left out',
    holds: (helm) => {
      const container = containerOf(render(helm, 'minimal', 'probes.startup=null'));
      return container.startupProbe === undefined && container.livenessProbe !== undefined;
    },
  },
  {
    what: 'it may be a part of another chart',
    holds: (helm) => render(helm, 'minimal', 'enabled=true', 'global.registry=example').length > 0,
  },
  {
    what: 'an autoscaler begins with the pods that there are',
    holds: async (helm) =>
      (await replicasBeside(helm, 7)) === 7 && (await replicasBeside(helm)) === undefined,
  },
  {
    what: 'OpenShift chooses the user',
    holds: (helm) => {
      const { securityContext } = only(helm.render(valuesOf('openshift')), 'Deployment').spec.template.spec;
      const chosen = ['runAsUser', 'runAsGroup', 'fsGroup'];
      return securityContext.runAsNonRoot === true && chosen.every((name) => !(name in securityContext));
    },
  },
  {
    what: 'the log of helm test can be read after it',
    holds: (helm) =>
      only(render(helm, 'minimal'), 'Pod').metadata.annotations?.['helm.sh/hook-delete-policy'] ===
      'before-hook-creation',
  },
  {
    what: 'who mounts files otherwise names them in config',
    holds: (helm) =>
      environmentOf(
        render(helm, 'minimal', 'config.AUTH_MODE=api-key', 'config.AUTH_KEYS_FILE=/vault/keys.json'),
      ).AUTH_KEYS_FILE === '/vault/keys.json',
  },
  {
    what: 'common labels are on every object, and in no selector',
    holds: (helm) => {
      const objects = render(helm, 'everything').filter(({ metadata }) => !metadata.name.endsWith('-extra'));
      return (
        objects.every(({ metadata }) => metadata.labels?.team === 'events') &&
        !JSON.stringify(only(objects, 'Deployment').spec.selector).includes('team')
      );
    },
  },
  {
    what: 'labels of pods cannot replace those that select them',
    holds: (helm) => {
      const { spec } = only(
        render(helm, 'minimal', 'podLabels.app\\.kubernetes\\.io/name=other'),
        'Deployment',
      );
      return spec.template.metadata.labels['app.kubernetes.io/name'] === 'dual-stream';
    },
  },
  {
    what: 'objects of one release are in its namespace',
    holds: (helm) =>
      render(helm, 'monitoring').every(
        ({ metadata }) => (metadata as { namespace?: string }).namespace === NAMESPACE,
      ),
  },
  {
    what: 'extra objects may be templates',
    holds: (helm) =>
      only(render(helm, 'everything'), 'ConfigMap', `${RELEASE}-ingest-extra`).data?.namespace === NAMESPACE,
  },
  {
    what: 'without its own account, no ServiceAccount is made',
    holds: (helm) => {
      const objects = render(helm, 'minimal', 'serviceAccount.create=false');
      const { serviceAccountName } = only(objects, 'Deployment').spec.template.spec;
      return serviceAccountName === 'default' && !objects.some(({ kind }) => kind === 'ServiceAccount');
    },
  },
  {
    what: 'the API is reachable, the management port for helm test alone',
    holds: (helm) => {
      const [api, management, ...others] = networkPolicy(helm, 'jwt').ingress;
      return (
        api.from === undefined &&
        management.from.length === 1 &&
        management.from[0].podSelector.matchLabels['app.kubernetes.io/component'] === 'test' &&
        others.length === 0
      );
    },
  },
  ...Object.entries({
    jwt: '53,53 9092 443',
    monitoring: '53,53 9092 6379 4318',
    'mtls-kafka': '53,53 9093 6380',
    sasl: '53,53 9096 26379,6379',
    'api-key': '53,53 9092 6379',
    oauth: '53,53 9096 443',
    openshift: '5353,5353 9092 6379',
  }).map(([name, ports]) => ({
    what: `${name}: what the settings name can be reached, and nothing else`,
    holds: (helm: Helm) => portsOf(networkPolicy(helm, name).egress).join(' ') === ports,
  })),
  {
    what: 'the rules are those of observability/',
    holds: (helm) => {
      const rules = parse(readFileSync(join(OBSERVABILITY, 'alerts.yaml'), 'utf8'), { version: '1.1' });
      const { spec } = only(render(helm, 'everything'), 'PrometheusRule');
      return JSON.stringify(spec) === JSON.stringify(rules);
    },
  },
  {
    what: 'alerts lead to the runbooks of the one who installs',
    holds: (helm) => {
      const text = JSON.stringify(only(render(helm, 'monitoring'), 'PrometheusRule'));
      return text.includes('"https://example.com/runbooks#') && !text.includes('docs/runbooks.md');
    },
  },
  {
    what: 'the dashboard is that of observability/, under the label of the sidecar',
    holds: (helm) => {
      const dashboard = only(render(helm, 'monitoring'), 'ConfigMap', `${RELEASE}-dual-stream-dashboard`);
      const text = readFileSync(join(OBSERVABILITY, 'dashboard.json'), 'utf8');
      return (
        dashboard.metadata.labels?.grafana_dashboard === '1' &&
        dashboard.data?.['dual-stream.json']?.trim() === text.trim()
      );
    },
  },
  {
    what: 'the notes warn of an open service, and of no other',
    holds: (helm) =>
      notesOf(helm, 'minimal').includes('WARNING: config.AUTH_MODE is none') &&
      notesOf(helm, 'minimal').includes('curl -i http://127.0.0.1:8080/v1/events') &&
      !notesOf(helm, 'api-key').includes('WARNING') &&
      notesOf(helm, 'mtls-kafka').includes(
        '--insecure --cert client.crt --key client.key https://127.0.0.1:8080/v1/events',
      ),
  },
  { what: 'the pod of helm test waits until the service is ready', holds: testPodWaits },
];

const imageOf = (objects: readonly KubernetesObject[]): string => containerOf(objects).image;

function graceOf(objects: readonly KubernetesObject[]): number {
  return only(objects, 'Deployment').spec.template.spec.terminationGracePeriodSeconds;
}

function packageVersion(): string {
  const file = join(import.meta.dirname, '..', '..', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Helm prints notes of a real installation only, so an extra object includes them here. */
function notesOf(helm: Helm, name: string): string {
  const notes = '{{ include "dual-stream/templates/NOTES.txt" . | b64enc }}';
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'notes' }, data: { notes } };
  const values = [...valuesOf(name), '--set-json', `extraObjects=${JSON.stringify([object])}`];
  const { data } = only(helm.render(values), 'ConfigMap', 'notes');
  return Buffer.from(data?.notes ?? '', 'base64').toString();
}

/** The number of pods that is rendered against a cluster whose Deployment has so many, or that has no Deployment. */
async function replicasBeside(helm: Helm, replicas?: number): Promise<number | undefined> {
  const server = createServer((request, response) => {
    const isDeployment = request.url?.endsWith(`/namespaces/${NAMESPACE}/deployments/${RELEASE}-dual-stream`);
    const list = { groupVersion: 'apps/v1', resources: [DEPLOYMENTS] };
    const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: {}, spec: { replicas } };
    const answer = request.url?.startsWith('/apis/apps/v1')
      ? isDeployment
        ? replicas && object
        : { kind: 'APIResourceList', ...list }
      : undefined;
    response.statusCode = answer ? 200 : 404;
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify(answer ?? { kind: 'Status', apiVersion: 'v1', reason: 'NotFound', code: 404 }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const objects = await helm.renderBeside(`http://127.0.0.1:${port}`, valuesOf('autoscaling'));
    return only(objects, 'Deployment').spec.replicas;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Runs its program against a server that is not ready at first. */
async function testPodWaits(helm: Helm): Promise<boolean> {
  const pod = only(render(helm, 'minimal'), 'Pod');
  const { command } = pod.spec.containers[0] as { command: string[] };
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    response.statusCode = request.url === '/readyz' && asked > 1 ? 200 : 503;
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://${RELEASE}-dual-stream-management.${NAMESPACE}:9090`;
  const program = (command[2] ?? '').replace(url, `http://127.0.0.1:${port}`);
  try {
    await promisify(execFile)(process.execPath, ['-e', program], { timeout: 20_000 });
    return asked === 2;
  } catch {
    return false;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
