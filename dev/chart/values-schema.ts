import Type, { type TProperties, type TSchema } from 'typebox';
import { ConfigSchema } from '../../src/config.ts';

/**
 * The schema of the chart's values. A name that is not here is refused, so a typing error does not go unnoticed; what
 * goes to Kubernetes as it is, is left to Kubernetes. `config` is made of the schema that the service itself checks.
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
function settings(): TSchema {
  const entries = Object.entries(ConfigSchema.properties).map(([name, schema]): [string, TSchema] =>
    'secret' in schema
      ? [`${name}_FILE`, Type.String({ minLength: 1 })]
      : [name, orNull(validationOf(schema))],
  );
  const schema = closed(Object.fromEntries(entries));
  return { ...schema, required: ['PORT', 'MANAGEMENT_PORT'] };
}

/** Only what decides whether a value is good: the rest would be told twice. */
function validationOf(schema: TSchema): TSchema {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => DECISIVE.has(name)));
}

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
  config: settings(),
  auth: closed({ apiKeys: keyOfSecret }),
  tls: closed({ ...certificateOfSecret, clientCa: keyOfSecret }),
  kafka: closed({
    password: keyOfSecret,
    oauthClientSecret: keyOfSecret,
    ca: keyOfSecret,
    clientCertificate: closed(certificateOfSecret),
  }),
  redis: closed({
    // Whoever writes a password here would have it in a ConfigMap.
    url: Type.String({ pattern: '^(rediss?://[^\\s,@]+(,rediss?://[^\\s,@]+)*)?$' }),
    urlFrom: keyOfSecret,
    password: keyOfSecret,
    ca: keyOfSecret,
    clientCertificate: closed(certificateOfSecret),
  }),
  tracing: closed({ headers: keyOfSecret }),
  replicaCount: count,
  revisionHistoryLimit: count,
  minReadySeconds: count,
  updateStrategy: anyObject,
  terminationGracePeriodSeconds: orNull(count),
  deploymentAnnotations: texts,
  podAnnotations: texts,
  podLabels: texts,
  serviceAccount: closed({ create: flag, name: text, annotations: texts }),
  resources: anyObject,
  podSecurityContext: anyObject,
  securityContext: anyObject,
  probes: closed({ startup: orNull(probe), liveness: orNull(probe), readiness: orNull(probe) }),
  podDisruptionBudget: closed({
    enabled: flag,
    maxUnavailable: orNull(countOrPercentage),
    minAvailable: orNull(countOrPercentage),
  }),
  topologySpreadConstraints: anyObjects,
  affinity: anyObject,
  tolerations: anyObjects,
  nodeSelector: texts,
  priorityClassName: text,
  autoscaling: closed({
    enabled: flag,
    minReplicas: count,
    maxReplicas: count,
    targetCPUUtilizationPercentage: orNull(count),
    targetBufferBytes: orNull(count),
    behavior: anyObject,
  }),
  keda: closed({
    enabled: flag,
    minReplicas: count,
    maxReplicas: count,
    pollingInterval: count,
    cooldownPeriod: count,
    targetCPUUtilizationPercentage: orNull(count),
    prometheus: closed({ serverAddress: text, query: text, threshold: text, authenticationRef: anyObject }),
    extraTriggers: anyObjects,
  }),
  service: closed({
    type: choice('ClusterIP', 'NodePort', 'LoadBalancer'),
    port,
    nodePort: orNull(port),
    loadBalancerSourceRanges: Type.Array(text),
    externalTrafficPolicy: choice('', 'Cluster', 'Local'),
    annotations: texts,
  }),
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
  extraEnv: anyObjects,
  extraVolumes: anyObjects,
  extraVolumeMounts: anyObjects,
  extraContainers: anyObjects,
  initContainers: anyObjects,
  extraObjects: anyObjects,
  // What a chart that this one is a part of says of it, and what Helm hands to all parts.
  enabled: flag,
  global: anyObject,
});

export function valuesSchemaJson(): string {
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', ...Values }, null, 2)}\n`;
}
