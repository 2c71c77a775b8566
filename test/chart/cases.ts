import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { containerOf, deploymentOf, environmentOf, PROGRAMS, type Program } from './program-settings.ts';
import { type Helm, type KubernetesObject, NAMESPACE, only, RELEASE, valuesOf } from './rendering.ts';

/** What single values do: each is true or not. */

const VALUES_WITHOUT_STORE = ['minimal', 'everything', 'keda', 'monitoring'];
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
  {
    what: 'nothing is rendered of a program that is not enabled',
    holds: (helm) =>
      VALUES_WITHOUT_STORE.every((name) =>
        render(helm, name).every(
          ({ metadata }) => !/processor|query/.test(metadata.labels?.['app.kubernetes.io/component'] ?? ''),
        ),
      ) && render(helm, 'store', 'query.enabled=false').every(({ metadata }) => !/query/.test(metadata.name)),
  },
  {
    what: 'what leads to Kafka is written once, and what is of its own wins',
    holds: (helm) => {
      const service = environmentOf(render(helm, 'store-keda'));
      const processor = environmentOf(render(helm, 'store-keda'), 'processor');
      const shared = sharedNames('processor').filter((name) => /^KAFKA_(?!CLIENT_ID)/.test(name));
      const own = environmentOf(render(helm, 'store-everything'), 'processor');
      return (
        shared.filter((name) => service[name] !== undefined).length >= 7 &&
        shared.every((name) => processor[name] === service[name]) &&
        processor.KAFKA_CLIENT_ID === 'dual-stream-processor' &&
        own.KAFKA_SASL_USERNAME === 'reader' &&
        own.KAFKA_SASL_PASSWORD_FILE === '/etc/dual-stream/kafka-password/secret' &&
        own.KAFKA_SSL_CA_FILE === '/etc/dual-stream/kafka-ca/ca.crt' &&
        secretsOf(render(helm, 'store-everything'), 'processor').includes('kafka-reader') &&
        !secretsOf(render(helm, 'store-everything'), 'processor').includes('kafka-writer')
      );
    },
  },
  ...(['processor', 'query'] as const).map((program) => ({
    what: `${program}: each setting that the service has as well is taken from there`,
    holds: (helm: Helm) => {
      // Each by a path or a text of its own, whatever it means.
      const names = sharedNames(program);
      const besides = program === 'query' ? ['query.config.AUTH_MODE=null'] : ['query.enabled=false'];
      const values = names.map((name) => [name, textFor(program, name)] as const);
      const objects = render(helm, 'store', ...besides, ...assignmentsOf(values));
      const env = environmentOf(objects, program);
      const missing = values.filter(([name, value]) => !OWN.has(name) && env[name] !== value);
      if (missing.length > 0) throw new Error(missing.join('; '));
      return values.length > 10;
    },
  })),
  ...(['processor', 'query'] as const).map((program) => ({
    what: `${program}: nothing is taken from the service that the program does not read`,
    holds: (helm: Helm) => {
      const names = includedBy(helm, 'dual-stream.inherited', 'store');
      const wanted = sharedNames(program).filter((name) => !OWN.has(name));
      return (
        (parse(names) as Record<string, string[]>)[program]?.toSorted().join() === wanted.toSorted().join()
      );
    },
  })),
  {
    what: 'who mounts files otherwise names them for one program alone',
    holds: (helm) => {
      const file = '/vault/password';
      const objects = render(helm, 'store-everything', `processor.config.KAFKA_SSL_CA_FILE=${file}`);
      const { KAFKA_SSL_CA_FILE } = environmentOf(objects, 'processor');
      return KAFKA_SSL_CA_FILE === file && !secretsOf(objects, 'processor').includes('kafka-ca');
    },
  },
  {
    what: 'each program sees only the secrets that it needs',
    holds: (helm) => {
      const objects = render(helm, 'store-everything');
      return (
        secretsOf(objects, 'ingest') === 'clients dual-stream-tls kafka-ca kafka-writer' &&
        secretsOf(objects, 'processor') ===
          'kafka-ca kafka-reader postgres-ca postgres-client postgres-owner' &&
        secretsOf(objects, 'query') === 'clients dual-stream-tls postgres-ca postgres-reader'
      );
    },
  },
  {
    what: 'a setting of one program makes other pods of it alone',
    holds: (helm) => {
      const before = render(helm, 'store');
      const after = render(helm, 'store', 'processor.config.STORE_RETENTION_HOURS=1');
      const isSame = (program: Program) => checksumOf(before, program) === checksumOf(after, program);
      return isSame('ingest') && isSame('query') && !isSame('processor');
    },
  },
  {
    what: 'the grace period of each program follows its own drain',
    holds: (helm) =>
      graceOf(render(helm, 'store'), 'processor') === 25 &&
      graceOf(render(helm, 'store'), 'query') === 20 &&
      graceOf(render(helm, 'store-everything'), 'processor') === 60 &&
      graceOf(render(helm, 'store-everything'), 'query') === 23 &&
      graceOf(render(helm, 'store', 'processor.config.SHUTDOWN_TIMEOUT_MS=60000'), 'processor') === 65,
  },
  {
    what: 'the processor is scaled by how far it is behind',
    holds: (helm) => {
      const { metrics } = only(
        render(helm, 'store-everything'),
        'HorizontalPodAutoscaler',
        `${RELEASE}-dual-stream-processor`,
      ).spec;
      const [cpu, lag] = metrics;
      return (
        cpu.resource.name === 'cpu' &&
        lag.pods.metric.name === 'dual_stream_processor_lag_records' &&
        lag.pods.target.averageValue === '20000'
      );
    },
  },
  {
    what: 'KEDA looks at the group and the topic of the processor',
    holds: (helm) => {
      const trigger = (...assignments: string[]) =>
        only(render(helm, 'store-keda', ...assignments), 'ScaledObject').spec.triggers[0];
      const { type, metadata, authenticationRef } = trigger();
      const other = trigger('processor.config.KAFKA_GROUP_ID=g', 'config.KAFKA_TOPIC=t').metadata;
      const { KAFKA_GROUP_ID, KAFKA_TOPIC } = PROGRAMS.processor.schema.properties;
      return (
        type === 'kafka' &&
        metadata.bootstrapServers === 'kafka:9093' &&
        metadata.consumerGroup === (KAFKA_GROUP_ID as { default?: string }).default &&
        metadata.topic === (KAFKA_TOPIC as { default?: string }).default &&
        metadata.lagThreshold === '50000' &&
        metadata.sasl === 'oauthbearer' &&
        metadata.tls === 'enable' &&
        authenticationRef.name === 'kafka' &&
        other.consumerGroup === 'g' &&
        other.topic === 't'
      );
    },
  },
  {
    what: 'the query API is led to where that is wanted, beside what was there',
    holds: (helm) => {
      return (
        pathsOf(render(helm, 'store-everything')).join(' ') === '/,/v1/sources /,/v1/sources' &&
        pathsOf(render(helm, 'store-everything', 'query.route.enabled=false')).join(' ') === '/ /'
      );
    },
  },
  ...Object.entries({
    'store-everything processor': '53,53 9093,9094 6432',
    'store-everything query': '53,53 6432 8443',
    'store-keda processor': '53,53 9093 5432 443',
    'store-keda query': '53,53 5432',
    'store-keda ingest': '53,53 9093 6379 443',
  }).map(([which, ports]) => ({
    what: `${which}: what its settings name can be reached, and nothing else`,
    holds: (helm: Helm) => {
      const [name = '', program = ''] = which.split(' ');
      const policies = render(helm, name, 'networkPolicy.enabled=true').filter(
        ({ kind, spec }) =>
          kind === 'NetworkPolicy' && spec.podSelector.matchLabels['app.kubernetes.io/component'] === program,
      );
      return policies.length === 1 && portsOf(policies[0]?.spec.egress).join(' ') === ports;
    },
  })),
  {
    what: 'helm test asks every program',
    holds: (helm) => {
      const { containers } = only(render(helm, 'store'), 'Pod').spec;
      const urls = containers.map(
        ({ command }: { command: string[] }) => /http:[^"]+/.exec(command[2] ?? '')?.[0],
      );
      const base = `http://${RELEASE}-dual-stream`;
      return (
        urls.join() ===
        ['', '-processor', '-query']
          .map((name) => `${base}${name}-management.${NAMESPACE}:9090/readyz`)
          .join()
      );
    },
  },
  {
    what: 'the notes tell of what is enabled, and warn of reading that is open',
    holds: (helm) =>
      notesOf(helm, 'store').includes('deployment/demo-dual-stream-processor') &&
      notesOf(helm, 'store').includes('WARNING: query.config.AUTH_MODE is none') &&
      notesOf(helm, 'store-keda').includes(
        'curl http://127.0.0.1:8081/v1/sources/user/octocat/events -H "authorization: Bearer $TOKEN"',
      ) &&
      !notesOf(helm, 'store-keda').includes('WARNING') &&
      !/processor|query/.test(notesOf(helm, 'everything')),
  },
  {
    what: 'long names have room for what is appended, and stay apart',
    holds: (helm) => {
      const name = 'a'.repeat(60);
      const services = render(helm, 'store', `fullnameOverride=${name}`).filter(
        ({ kind }) => kind === 'Service',
      );
      const names = services.map(({ metadata }) => metadata.name);
      return names.length === 5 && new Set(names).size === 5 && names.every(({ length }) => length <= 63);
    },
  },
  { what: 'the pod of helm test waits until the service is ready', holds: testPodWaits },
];

/** What an Ingress and an HTTPRoute lead somewhere, each separated by commas. */
const pathsOf = (objects: readonly KubernetesObject[]) => [
  only(objects, 'Ingress')
    .spec.rules[0].http.paths.map(({ path }: { path: string }) => path)
    .join(),
  only(objects, 'HTTPRoute')
    .spec.rules.map((rule: { matches: { path: { value: string } }[] }) => rule.matches[0]?.path.value)
    .join(),
];

const imageOf = (objects: readonly KubernetesObject[]): string => containerOf(objects).image;

function graceOf(objects: readonly KubernetesObject[], program?: Program): number {
  return deploymentOf(objects, program).spec.template.spec.terminationGracePeriodSeconds;
}

const checksumOf = (objects: readonly KubernetesObject[], program: Program): string =>
  deploymentOf(objects, program).spec.template.metadata.annotations['checksum/config'];

/** Names of the Secrets that are mounted in a program's pods. */
function secretsOf(objects: readonly KubernetesObject[], program: Program): string {
  const { volumes = [] } = deploymentOf(objects, program).spec.template.spec;
  return (volumes as { secret?: { secretName: string } }[])
    .flatMap(({ secret }) => secret?.secretName ?? [])
    .toSorted()
    .join(' ');
}

/** Settings that a program has of its own, though the service has one of the same name. */
const OWN: ReadonlySet<string> = new Set([
  'KAFKA_CLIENT_ID',
  'PORT',
  'MANAGEMENT_PORT',
  'SHUTDOWN_DELAY_MS',
  'SHUTDOWN_TIMEOUT_MS',
  'RATE_LIMIT_REQUESTS_PER_SECOND',
  'BUFFER_MAX_BYTES',
  'CONNECTIONS_MAX',
]);

/** Settings that the service and a program both have, by the names that values have for them. */
function sharedNames(program: Program): readonly string[] {
  const { properties } = PROGRAMS[program].schema;
  return Object.entries(properties)
    .filter(([name]) => name in PROGRAMS.ingest.schema.properties)
    .map(([name, schema]) => ('secret' in schema ? `${name}_FILE` : name));
}

/** A value that the schema takes, and that is not the default. */
function textFor(program: Program, name: string): string {
  const schema = (PROGRAMS[program].schema.properties as Record<string, object | undefined>)[name];
  const {
    type,
    default: fallback,
    examples,
    enum: choices,
    minimum,
  } = (schema ?? {}) as {
    readonly type?: string;
    readonly default?: unknown;
    readonly examples?: readonly unknown[];
    readonly enum?: readonly string[];
    readonly minimum?: number;
  };
  if (name.endsWith('_FILE')) return `/elsewhere/${name}`;
  if (type === 'boolean') return String(fallback !== true);
  if (choices !== undefined) return choices.find((each) => each !== fallback && each !== 'none') ?? '';
  if (type === 'integer') return String(Number(minimum ?? 0) + 30_000);
  return String(examples?.[0] ?? 'other').split(',')[0] ?? '';
}

const assignmentsOf = (values: readonly (readonly [string, string])[]) =>
  values.filter(([name]) => !OWN.has(name)).map(([name, value]) => `config.${name}=${value}`);

function packageVersion(): string {
  const file = join(import.meta.dirname, '..', '..', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Helm prints notes of a real installation only, so an extra object includes them here. */
const notesOf = (helm: Helm, name: string) => includedBy(helm, 'dual-stream/templates/NOTES.txt', name);

/** What a template of the chart makes of the root. */
function includedBy(helm: Helm, template: string, name: string): string {
  const text = `{{ include "${template}" . | b64enc }}`;
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'included' }, data: { text } };
  const values = [...valuesOf(name), '--set-json', `extraObjects=${JSON.stringify([object])}`];
  const { data } = only(helm.render(values), 'ConfigMap', 'included');
  return Buffer.from(data?.text ?? '', 'base64').toString();
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
