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
  ...(
    [
      [
        'a processor without PostgreSQL',
        /processor\.postgres\.urlFrom\.existingSecret is required/,
        ['processor.postgres.urlFrom.existingSecret='],
      ],
      [
        'a query API without PostgreSQL',
        /query\.postgres\.urlFrom\.existingSecret is required/,
        ['query.postgres.urlFrom.existingSecret='],
      ],
      [
        'a password of PostgreSQL as a value',
        /POSTGRES_URL.* not allowed/,
        ['processor.config.POSTGRES_URL=postgres://a:b@c/d'],
      ],
      [
        'a password of PostgreSQL as a value of the query API',
        /POSTGRES_URL.* not allowed/,
        ['query.config.POSTGRES_URL=postgres://a:b@c/d'],
      ],
      [
        'PostgreSQL twice',
        /processor\.POSTGRES_URL and POSTGRES_URL_FILE are both set/,
        ['processor.extraEnv[0].name=POSTGRES_URL', 'processor.extraEnv[0].value=x'],
      ],
      [
        'PostgreSQL by Secret and by path',
        /query\.config\.POSTGRES_URL_FILE is set, and so is the Secret/,
        ['query.config.POSTGRES_URL_FILE=/x'],
      ],
      [
        'everybody reads, because everybody sends',
        /query\.config\.AUTH_MODE is required where config\.AUTH_MODE is none/,
        ['query.config.AUTH_MODE=null'],
      ],
      [
        'readers with keys, without a file of them',
        /query\.config\.AUTH_MODE is api-key: auth\.apiKeys/,
        ['query.config.AUTH_MODE=api-key'],
      ],
      [
        'readers with tokens, without an issuer',
        /query\.config\.AUTH_JWT_ISSUER is required/,
        ['query.config.AUTH_MODE=jwt'],
      ],
      [
        'one port for both of the query API',
        /query\.config\.MANAGEMENT_PORT must differ/,
        ['query.config.PORT=9092'],
      ],
      ['no management port of the processor', /MANAGEMENT_PORT/, ['processor.config.MANAGEMENT_PORT=null']],
      [
        'a setting of the service for the processor',
        /EVENT_MAX_BYTES.* not allowed/,
        ['processor.config.EVENT_MAX_BYTES=1000'],
      ],
      [
        'a setting of the processor for the query API',
        /STORE_RETENTION_HOURS.* not allowed/,
        ['query.config.STORE_RETENTION_HOURS=1'],
      ],
      [
        'a setting of the processor for the service',
        /STORE_RETENTION_HOURS.* not allowed/,
        ['config.STORE_RETENTION_HOURS=1'],
      ],
      [
        'dead letters among the events',
        /KAFKA_DEAD_LETTER_TOPIC must differ/,
        ['config.KAFKA_TOPIC=t', 'processor.config.KAFKA_DEAD_LETTER_TOPIC=t'],
      ],
      [
        'a user of the processor without a password',
        /processor\.config\.KAFKA_SASL_MECHANISM is PLAIN/,
        ['processor.config.KAFKA_SASL_MECHANISM=PLAIN', 'processor.config.KAFKA_SASL_USERNAME=me'],
      ],
      [
        'authorities of PostgreSQL without TLS',
        /need postgres\.ssl: true/,
        ['postgres.ca.existingSecret=ca'],
      ],
      [
        'a certificate for PostgreSQL without TLS',
        /query\.postgres\.ca and postgres\.clientCertificate need postgres\.ssl/,
        ['query.postgres.clientCertificate.existingSecret=me'],
      ],
      [
        'a certificate of the processor for Kafka without TLS',
        /processor\.kafka\.ca and .* need processor\.config\.KAFKA_SSL/,
        ['processor.kafka.clientCertificate.existingSecret=me'],
      ],
      [
        'a grace period of the processor without time to close',
        /processor\.terminationGracePeriodSeconds is 24, but .* at least 25/,
        ['processor.terminationGracePeriodSeconds=24'],
      ],
      [
        'a grace period of the query API without time to close',
        /query\.terminationGracePeriodSeconds is 19, but .* at least 20/,
        ['query.terminationGracePeriodSeconds=19'],
      ],
      [
        'two that scale the processor',
        /processor\.autoscaling\.enabled and keda\.enabled exclude/,
        ['processor.autoscaling.enabled=true', 'processor.keda.enabled=true'],
      ],
      [
        'nothing to scale the processor by',
        /processor\.autoscaling\.targetCPUUtilizationPercentage or processor\.autoscaling\.targetLagRecords is required/,
        ['processor.autoscaling.enabled=true', 'processor.autoscaling.targetLagRecords=null'],
      ],
      [
        'nothing to scale the query API by',
        /query\.autoscaling\.targetCPUUtilizationPercentage is required/,
        ['query.autoscaling.enabled=true', 'query.autoscaling.targetCPUUtilizationPercentage=null'],
      ],
      [
        'a budget of nothing of the query API',
        /query\.podDisruptionBudget\.maxUnavailable or/,
        ['query.podDisruptionBudget.maxUnavailable=null'],
      ],
      ['a path of no host', /query\.route\.enabled needs/, ['query.route.enabled=true']],
    ] as const
  ).map(([what, message, assignments]) => ({
    what,
    message,
    values: [...valuesOf('store'), ...set(...assignments)],
  })),
  {
    what: 'KEDA that cannot prove to Kafka who it is',
    values: [...valuesOf('store-keda'), ...set('processor.keda.authenticationRef=null')],
    message: /processor\.keda\.authenticationRef is required/,
  },
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
