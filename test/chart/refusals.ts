import { valuesOf } from './rendering.ts';

/** Values that must not be rendered, and a part of the message that says why. */

export interface Refusal {
  readonly what: string;
  readonly values: readonly string[];
  readonly message: RegExp;
}

const set = (...assignments: readonly string[]) => assignments.flatMap((each) => ['--set', each]);
/** The smallest good values, and one thing wrong. */
const minimalBut = (...assignments: readonly string[]) => [...valuesOf('minimal'), ...set(...assignments)];
const oauth = 'config.KAFKA_SASL_MECHANISM=OAUTHBEARER';
const digest = 'image.digest=sha256:0';

export const REFUSALS: readonly Refusal[] = [
  { what: 'nothing at all', values: [], message: /config\.AUTH_MODE is required: none .*api-key or jwt/ },
  {
    what: 'no AUTH_MODE',
    values: minimalBut('config.AUTH_MODE=null'),
    message: /config\.AUTH_MODE is required/,
  },
  {
    what: 'no brokers',
    values: minimalBut('config.KAFKA_BROKERS=null'),
    message: /config\.KAFKA_BROKERS is required/,
  },
  { what: 'a mode that is none', values: minimalBut('config.AUTH_MODE=open'), message: /AUTH_MODE/ },
  {
    what: 'brokers without a port',
    values: minimalBut('config.KAFKA_BROKERS=kafka'),
    message: /KAFKA_BROKERS/,
  },
  { what: 'a typing error', values: minimalBut('replicaCuont=3'), message: /replicaCuont.* not allowed/ },
  { what: 'a typing error inside', values: minimalBut('image.tga=1'), message: /tga.* not allowed/ },
  {
    what: 'a typing error in config',
    values: minimalBut('config.KAFKA_TOPICS=events'),
    message: /KAFKA_TOPICS.* not allowed/,
  },
  {
    what: 'a number out of range',
    values: minimalBut('config.BUFFER_MAX_BYTES=1'),
    message: /BUFFER_MAX_BYTES/,
  },
  {
    what: 'a password as a value',
    values: minimalBut('config.KAFKA_SASL_PASSWORD=hunter2'),
    message: /KAFKA_SASL_PASSWORD.* not allowed/,
  },
  {
    what: 'a password in the address of Redis',
    values: minimalBut('redis.url=redis://user:hunter2@redis:6379'),
    message: /redis\/url/,
  },
  {
    what: 'no management port',
    values: minimalBut('config.MANAGEMENT_PORT=null'),
    message: /MANAGEMENT_PORT/,
  },
  {
    what: 'a grace period without time to close',
    values: minimalBut('terminationGracePeriodSeconds=29'),
    message: /terminationGracePeriodSeconds is 29, but .* 25000 ms.* at least 30/,
  },
  {
    what: 'a grace period shorter than a longer drain',
    values: minimalBut('terminationGracePeriodSeconds=45', 'config.SHUTDOWN_TIMEOUT_MS=60000'),
    message: /terminationGracePeriodSeconds is 45, but .* 65000 ms/,
  },
  {
    what: 'API keys without a file of them',
    values: minimalBut('config.AUTH_MODE=api-key'),
    message: /auth\.apiKeys\.existingSecret is required/,
  },
  {
    what: 'two files of API keys',
    values: [...valuesOf('api-key'), ...set('config.AUTH_KEYS_FILE=/keys.json')],
    message: /config\.AUTH_KEYS_FILE is set, and so is the Secret/,
  },
  {
    what: 'tokens without an issuer',
    values: minimalBut('config.AUTH_MODE=jwt'),
    message: /config\.AUTH_JWT_ISSUER is required/,
  },
  {
    what: 'a user without a password',
    values: minimalBut('config.KAFKA_SASL_MECHANISM=PLAIN', 'config.KAFKA_SASL_USERNAME=me'),
    message: /kafka\.password\.existingSecret is required/,
  },
  {
    what: 'a client without its secret',
    values: minimalBut(
      oauth,
      'config.KAFKA_SASL_OAUTH_TOKEN_URL=https://issuer.example.com/token',
      'config.KAFKA_SASL_OAUTH_CLIENT_ID=me',
    ),
    message: /kafka\.oauthClientSecret\.existingSecret is required/,
  },
  ...(
    [
      ['OAUTHBEARER without an issuer', /KAFKA_SASL_OAUTH_TOKEN_URL is required/, [oauth]],
      [
        'OAUTHBEARER without a client',
        /KAFKA_SASL_OAUTH_CLIENT_ID is required/,
        [oauth, 'config.KAFKA_SASL_OAUTH_TOKEN_URL=https://issuer.example.com/token'],
      ],
      [
        'a password without a user',
        /KAFKA_SASL_USERNAME is required/,
        ['config.KAFKA_SASL_MECHANISM=SCRAM-SHA-256', 'kafka.password.existingSecret=kafka'],
      ],
      ['authorities of Kafka without TLS', /need config\.KAFKA_SSL/, ['kafka.ca.existingSecret=ca']],
      [
        'a certificate for Kafka without TLS',
        /need config\.KAFKA_SSL/,
        ['kafka.clientCertificate.existingSecret=me', 'config.KAFKA_SSL=false'],
      ],
      [
        'clients with certificates without HTTPS',
        /needs tls\.existingSecret/,
        ['tls.clientCa.existingSecret=ca'],
      ],
      ['a certificate without its key', /must be set together/, ['config.TLS_CERT_FILE=/tls.crt']],
      ['Sentinels without a master', /REDIS_SENTINEL_MASTER is required/, ['config.REDIS_MODE=sentinel']],
      ['authorities of Redis without TLS', /need rediss/, ['redis.ca.existingSecret=ca']],
      ['a certificate for Redis without TLS', /need rediss/, ['redis.clientCertificate.existingSecret=me']],
      [
        'half of Redis by TLS',
        /for all addresses/,
        ['redis.url=redis://a:1\\,rediss://b:1', 'config.REDIS_MODE=cluster'],
      ],
      ['several addresses of one Redis', /several addresses/, ['redis.url=redis://a:1\\,redis://b:1']],
      [
        'sharded channels without a Cluster',
        /needs config\.REDIS_MODE/,
        ['config.REDIS_SHARDED_PUBSUB=true'],
      ],
      ['a drain shorter than an answer', /must be more than/, ['config.SHUTDOWN_TIMEOUT_MS=17000']],
      ['an answer longer than the drain', /must be more than/, ['config.PUBLISH_TIMEOUT_MS=18000']],
      ['an event larger than a body', /EVENT_MAX_BYTES/, ['config.BODY_MAX_BYTES=800000']],
      ['a body larger than the buffer takes', /less 64 KiB/, ['config.BODY_MAX_BYTES=16777216']],
      ['more connections than memory', /CONNECTIONS_MAX/, ['config.CONNECTIONS_MAX=6554']],
      ['one port for both', /must differ/, ['config.MANAGEMENT_PORT=8080']],
      [
        'a secret twice',
        /are both set/,
        ['config.REDIS_PASSWORD_FILE=/password', 'extraEnv[0].name=REDIS_PASSWORD', 'extraEnv[0].value=x'],
      ],
      [
        'a drain that only the cluster knows',
        /must stand in config/,
        ['extraEnv[0].name=SHUTDOWN_DELAY_MS', 'extraEnv[0].valueFrom.configMapKeyRef.name=x'],
      ],
      [
        'nothing to scale by',
        /nothing to scale by/,
        ['autoscaling.enabled=true', 'autoscaling.targetCPUUtilizationPercentage=null'],
      ],
      [
        'a budget of nothing',
        /podDisruptionBudget\.maxUnavailable or/,
        ['podDisruptionBudget.maxUnavailable=null'],
      ],
    ] as const
  ).map(([what, message, assignments]) => ({ what, message, values: minimalBut(...assignments) })),
  { what: 'no Redis', values: minimalBut('redis.url='), message: /redis\.url or redis\.urlFrom/ },
  {
    what: 'two addresses of Redis',
    values: minimalBut('redis.urlFrom.existingSecret=redis'),
    message: /exclude each other/,
  },
  {
    what: 'two that scale',
    values: [...valuesOf('keda'), ...set('autoscaling.enabled=true')],
    message: /autoscaling\.enabled and keda\.enabled exclude each other/,
  },
  {
    what: 'KEDA without Prometheus',
    values: minimalBut('keda.enabled=true'),
    message: /keda\.prometheus\.serverAddress is required/,
  },
  {
    what: 'two that scrape',
    values: [...valuesOf('everything'), ...set('monitoring.podMonitor.enabled=true')],
    message: /exclude each other/,
  },
  {
    what: 'a route without a gateway',
    values: minimalBut('httpRoute.enabled=true'),
    message: /httpRoute\.parentRefs is required/,
  },
  { what: 'half a digest', values: minimalBut(digest), message: /image\/digest/ },
];
