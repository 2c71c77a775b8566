import Type, { type TObject, type TProperties, type TSchema } from 'typebox';
import { ConfigSchema } from '../../src/config.ts';
import { ProcessorConfigSchema, QueryConfigSchema } from '../../src/store-config.ts';

/**
 * The schema of the chart's values. A name that is not here is refused, so a typing error does not go unnoticed; what
 * goes to Kubernetes as it is, is left to Kubernetes. `config` of each program is made of the schema that it checks itself.
 */

const DECISIVE = new Set(['type', 'enum', 'minimum', 'maximum', 'minLength', 'maxLength', 'pattern']);

const closed = (properties: TProperties) =>
  Type.Object(
    Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, Type.Optional(schema)])),
    { additionalProperties: false },
  );
const orNull = (schema: TSchema) => Type.Union([schema, Type.Null()]);
const choice = (...values: string[]) => Type.Enum(values);

const text = Type.String();
const flag = Type.Boolean();
const count = Type.Integer({ minimum: 0 });
const port = Type.Integer({ minimum: 1, maximum: 65_535 });
const countOrPercentage = Type.Union([count, Type.String({ pattern: '^[0-9]+%$' })]);
/** Given to Kubernetes as they are. */
const anyObject = Type.Object({}, { additionalProperties: true });
const anyObjects = Type.Array(anyObject);
const texts = Type.Object({}, { additionalProperties: text });

const keyOfSecret = closed({ existingSecret: text, key: text });
const certificateOfSecret = { existingSecret: text, certKey: text, keyKey: text };
const probe = closed({
  initialDelaySeconds: count,
  periodSeconds: count,
  timeoutSeconds: count,
  failureThreshold: count,
  successThreshold: count,
});
const monitor = closed({
  enabled: flag,
  labels: texts,
  interval: text,
  scrapeTimeout: text,
  relabelings: anyObjects,
  metricRelabelings: anyObjects,
});
const peers = closed({ peers: anyObjects, ports: Type.Array(port) });

/** Every setting that is no secret, and where a file has the secret its path, for who mounts that file otherwise. */
function settings({ properties }: TObject, ports: readonly string[]): TSchema {
  const entries = Object.entries(properties).map(([name, schema]): [string, TSchema] =>
    'secret' in schema
      ? [`${name}_FILE`, Type.String({ minLength: 1 })]
      : [name, orNull(validationOf(schema))],
  );
  const schema = closed(Object.fromEntries(entries));
  return { ...schema, required: ports };
}

/** Only what decides whether a value is good: the rest would be told twice. */
function validationOf(schema: TSchema): TSchema {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => DECISIVE.has(name)));
}

const disruptionBudget = closed({
  enabled: flag,
  maxUnavailable: orNull(countOrPercentage),
  minAvailable: orNull(countOrPercentage),
});
/** For a HorizontalPodAutoscaler and for KEDA. */
const scale = { enabled: flag, minReplicas: count, maxReplicas: count };
const scaledByCpu = { ...scale, targetCPUUtilizationPercentage: orNull(count), behavior: anyObject };
const scaledByKeda = { ...scale, pollingInterval: count, cooldownPeriod: count, extraTriggers: anyObjects };
const service = closed({
  type: choice('ClusterIP', 'NodePort', 'LoadBalancer'),
  port,
  nodePort: orNull(port),
  loadBalancerSourceRanges: Type.Array(text),
  externalTrafficPolicy: choice('', 'Cluster', 'Local'),
  annotations: texts,
});
const kafkaSecrets = closed({
  password: keyOfSecret,
  oauthClientSecret: keyOfSecret,
  ca: keyOfSecret,
  clientCertificate: closed(certificateOfSecret),
});
/** What each program has of its own, the service included. */
const ofProgram = {
  replicaCount: count,
  terminationGracePeriodSeconds: orNull(count),
  deploymentAnnotations: texts,
  podAnnotations: texts,
  podLabels: texts,
  resources: anyObject,
  podDisruptionBudget: disruptionBudget,
  affinity: anyObject,
  extraEnv: anyObjects,
  extraVolumes: anyObjects,
  extraVolumeMounts: anyObjects,
  extraContainers: anyObjects,
  initContainers: anyObjects,
};
const postgresOfProgram = closed({ urlFrom: keyOfSecret, clientCertificate: closed(certificateOfSecret) });

const Values = closed({
  nameOverride: text,
  fullnameOverride: text,
  commonLabels: texts,
  image: closed({
    repository: Type.String({ minLength: 1 }),
    tag: text,
    digest: Type.String({ pattern: '^(sha256:[0-9a-f]{64})?$' }),
    pullPolicy: choice('Always', 'IfNotPresent', 'Never'),
  }),
  imagePullSecrets: Type.Array(closed({ name: text })),
  config: settings(ConfigSchema, ['PORT', 'MANAGEMENT_PORT']),
  auth: closed({ apiKeys: keyOfSecret }),
  tls: closed({ ...certificateOfSecret, clientCa: keyOfSecret }),
  kafka: kafkaSecrets,
  redis: closed({
    // Whoever writes a password here would have it in a ConfigMap.
    url: Type.String({ pattern: '^(rediss?://[^\\s,@]+(,rediss?://[^\\s,@]+)*)?$' }),
    urlFrom: keyOfSecret,
    password: keyOfSecret,
    ca: keyOfSecret,
    clientCertificate: closed(certificateOfSecret),
  }),
  postgres: closed({ ssl: flag, ca: keyOfSecret }),
  tracing: closed({ headers: keyOfSecret }),
  ...ofProgram,
  revisionHistoryLimit: count,
  minReadySeconds: count,
  updateStrategy: anyObject,
  serviceAccount: closed({ create: flag, name: text, annotations: texts }),
  podSecurityContext: anyObject,
  securityContext: anyObject,
  probes: closed({ startup: orNull(probe), liveness: orNull(probe), readiness: orNull(probe) }),
  topologySpreadConstraints: anyObjects,
  tolerations: anyObjects,
  nodeSelector: texts,
  priorityClassName: text,
  autoscaling: closed({ ...scaledByCpu, targetBufferBytes: orNull(count) }),
  keda: closed({
    ...scaledByKeda,
    targetCPUUtilizationPercentage: orNull(count),
    prometheus: closed({ serverAddress: text, query: text, threshold: text, authenticationRef: anyObject }),
  }),
  processor: closed({
    enabled: flag,
    config: settings(ProcessorConfigSchema, ['MANAGEMENT_PORT']),
    kafka: kafkaSecrets,
    postgres: postgresOfProgram,
    ...ofProgram,
    autoscaling: closed({ ...scaledByCpu, targetLagRecords: orNull(count) }),
    keda: closed({
      ...scaledByKeda,
      lagThreshold: Type.Integer({ minimum: 1 }),
      authenticationRef: anyObject,
    }),
  }),
  query: closed({
    enabled: flag,
    config: settings(QueryConfigSchema, ['PORT', 'MANAGEMENT_PORT']),
    postgres: postgresOfProgram,
    ...ofProgram,
    autoscaling: closed(scaledByCpu),
    service,
    route: closed({ enabled: flag, path: Type.String({ pattern: '^/' }) }),
  }),
  service,
  managementService: closed({ port, annotations: texts }),
  ingress: closed({
    enabled: flag,
    className: text,
    annotations: texts,
    hosts: Type.Array(
      closed({
        host: text,
        paths: Type.Array(
          closed({ path: text, pathType: choice('Prefix', 'Exact', 'ImplementationSpecific') }),
        ),
      }),
    ),
    tls: anyObjects,
  }),
  httpRoute: closed({
    enabled: flag,
    annotations: texts,
    parentRefs: anyObjects,
    hostnames: Type.Array(text),
    matches: anyObjects,
    filters: anyObjects,
  }),
  networkPolicy: closed({
    enabled: flag,
    ingress: closed({ api: anyObjects, management: anyObjects, extra: anyObjects }),
    egress: closed({
      enabled: flag,
      dns: peers,
      kafka: peers,
      redis: peers,
      postgres: peers,
      issuer: peers,
      otlp: peers,
      extra: anyObjects,
    }),
  }),
  monitoring: closed({
    serviceMonitor: monitor,
    podMonitor: monitor,
    prometheusRule: closed({ enabled: flag, labels: texts, runbookUrl: text }),
    dashboard: closed({ enabled: flag, labels: texts, annotations: texts }),
  }),
  extraObjects: anyObjects,
  // What a chart that this one is a part of says of it, and what Helm hands to all parts.
  enabled: flag,
  global: anyObject,
});

export function valuesSchemaJson(): string {
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', ...Values }, null, 2)}\n`;
}
