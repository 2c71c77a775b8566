import {
  containerOf,
  deploymentOf,
  environmentOf,
  PROGRAMS,
  type Program,
  programsIn,
} from './program-settings.ts';
import type { KubernetesObject } from './rendering.ts';
import { only } from './rendering.ts';

/** Whether the objects of one rendering fit together: what schemas of single objects cannot see. */

/** After the drain: clients of Kafka, Redis and PostgreSQL, and the spans. */
const CLOSE_MS = 5_000;
/** Each selects the pods of one program, and there is one of each for each program, where there is any. */
const SELECTING = ['Deployment', 'PodDisruptionBudget', 'PodMonitor', 'NetworkPolicy'];
/** The query API answers below this path. */
const QUERY_PATH = '/v1/sources';

type Labels = Readonly<Record<string, string>>;
type Hold = (isSo: boolean, problem: string) => void;

export function wiringProblems(objects: readonly KubernetesObject[]): readonly string[] {
  const problems: string[] = [];
  const hold: Hold = (isSo, problem) => {
    if (!isSo) problems.push(problem);
  };
  const programs = programsIn(objects);
  for (const program of programs)
    holdProgram(objects, program, (isSo, problem) => hold(isSo, `${program}: ${problem}`));
  holdSelectors(objects, programs, hold);
  holdServices(objects, programs, hold);
  holdRoutes(objects, hold);

  const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  hold(new Set(names).size === names.length, 'two objects have the same name');
  hold(!objects.some(({ kind }) => kind === 'Secret'), 'a Secret is rendered');
  hold(!/\/\/[^/\s"@]*:[^/\s"@]*@/.test(JSON.stringify(objects)), 'an address holds a password');
  return problems;
}

/** What one program is made of. */
function holdProgram(objects: readonly KubernetesObject[], program: Program, hold: Hold): void {
  const { entry, hasApi } = PROGRAMS[program];
  const deployment = deploymentOf(objects, program);
  const pod = deployment.spec.template;
  const container = containerOf(objects, program);
  const env = environmentOf(objects, program);

  hold(container.image === containerOf(objects).image, 'it has another image');
  const words = container.command as readonly string[] | undefined;
  hold(words?.at(-1) === entry && (words?.[0] ?? 'node') === 'node', 'it starts something else');

  const ports = new Map<string, number>(
    container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
  );
  hold(ports.size === (hasApi ? 2 : 1), 'it has other ports');
  hold(!hasApi || String(ports.get('api')) === env.PORT, 'the port of the API is another');
  hold(String(ports.get('management')) === env.MANAGEMENT_PORT, 'the management port is another');
  for (const [probe, path] of [
    ['startupProbe', '/livez'],
    ['livenessProbe', '/livez'],
    ['readinessProbe', '/readyz'],
  ] as const) {
    const { httpGet } = container[probe];
    hold(httpGet.port === 'management' && httpGet.path === path, `${probe} asks something else`);
  }

  const millisecondsOf = (name: string) => millisecondsIn(env, program, name);
  hold(
    pod.spec.terminationGracePeriodSeconds * 1000 >=
      millisecondsOf('SHUTDOWN_DELAY_MS') + millisecondsOf('SHUTDOWN_TIMEOUT_MS') + CLOSE_MS,
    'pods are killed while they drain or close',
  );
  const scalers = objects.filter(
    ({ kind, spec }) =>
      (kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject') &&
      spec.scaleTargetRef.name === deployment.metadata.name,
  );
  hold(scalers.length <= 1, 'two scale it');
  hold(
    (deployment.spec.replicas === undefined) === (scalers.length === 1),
    'two set the number of pods, or nobody',
  );
  for (const constraint of pod.spec.topologySpreadConstraints)
    hold(
      isSelected(pod.metadata.labels, constraint.labelSelector.matchLabels) &&
        constraint.labelSelector.matchLabels['app.kubernetes.io/component'] === program,
      'pods of others are counted where they are spread',
    );
  hold(/^[0-9a-f]{64}$/.test(pod.metadata.annotations?.['checksum/config']), 'there is no checksum');
  hold(pod.spec.enableServiceLinks === false, 'variables about Services come in');
  hold(container.resources.limits.cpu === undefined, 'the CPU is limited');
}

/** Who selects pods selects those of one program, and all programs are selected alike. */
function holdSelectors(objects: readonly KubernetesObject[], programs: readonly Program[], hold: Hold): void {
  const pods = new Map<string, Labels>(
    programs.map((program) => [program, deploymentOf(objects, program).spec.template.metadata.labels]),
  );
  pods.set('test', only(objects, 'Pod').metadata.labels ?? {});
  for (const object of objects.filter(({ kind }) => kind === 'Service' || SELECTING.includes(kind))) {
    const { kind, metadata, spec } = object;
    const selector: Labels =
      kind === 'Service' ? spec.selector : (spec.selector ?? spec.podSelector).matchLabels;
    const selected = [...pods].filter(([, labels]) => isSelected(labels, selector)).map(([name]) => name);
    const wanted = metadata.labels?.['app.kubernetes.io/component']?.replace(/-?management$/, '') || 'ingest';
    hold(selected.join() === wanted, `${kind} ${metadata.name} selects pods of: ${selected.join()}`);
  }
  for (const kind of SELECTING) {
    const count = objects.filter((object) => object.kind === kind).length;
    hold(count === 0 || count === programs.length, `there are ${count} of ${kind}`);
  }
}

/** Each Service leads to the port that it is for, and each ServiceMonitor to one Service. */
function holdServices(objects: readonly KubernetesObject[], programs: readonly Program[], hold: Hold): void {
  const services = objects.filter(({ kind }) => kind === 'Service');
  const scraped: string[] = [];
  const monitors = objects.filter(({ kind }) => kind === 'ServiceMonitor');
  for (const monitor of monitors) {
    const names = services
      .filter(({ metadata }) => isSelected(metadata.labels ?? {}, monitor.spec.selector.matchLabels))
      .map(({ metadata }) => metadata.name);
    hold(
      names.join() === `${monitor.metadata.name}-management`,
      `ServiceMonitor ${monitor.metadata.name} selects other Services than the one for management`,
    );
    scraped.push(...names);
  }
  hold(
    monitors.length === 0 || new Set(scraped).size === programs.length,
    'a program is not scraped, or twice',
  );
  for (const program of programs) {
    const { name } = deploymentOf(objects, program).metadata;
    const wanted = [...(PROGRAMS[program].hasApi ? [name] : []), `${name}-management`];
    for (const each of wanted)
      hold(
        services.some(({ metadata }) => metadata.name === each),
        `there is no Service ${each}`,
      );
  }
  for (const { metadata, spec } of services) {
    const isManagement = metadata.name.endsWith('-management');
    hold(
      spec.ports.every((port: { targetPort: string }) =>
        isManagement ? port.targetPort === 'management' : port.targetPort === 'api',
      ),
      `${metadata.name} leads to another port`,
    );
    hold(!isManagement || spec.type === 'ClusterIP', 'the management port is outside');
    hold(metadata.name.length <= 63, `${metadata.name} is too long`);
  }
}

/** What comes from outside reaches the service, and below its path the query API. */
function holdRoutes(objects: readonly KubernetesObject[], hold: Hold): void {
  const names = new Map(
    objects
      .filter(({ kind }) => kind === 'Deployment')
      .map(({ metadata }) => [metadata.name, metadata.labels?.['app.kubernetes.io/component']]),
  );
  for (const { path, service } of backendsOf(objects)) {
    const wanted = path === QUERY_PATH ? 'query' : 'ingest';
    hold(names.get(service) === wanted, `${path} leads to ${service}`);
  }
}

/** As the program reads it. What it does not read takes no time. */
function millisecondsIn(env: Labels, program: Program, name: string): number {
  const schema = (PROGRAMS[program].schema.properties as Record<string, object | undefined>)[name];
  if (schema === undefined) return 0;
  return Number(env[name] ?? ('default' in schema ? schema.default : undefined));
}

function isSelected(labels: Labels, selector: Labels): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value);
}

/** What an Ingress and an HTTPRoute lead where. */
function backendsOf(
  objects: readonly KubernetesObject[],
): readonly { readonly path: string; readonly service: string }[] {
  return objects.flatMap(({ kind, spec }) => {
    if (kind === 'HTTPRoute')
      return spec.rules.map(
        ({
          matches,
          backendRefs,
        }: {
          matches: { path: { value: string } }[];
          backendRefs: { name: string }[];
        }) => ({
          path: matches[0]?.path.value,
          service: backendRefs[0]?.name,
        }),
      );
    if (kind !== 'Ingress') return [];
    return spec.rules.flatMap(
      (rule: { http: { paths: { path: string; backend: { service: { name: string } } }[] } }) =>
        rule.http.paths.map(({ path, backend }) => ({ path, service: backend.service.name })),
    );
  });
}
