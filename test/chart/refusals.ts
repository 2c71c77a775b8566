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
    what: 'a grace period as long as the drain',
    values: minimalBut('terminationGracePeriodSeconds=25'),
    message: /terminationGracePeriodSeconds is 25, but .* 25000 ms/,
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
    values: minimalBut(oauth),
    message: /kafka\.oauthClientSecret\.existingSecret is required/,
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
