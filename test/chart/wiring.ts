import { ConfigSchema } from '../../src/config.ts';
import type { KubernetesObject } from './rendering.ts';
import { only } from './rendering.ts';
import { environmentOf, containerOf as serviceContainer } from './service-settings.ts';

/** Whether the objects of one rendering fit together: what schemas of single objects cannot see. */

/** After the drain: the producer, the notifier and the spans. */
const CLOSE_MS = 5_000;

type Labels = Readonly<Record<string, string>>;

export function wiringProblems(objects: readonly KubernetesObject[]): readonly string[] {
  const problems: string[] = [];
  const hold = (isSo: boolean, problem: string) => {
    if (!isSo) problems.push(problem);
  };
  const deployment = only(objects, 'Deployment');
  const { name } = deployment.metadata;
  const pod = deployment.spec.template;
  const container = serviceContainer(objects);
  const env = environmentOf(objects);
  const labels = pod.metadata.labels as Labels;
  const testLabels = only(objects, 'Pod').metadata.labels ?? {};

  for (const [what, selector] of selectorsOf(objects)) {
    hold(isSelected(labels, selector), `${what} does not select the pods`);
    hold(!isSelected(testLabels, selector), `${what} selects the pod of helm test`);
  }
  for (const monitor of objects.filter(({ kind }) => kind === 'ServiceMonitor')) {
    const selected = objects.filter(
      (object) =>
        object.kind === 'Service' &&
        isSelected(object.metadata.labels ?? {}, monitor.spec.selector.matchLabels),
    );
    hold(
      selected.length === 1 && selected[0]?.metadata.name === `${name}-management`,
      'the ServiceMonitor selects other Services than the one for management',
    );
  }

  const ports = new Map<string, number>(
    container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
  );
  hold(String(ports.get('api')) === env.PORT, 'the port of the API is another');
  hold(String(ports.get('management')) === env.MANAGEMENT_PORT, 'the management port is another');
  for (const [probe, path] of [
    ['startupProbe', '/livez'],
    ['livenessProbe', '/livez'],
    ['readinessProbe', '/readyz'],
  ] as const) {
    const { httpGet } = container[probe];
    hold(httpGet.port === 'management' && httpGet.path === path, `${probe} asks something else`);
  }

  const drainMs = millisecondsOf(env, 'SHUTDOWN_DELAY_MS') + millisecondsOf(env, 'SHUTDOWN_TIMEOUT_MS');
  hold(
    pod.spec.terminationGracePeriodSeconds * 1000 >= drainMs + CLOSE_MS,
    'pods are killed while they drain or close',
  );
  const isScaled = objects.some(({ kind }) => kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject');
  hold((deployment.spec.replicas === undefined) === isScaled, 'two set the number of pods, or nobody');
  hold(/^[0-9a-f]{64}$/.test(pod.metadata.annotations?.['checksum/config']), 'there is no checksum');
  hold(pod.spec.enableServiceLinks === false, 'variables about Services come in');
  hold(container.resources.limits.cpu === undefined, 'the CPU is limited');

  for (const service of objects.filter(({ kind }) => kind === 'Service')) {
    const isManagement = service.metadata.name.endsWith('-management');
    hold(
      service.spec.ports.every((port: { targetPort: string }) =>
        isManagement ? port.targetPort === 'management' : port.targetPort === 'api',
      ),
      `${service.metadata.name} leads to another port`,
    );
    hold(!isManagement || service.spec.type === 'ClusterIP', 'the management port is outside');
  }
  for (const backend of backendsOf(objects)) hold(backend === name, `a route leads to ${backend}`);

  hold(!objects.some(({ kind }) => kind === 'Secret'), 'a Secret is rendered');
  hold(!/\/\/[^/\s"@]*:[^/\s"@]*@/.test(JSON.stringify(objects)), 'an address holds a password');
  return problems;
}

/** As the service reads it. */
function millisecondsOf(env: Labels, name: 'SHUTDOWN_DELAY_MS' | 'SHUTDOWN_TIMEOUT_MS'): number {
  const schema = ConfigSchema.properties[name];
  return Number(env[name] ?? ('default' in schema ? schema.default : undefined));
}

function selectorsOf(objects: readonly KubernetesObject[]): readonly (readonly [string, Labels])[] {
  return objects.flatMap(({ kind, spec }) => {
    if (kind === 'Service') return [[kind, spec.selector as Labels] as const];
    if (kind === 'NetworkPolicy') return [[kind, spec.podSelector.matchLabels as Labels] as const];
    const kinds = ['Deployment', 'PodDisruptionBudget', 'PodMonitor'];
    return kinds.includes(kind) ? [[kind, spec.selector.matchLabels as Labels] as const] : [];
  });
}

function isSelected(labels: Labels, selector: Labels): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value);
}

/** Names of the Services that an Ingress and an HTTPRoute lead to. */
function backendsOf(objects: readonly KubernetesObject[]): readonly string[] {
  return objects.flatMap(({ kind, spec }) => {
    if (kind === 'HTTPRoute')
      return spec.rules.flatMap((rule: { backendRefs: { name: string }[] }) =>
        rule.backendRefs.map((backend) => backend.name),
      );
    if (kind !== 'Ingress') return [];
    return spec.rules.flatMap((rule: { http: { paths: { backend: { service: { name: string } } }[] } }) =>
      rule.http.paths.map(({ backend }) => backend.service.name),
    );
  });
}
