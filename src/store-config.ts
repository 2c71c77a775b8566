import Type, { type Static, type TObject } from 'typebox';
import { ConfigSchema, connectionProblems, fitConnections } from './config.ts';
import { readSettings } from './settings.ts';

/**
 * The settings of the programs around the event store: the event processor, which fills it, and the query API, which
 * reads it. What they share with the service is described in config.ts.
 */

const portRange = { minimum: 1, maximum: 65535 };
const MiB = 1024 * 1024;
const service = ConfigSchema.properties;

const storeSettings = {
  POSTGRES_URL: Type.String({
    pattern: '^postgres(ql)?://[^\\s?#@/]+@[^\\s?#@/]+/[^\\s?#@/]+$',
    secret: true,
    examples: ['postgres://dual_stream:…@127.0.0.1:5432/dual_stream'],
    description: 'The PostgreSQL (14 or later) that keeps the events, with user, password and database.',
  }),
  POSTGRES_SSL: Type.Boolean({
    default: false,
    description: 'Reach PostgreSQL by TLS, and check its certificate and name.',
  }),
  POSTGRES_SSL_CA_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/postgres/ca.pem'],
      description:
        "With POSTGRES_SSL: certificates (PEM) of the authorities that PostgreSQL is trusted by, instead of Node's own. Like the two below it is read again when it changes.",
    }),
  ),
  POSTGRES_SSL_CERT_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/postgres/client.pem'],
      description: 'With POSTGRES_SSL: the certificate (PEM) that this program shows.',
    }),
  ),
  POSTGRES_SSL_KEY_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      examples: ['/etc/dual-stream/postgres/client.key'],
      description: 'With POSTGRES_SSL: the key (PEM) of that certificate.',
    }),
  ),
};

export const ProcessorConfigSchema = Type.Object({
  HOST: service.HOST,
  MANAGEMENT_PORT: Type.Integer({
    ...portRange,
    default: 9091,
    description: 'The only port of this program: probes and /metrics.',
  }),
  LOG_LEVEL: service.LOG_LEVEL,
  KAFKA_BROKERS: service.KAFKA_BROKERS,
  KAFKA_CLIENT_ID: service.KAFKA_CLIENT_ID,
  KAFKA_TOPIC: Type.String({
    pattern: '^[A-Za-z0-9._-]{1,249}$',
    default: 'events',
    description: 'Topic that the events are read from.',
  }),
  KAFKA_TOPIC_CREATE: Type.Boolean({
    default: false,
    description: 'Create the topic for dead letters at the start if it does not exist.',
  }),
  KAFKA_GROUP_ID: Type.String({
    minLength: 1,
    maxLength: 255,
    default: 'dual-stream-processor',
    description: 'Consumer group of the processors that share the partitions.',
  }),
  KAFKA_DEAD_LETTER_TOPIC: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9._-]{1,249}$',
      examples: ['events.dead-letters'],
      description:
        'Topic for records that are no events. Not set: KAFKA_TOPIC with `.dead-letters` behind it.',
    }),
  ),
  KAFKA_SESSION_TIMEOUT_MS: Type.Integer({
    minimum: 3_000,
    maximum: 600_000,
    default: 10_000,
    description:
      "How long a processor may be silent before others get its partitions, within the broker's group.min.session.timeout.ms and its max.",
  }),
  KAFKA_SSL: service.KAFKA_SSL,
  KAFKA_SSL_CA_FILE: service.KAFKA_SSL_CA_FILE,
  KAFKA_SSL_CERT_FILE: service.KAFKA_SSL_CERT_FILE,
  KAFKA_SSL_KEY_FILE: service.KAFKA_SSL_KEY_FILE,
  KAFKA_SASL_MECHANISM: service.KAFKA_SASL_MECHANISM,
  KAFKA_SASL_USERNAME: service.KAFKA_SASL_USERNAME,
  KAFKA_SASL_PASSWORD: service.KAFKA_SASL_PASSWORD,
  KAFKA_SASL_OAUTH_TOKEN_URL: service.KAFKA_SASL_OAUTH_TOKEN_URL,
  KAFKA_SASL_OAUTH_CLIENT_ID: service.KAFKA_SASL_OAUTH_CLIENT_ID,
  KAFKA_SASL_OAUTH_CLIENT_SECRET: service.KAFKA_SASL_OAUTH_CLIENT_SECRET,
  KAFKA_SASL_OAUTH_SCOPE: service.KAFKA_SASL_OAUTH_SCOPE,
  ...storeSettings,
  STORE_RETENTION_HOURS: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    default: 168,
    description:
      'Events are removed from the store when the time that Kafka gave their record is so long ago. 0: never.',
  }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 20_000,
    description: 'How long to finish what is being stored after SIGTERM.',
  }),
});
export type ProcessorConfig = Static<typeof ProcessorConfigSchema>;

export const QueryConfigSchema = Type.Object({
  HOST: service.HOST,
  PORT: Type.Integer({ ...portRange, default: 8081, description: 'Port of the query API.' }),
  MANAGEMENT_PORT: Type.Optional(
    Type.Integer({
      ...portRange,
      examples: [9092],
      description:
        'Port of its own for /metrics, the details of /readyz, /docs and /openapi.json. Not set: they are public on PORT.',
    }),
  ),
  TLS_CERT_FILE: service.TLS_CERT_FILE,
  TLS_KEY_FILE: service.TLS_KEY_FILE,
  TLS_CLIENT_CA_FILE: service.TLS_CLIENT_CA_FILE,
  LOG_LEVEL: service.LOG_LEVEL,
  AUTH_MODE: Type.Enum(['none', 'api-key', 'jwt'], {
    description:
      'Who may read events. `none`: everyone who reaches the port. `api-key`: who has a key. `jwt`: who has a token of an issuer. There is no default, so that open is a decision.',
  }),
  AUTH_KEYS_FILE: service.AUTH_KEYS_FILE,
  AUTH_JWT_ISSUER: service.AUTH_JWT_ISSUER,
  AUTH_JWT_AUDIENCE: service.AUTH_JWT_AUDIENCE,
  AUTH_JWT_JWKS_URL: service.AUTH_JWT_JWKS_URL,
  AUTH_JWT_ALGORITHMS: service.AUTH_JWT_ALGORITHMS,
  AUTH_JWT_CLIENT_CLAIM: service.AUTH_JWT_CLIENT_CLAIM,
  AUTH_JWT_SCOPE_CLAIM: service.AUTH_JWT_SCOPE_CLAIM,
  RATE_LIMIT_REQUESTS_PER_SECOND: service.RATE_LIMIT_REQUESTS_PER_SECOND,
  ...storeSettings,
  POSTGRES_CONNECTIONS_MAX: Type.Integer({
    minimum: 2,
    maximum: 1_000,
    default: 10,
    description: 'Connections to PostgreSQL. Each answers one request at a time.',
  }),
  BUFFER_MAX_BYTES: Type.Integer({
    minimum: 8 * MiB,
    maximum: 64 * 1024 * MiB,
    default: 64 * MiB,
    description: 'Bytes that requests and answers that have not left may hold in memory.',
  }),
  CONNECTIONS_MAX: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 6_000,
    description:
      'Connections that may be open on PORT; beyond them the answer is 503, or with TLS they are closed. If not set, at most one for each 10 KiB of BUFFER_MAX_BYTES, with TLS for each 100 KiB.',
  }),
  SHUTDOWN_DELAY_MS: service.SHUTDOWN_DELAY_MS,
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 10_000,
    description: 'How long to answer what has come in, after that delay.',
  }),
});
export type QueryConfig = Static<typeof QueryConfigSchema>;

/** @throws ConfigError with every problem, relations between settings included. */
export function readProcessorConfig(env: NodeJS.ProcessEnv): ProcessorConfig {
  return readSettings(ProcessorConfigSchema, env, (config) => [
    ...pairProblems(config, 'KAFKA_SSL'),
    ...pairProblems(config, 'POSTGRES_SSL'),
    ...urlProblems(config, 'KAFKA_SASL_OAUTH_TOKEN_URL'),
    ...urlProblems(config, 'POSTGRES_URL'),
    ...(config.KAFKA_DEAD_LETTER_TOPIC === config.KAFKA_TOPIC
      ? ['KAFKA_DEAD_LETTER_TOPIC must differ from KAFKA_TOPIC']
      : []),
  ]);
}

/** @throws ConfigError with every problem, relations between settings included. */
export function readQueryConfig(env: NodeJS.ProcessEnv): QueryConfig {
  return readSettings(QueryConfigSchema, env, (config) => {
    fitConnections(config, env);
    return queryProblems(config);
  });
}

function queryProblems(config: QueryConfig): string[] {
  return [
    ...pairProblems(config, 'POSTGRES_SSL'),
    ...urlProblems(config, 'AUTH_JWT_JWKS_URL'),
    ...urlProblems(config, 'POSTGRES_URL'),
    ...connectionProblems(config),
    ...((config.TLS_CERT_FILE === undefined) !== (config.TLS_KEY_FILE === undefined)
      ? ['TLS_CERT_FILE and TLS_KEY_FILE must be set together']
      : []),
    ...(config.TLS_CLIENT_CA_FILE !== undefined && config.TLS_CERT_FILE === undefined
      ? ['TLS_CLIENT_CA_FILE needs TLS_CERT_FILE and TLS_KEY_FILE']
      : []),
    ...(config.MANAGEMENT_PORT === config.PORT ? ['MANAGEMENT_PORT must differ from PORT'] : []),
  ];
}

/** Schemas of all programs: what is in an environment that they share is known to each. */
export const ALL_SCHEMAS: readonly TObject[] = [ConfigSchema, ProcessorConfigSchema, QueryConfigSchema];

/** What is wrong with the files of one TLS connection. */
function pairProblems(
  config: Readonly<Record<string, unknown>>,
  setting: 'KAFKA_SSL' | 'POSTGRES_SSL',
): string[] {
  const [ca, cert, key] = ['CA', 'CERT', 'KEY'].map((part) => config[`${setting}_${part}_FILE`]);
  const problems: string[] = [];
  if ((cert === undefined) !== (key === undefined))
    problems.push(`${setting}_CERT_FILE and ${setting}_KEY_FILE must be set together`);
  if (!config[setting] && (ca ?? cert) !== undefined)
    problems.push(`${setting}_CA_FILE and ${setting}_CERT_FILE need ${setting}`);
  return problems;
}

function urlProblems(config: Readonly<Record<string, unknown>>, name: string): string[] {
  const url = config[name];
  return typeof url === 'string' && !URL.canParse(url) ? [`${name} is no URL`] : [];
}
