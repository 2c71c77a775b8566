import Type, { type Static } from 'typebox';
import { readSettings } from './settings.ts';

/**
 * The settings of the service that takes events in, and what the other programs have of them. This schema is their one
 * description; `.env.example` and the table in README.md are generated from it (`npm run generate`).
 */

const MiB = 1024 * 1024;
const BUFFER_BYTES_PER_CONNECTION = 10 * 1024;
const BUFFER_BYTES_PER_TLS_CONNECTION = 100 * 1024;
/** So few connections are allowed with any buffer. */
const CONNECTIONS_FEW = 500;
/** Signatures that need no secret of ours. With one that does (HS256), whoever knows a public key could sign. */
const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
const JWT_ALGORITHM_LIST = `(${JWT_ALGORITHMS.join('|')})`;
/** Over TLS, or on this machine: what comes from there is trusted. */
const SAFE_URL_PATTERN = '^(https://|http://(localhost|127\\.0\\.0\\.1|\\[::1\\])[:/])[^\\s@]+$';
/** `name=value`, the value percent-encoded ASCII. */
const HEADER_PATTERN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+=([ !-$&-+--~]|%(09|[2-6][0-9A-Fa-f]|7[0-9A-Ea-e]))*";
const URL_PATTERN = '^https?://[^\\s@]+$';
const portRange = { minimum: 1, maximum: 65535 };
const durationMs = { minimum: 0, maximum: 600_000 };

export const ConfigSchema = Type.Object({
  HOST: Type.String({
    minLength: 1,
    default: '127.0.0.1',
    description: 'Address to listen on. 0.0.0.0 is every IPv4 interface; the image sets it.',
  }),
  PORT: Type.Integer({ ...portRange, default: 8080, description: 'Port of the API.' }),
  MANAGEMENT_PORT: Type.Optional(
    Type.Integer({
      ...portRange,
      examples: [9090],
      description:
        'Port of its own for /metrics, the details of /readyz, /docs and /openapi.json. Not set: they are public on PORT.',
    }),
  ),
  TLS_CERT_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/tls/tls.crt'],
      description:
        'Certificate (PEM, with those between it and its authority) to serve the API over HTTPS. Like the two below it is read again when it changes. MANAGEMENT_PORT stays HTTP.',
    }),
  ),
  TLS_KEY_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/tls/tls.key'],
      description: 'Key (PEM) of that certificate.',
    }),
  ),
  TLS_CLIENT_CA_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/tls/ca.crt'],
      description:
        'Authorities (PEM) of the clients: whoever shows no certificate of theirs is not served. Probes then need MANAGEMENT_PORT.',
    }),
  ),
  LOG_LEVEL: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
    default: 'info',
    description: 'Least severe level that is logged.',
  }),
  AUTH_MODE: Type.Enum(['none', 'api-key', 'jwt'], {
    description:
      'Who may send events. `none`: everyone who reaches the port. `api-key`: who has a key. `jwt`: who has a token of an issuer. There is no default, so that open is a decision.',
  }),
  AUTH_KEYS_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      requiredWith: { AUTH_MODE: ['api-key'] },
      examples: ['/etc/dual-stream/keys.json'],
      description:
        'With AUTH_MODE api-key: the file of keys, as `npm run keys` writes it. It is read again when it changes.',
    }),
  ),
  AUTH_JWT_ISSUER: Type.Optional(
    Type.String({
      minLength: 1,
      requiredWith: { AUTH_MODE: ['jwt'] },
      examples: ['https://issuer.example.com/'],
      description: 'With AUTH_MODE jwt: what `iss` has to be.',
    }),
  ),
  AUTH_JWT_AUDIENCE: Type.Optional(
    Type.String({
      minLength: 1,
      requiredWith: { AUTH_MODE: ['jwt'] },
      examples: ['dual-stream'],
      description: 'With AUTH_MODE jwt: what has to be in `aud`.',
    }),
  ),
  AUTH_JWT_JWKS_URL: Type.Optional(
    Type.String({
      pattern: SAFE_URL_PATTERN,
      requiredWith: { AUTH_MODE: ['jwt'] },
      examples: ['https://issuer.example.com/.well-known/jwks.json'],
      description:
        'With AUTH_MODE jwt: where the issuer publishes its keys (JSON Web Key Set). Without TLS on loopback only.',
    }),
  ),
  AUTH_JWT_ALGORITHMS: Type.String({
    pattern: `^${JWT_ALGORITHM_LIST}(,${JWT_ALGORITHM_LIST})*$`,
    default: 'RS256,PS256,ES256,EdDSA',
    examples: ['RS256,PS256,ES256,EdDSA'],
    description: 'With AUTH_MODE jwt: signatures that are taken, separated by commas.',
  }),
  AUTH_JWT_CLIENT_CLAIM: Type.String({
    minLength: 1,
    default: 'sub',
    description: 'With AUTH_MODE jwt: the claim that names the client.',
  }),
  AUTH_JWT_SCOPE_CLAIM: Type.String({
    minLength: 1,
    default: 'scope',
    description:
      'With AUTH_MODE jwt: the claim with the scopes, a text with spaces between them or an array.',
  }),
  RATE_LIMIT_REQUESTS_PER_SECOND: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      examples: [1_000],
      description:
        "Requests of one client, or with AUTH_MODE none of one address, on this instance: ten seconds' worth at once, beyond them the answer is 429. Not set: no limit.",
    }),
  ),
  RATE_LIMIT_BYTES_PER_SECOND: Type.Optional(
    Type.Integer({
      minimum: 1_024,
      maximum: 1_000_000_000,
      examples: [10_000_000],
      description: 'Bytes of bodies as they are sent, likewise.',
    }),
  ),
  KAFKA_BROKERS: Type.String({
    pattern: '^[^\\s,:]+:[0-9]{1,5}(,[^\\s,:]+:[0-9]{1,5})*$',
    examples: ['127.0.0.1:9092'],
    description: 'Brokers to begin with, host:port, separated by commas.',
  }),
  KAFKA_CLIENT_ID: Type.String({
    minLength: 1,
    maxLength: 255,
    default: 'dual-stream',
    description: "Name of this service in Kafka's logs, metrics and quotas.",
  }),
  KAFKA_TOPIC: Type.String({
    pattern: '^[A-Za-z0-9._-]{1,249}$',
    default: 'events',
    description: 'Topic that the events are written to.',
  }),
  KAFKA_TOPIC_CREATE: Type.Boolean({
    default: false,
    description: 'Create the topic at the start if it does not exist.',
  }),
  KAFKA_TOPIC_PARTITIONS: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 6,
    description: 'Partitions of a topic that is created here.',
  }),
  KAFKA_SSL: Type.Boolean({ default: false, description: 'Reach Kafka by TLS.' }),
  KAFKA_SSL_CA_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/kafka/ca.pem'],
      description:
        "With KAFKA_SSL: certificates (PEM) of the authorities that brokers are trusted by, instead of Node's own. Like the two below it is read again when it changes.",
    }),
  ),
  KAFKA_SSL_CERT_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/kafka/client.pem'],
      description: 'With KAFKA_SSL: the certificate (PEM) that this service shows.',
    }),
  ),
  KAFKA_SSL_KEY_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/kafka/client.key'],
      description: 'With KAFKA_SSL: the key (PEM) of that certificate.',
    }),
  ),
  KAFKA_SASL_MECHANISM: Type.Optional(
    Type.Enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'], {
      description: 'How this service proves to Kafka who it is.',
    }),
  ),
  KAFKA_SASL_USERNAME: Type.Optional(
    Type.String({
      minLength: 1,
      requiredWith: { KAFKA_SASL_MECHANISM: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] },
      examples: ['dual-stream'],
      description: 'With PLAIN or SCRAM: the user.',
    }),
  ),
  KAFKA_SASL_PASSWORD: Type.Optional(
    Type.String({
      minLength: 1,
      secret: true,
      requiredWith: { KAFKA_SASL_MECHANISM: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] },
      examples: ['…'],
      description: 'With PLAIN or SCRAM: the password.',
    }),
  ),
  KAFKA_SASL_OAUTH_TOKEN_URL: Type.Optional(
    Type.String({
      pattern: SAFE_URL_PATTERN,
      requiredWith: { KAFKA_SASL_MECHANISM: ['OAUTHBEARER'] },
      examples: ['https://issuer.example.com/oauth/token'],
      description:
        'With OAUTHBEARER: where tokens are given for client credentials (RFC 6749, 4.4). Without TLS on loopback only.',
    }),
  ),
  KAFKA_SASL_OAUTH_CLIENT_ID: Type.Optional(
    Type.String({
      minLength: 1,
      requiredWith: { KAFKA_SASL_MECHANISM: ['OAUTHBEARER'] },
      examples: ['dual-stream'],
      description: 'With OAUTHBEARER: the client.',
    }),
  ),
  KAFKA_SASL_OAUTH_CLIENT_SECRET: Type.Optional(
    Type.String({
      minLength: 1,
      secret: true,
      requiredWith: { KAFKA_SASL_MECHANISM: ['OAUTHBEARER'] },
      examples: ['…'],
      description: "With OAUTHBEARER: the client's secret.",
    }),
  ),
  KAFKA_SASL_OAUTH_SCOPE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['kafka'],
      description: 'With OAUTHBEARER: the scope that is asked for, if the issuer wants one.',
    }),
  ),
  KAFKA_COMPRESSION: Type.Enum(['none', 'gzip', 'zstd'], {
    default: 'none',
    description: 'Compression of record batches. Consumers on kafkajs need a codec for zstd.',
  }),
  REDIS_MODE: Type.Enum(['standalone', 'sentinel', 'cluster', 'off'], {
    default: 'standalone',
    description:
      'What REDIS_URL leads to: one Redis, the Sentinels that watch it, or nodes of a Cluster. `off`: there is none, and nobody is notified.',
  }),
  REDIS_URL: Type.Optional(
    Type.String({
      pattern: '^rediss?://[^\\s,]+(,rediss?://[^\\s,]+)*$',
      secret: true,
      requiredWith: { REDIS_MODE: ['standalone', 'sentinel', 'cluster'] },
      examples: ['redis://127.0.0.1:6379'],
      description:
        'Redis that is told of stored events, with user and password if it needs them. Sentinels and Cluster nodes: several, separated by commas.',
    }),
  ),
  REDIS_SENTINEL_MASTER: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['mymaster'],
      requiredWith: { REDIS_MODE: ['sentinel'] },
      description: 'With REDIS_MODE sentinel: the name of the master that the Sentinels watch.',
    }),
  ),
  REDIS_USERNAME: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['dual-stream'],
      description:
        "With REDIS_MODE sentinel: the master's user; the user of REDIS_URL is the Sentinels' own.",
    }),
  ),
  REDIS_PASSWORD: Type.Optional(
    Type.String({
      minLength: 1,
      secret: true,
      examples: ['…'],
      description: "With REDIS_MODE sentinel: the master's password.",
    }),
  ),
  REDIS_SHARDED_PUBSUB: Type.Boolean({
    default: false,
    description:
      'With REDIS_MODE cluster: SPUBLISH, which only the nodes of a slot carry. Subscribers must use SSUBSCRIBE then.',
  }),
  REDIS_AGGREGATE_CHANNELS: Type.Boolean({
    default: false,
    description: 'Notify `events:{source_type}` as well, for those who follow many sources.',
  }),
  REDIS_TLS_CA_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/redis/ca.pem'],
      description:
        "With rediss:// addresses: certificates (PEM) of the authorities that Redis is trusted by, instead of Node's own. Like the two below it is read again when it changes.",
    }),
  ),
  REDIS_TLS_CERT_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/redis/client.pem'],
      description: 'With rediss:// addresses: the certificate (PEM) that this service shows.',
    }),
  ),
  REDIS_TLS_KEY_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/redis/client.key'],
      description: 'With rediss:// addresses: the key (PEM) of that certificate.',
    }),
  ),
  BUFFER_MAX_BYTES: Type.Integer({
    minimum: MiB,
    maximum: 64 * 1024 * MiB,
    default: 64 * MiB,
    description:
      'Bytes that requests may hold in memory, received, queued and in flight. If not set, at most a sixth of the memory limit.',
  }),
  BUFFER_MAX_EVENTS: Type.Integer({
    minimum: 1,
    maximum: 10_000_000,
    default: 100_000,
    description: 'Events that may be queued and in flight.',
  }),
  CONNECTIONS_MAX: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 6_000,
    description:
      'Connections that may be open on PORT; beyond them the answer is 503, or with TLS they are closed. If not set, at most one for each 10 KiB of BUFFER_MAX_BYTES, with TLS for each 100 KiB. MANAGEMENT_PORT keeps probes apart from them.',
  }),
  PUBLISH_TIMEOUT_MS: Type.Integer({
    minimum: 100,
    maximum: 600_000,
    default: 15_000,
    description: 'From the complete body to the answer, at most. `Prefer: wait=N` shortens it.',
  }),
  EVENT_MAX_BYTES: Type.Integer({
    minimum: 256,
    maximum: 100 * MiB,
    default: 900_000,
    description:
      "One event, as it is stored. Lowered at the start if the topic's max.message.bytes allows less.",
  }),
  BATCH_MAX_EVENTS: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 10_000,
    description: 'Events in one batch.',
  }),
  BODY_MAX_BYTES: Type.Integer({
    minimum: 256,
    maximum: 1024 * MiB,
    default: 10 * MiB,
    description: 'One request body, decoded. If not set, at most a quarter of BUFFER_MAX_BYTES.',
  }),
  SHUTDOWN_DELAY_MS: Type.Integer({
    ...durationMs,
    default: 0,
    description: 'How long to serve on after SIGTERM with readyz 503, until load balancers have noticed.',
  }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    ...durationMs,
    default: 20_000,
    description:
      'How long to settle what was accepted, after that delay. More than PUBLISH_TIMEOUT_MS + 2000.',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: URL_PATTERN,
      examples: ['http://127.0.0.1:4318'],
      description:
        'OpenTelemetry collector (OTLP over HTTP, protobuf) that spans are sent to. Not set: there are none, and traces are only passed on.',
    }),
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Type.Optional(
    Type.String({
      pattern: URL_PATTERN,
      examples: ['http://127.0.0.1:4318/v1/traces'],
      description: 'The same as a whole address, where it is not the endpoint with /v1/traces behind it.',
    }),
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: Type.Enum(['http/protobuf'], {
    default: 'http/protobuf',
    description: 'How spans are sent.',
  }),
  OTEL_EXPORTER_OTLP_HEADERS: Type.Optional(
    Type.String({
      pattern: `^${HEADER_PATTERN}(,\\s*${HEADER_PATTERN})*$`,
      secret: true,
      examples: ['authorization=Bearer%20…'],
      description: 'Headers for the collector, name=value, percent-encoded, separated by commas.',
    }),
  ),
  OTEL_TRACES_EXPORTER: Type.Enum(['otlp', 'none'], {
    default: 'otlp',
    description: '`none`: no spans, whatever the endpoint.',
  }),
  OTEL_SDK_DISABLED: Type.Boolean({ default: false, description: '`true`: the same.' }),
  OTEL_SERVICE_NAME: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['dual-stream'],
      description:
        'Name of this service in its spans. Not set: `service.name` in OTEL_RESOURCE_ATTRIBUTES, or dual-stream.',
    }),
  ),
  OTEL_TRACES_SAMPLER: Type.Enum(
    [
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ],
    {
      default: 'parentbased_always_on',
      description:
        'Which requests have spans. With `parentbased_…` a client decides who sends a `traceparent`; without, this service does.',
    },
  ),
  OTEL_TRACES_SAMPLER_ARG: Type.Number({
    minimum: 0,
    maximum: 1,
    default: 1,
    description: 'With a sampler of `traceidratio`: the part of the traces that is kept.',
  }),
  OTEL_BSP_SCHEDULE_DELAY: Type.Integer({
    minimum: 10,
    maximum: 60_000,
    default: 5_000,
    description: 'Spans are sent when 512 are there, or after so many milliseconds.',
  }),
});

export type Config = Static<typeof ConfigSchema>;

/**
 * Reads the settings. `NAME_FILE` names a file that holds the value of a secret setting `NAME`.
 * @throws ConfigError with every problem, relations between settings included. Values are not repeated in it.
 */
export function readConfig(env: NodeJS.ProcessEnv, memoryLimitBytes = process.constrainedMemory()): Config {
  return readSettings(ConfigSchema, env, (config) => {
    fitToMemory(config, env, memoryLimitBytes);
    return relationProblems(config);
  });
}

/** Whether spans are made. */
export function isTracing(config: Config): boolean {
  const endpoint = config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? config.OTEL_EXPORTER_OTLP_ENDPOINT;
  return endpoint !== undefined && config.OTEL_TRACES_EXPORTER === 'otlp' && !config.OTEL_SDK_DISABLED;
}

/** The brokers of KAFKA_BROKERS. */
export function brokerAddresses(brokers: string): { host: string; port: number }[] {
  return brokers.split(',').map((broker) => {
    const [host = '', port] = broker.split(':');
    return { host, port: Number(port) };
  });
}

/** What was not set shrinks with the memory there is, so that a small container boots and keeps its promises. */
function fitToMemory(config: Config, env: NodeJS.ProcessEnv, memoryLimitBytes: number): void {
  if (!env.BUFFER_MAX_BYTES && memoryLimitBytes > 0) {
    const sixth = Math.max(MiB, Math.floor(memoryLimitBytes / 6));
    config.BUFFER_MAX_BYTES = Math.min(config.BUFFER_MAX_BYTES, sixth);
  }
  fitConnections(config, env);
  if (!env.BODY_MAX_BYTES) {
    config.BODY_MAX_BYTES = Math.min(config.BODY_MAX_BYTES, bodyBytesAllowed(config.BUFFER_MAX_BYTES));
  }
}

/** Arriving bodies may hold a quarter of the buffer, and the objects around a request count too. */
function bodyBytesAllowed(bufferBytesMax: number): number {
  return Math.floor(bufferBytesMax / 4) - 64 * 1024;
}

/** How the number of open connections is related to the memory there is, for every program with an API. */
interface ConnectionSettings {
  readonly BUFFER_MAX_BYTES: number;
  readonly TLS_CERT_FILE?: string;
  CONNECTIONS_MAX: number;
}

/**
 * An open connection keeps about 9 KB resident, or with TLS 67 KB and, after a large body, 135 KB. They are not counted
 * in the buffer, but share the memory that promise P3 allows beside it: two bytes for each of its bytes and 48 MB.
 */
function connectionsAllowed({ BUFFER_MAX_BYTES, TLS_CERT_FILE }: ConnectionSettings): number {
  const bytesEach =
    TLS_CERT_FILE === undefined ? BUFFER_BYTES_PER_CONNECTION : BUFFER_BYTES_PER_TLS_CONNECTION;
  return Math.max(CONNECTIONS_FEW, Math.floor(BUFFER_MAX_BYTES / bytesEach));
}

/** What was not set is no more than is allowed. */
export function fitConnections(config: ConnectionSettings, env: NodeJS.ProcessEnv): void {
  if (!env.CONNECTIONS_MAX)
    config.CONNECTIONS_MAX = Math.min(config.CONNECTIONS_MAX, connectionsAllowed(config));
}

export function connectionProblems(config: ConnectionSettings): string[] {
  if (config.CONNECTIONS_MAX <= connectionsAllowed(config)) return [];
  return [
    'CONNECTIONS_MAX must not be more than one for each 10 KiB of BUFFER_MAX_BYTES, with TLS for each 100 KiB (500 are always allowed), or memory passes its bound',
  ];
}

function relationProblems(config: Config): string[] {
  const problems: string[] = [];
  if (config.SHUTDOWN_TIMEOUT_MS <= config.PUBLISH_TIMEOUT_MS + 2_000) {
    problems.push(
      'SHUTDOWN_TIMEOUT_MS must be more than PUBLISH_TIMEOUT_MS + 2000, or accepted events are cut off',
    );
  }
  if (config.EVENT_MAX_BYTES > config.BODY_MAX_BYTES) {
    problems.push('EVENT_MAX_BYTES must not be more than BODY_MAX_BYTES');
  }
  if (config.BODY_MAX_BYTES > bodyBytesAllowed(config.BUFFER_MAX_BYTES)) {
    problems.push(
      'BODY_MAX_BYTES must not be more than a quarter of BUFFER_MAX_BYTES, less 64 KiB: that is all that arriving bodies may hold',
    );
  }
  problems.push(...connectionProblems(config));
  if (config.REDIS_MODE === 'standalone' && config.REDIS_URL?.includes(',')) {
    problems.push('REDIS_URL must be one address, unless REDIS_MODE is sentinel or cluster');
  }
  if (config.REDIS_SHARDED_PUBSUB && config.REDIS_MODE !== 'cluster') {
    problems.push('REDIS_SHARDED_PUBSUB needs REDIS_MODE cluster');
  }
  for (const name of [
    'AUTH_JWT_JWKS_URL',
    'KAFKA_SASL_OAUTH_TOKEN_URL',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  ] as const) {
    const url = config[name];
    if (url !== undefined && !URL.canParse(url)) problems.push(`${name} is no URL`);
  }
  const schemes = new Set(config.REDIS_URL?.split(',').map((url) => url.slice(0, url.indexOf(':'))));
  if (schemes.size > 1) problems.push('REDIS_URL must be rediss:// for all addresses, or for none');
  if ((config.REDIS_TLS_CA_FILE ?? config.REDIS_TLS_CERT_FILE) !== undefined && !schemes.has('rediss'))
    problems.push('REDIS_TLS_CA_FILE and REDIS_TLS_CERT_FILE need rediss:// in REDIS_URL');
  for (const part of ['TLS', 'KAFKA_SSL', 'REDIS_TLS'] as const) {
    if ((config[`${part}_CERT_FILE`] === undefined) !== (config[`${part}_KEY_FILE`] === undefined))
      problems.push(`${part}_CERT_FILE and ${part}_KEY_FILE must be set together`);
  }
  if (config.TLS_CLIENT_CA_FILE !== undefined && config.TLS_CERT_FILE === undefined)
    problems.push('TLS_CLIENT_CA_FILE needs TLS_CERT_FILE and TLS_KEY_FILE');
  if (!config.KAFKA_SSL && (config.KAFKA_SSL_CA_FILE ?? config.KAFKA_SSL_CERT_FILE) !== undefined)
    problems.push('KAFKA_SSL_CA_FILE and KAFKA_SSL_CERT_FILE need KAFKA_SSL');
  if (config.MANAGEMENT_PORT === config.PORT) problems.push('MANAGEMENT_PORT must differ from PORT');
  return problems;
}
