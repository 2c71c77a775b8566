import type { ConnectionOptions } from 'node:tls';
import type { Config } from '../config.ts';
import type { TlsFiles } from '../tls-files.ts';
import type { ConnectOptions, RedisServer } from './redis-connection.ts';

/** For `rediss://`: a certificate authority of one's own, a client certificate. */
interface RedisTls {
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername'>;
}

/** Where notifications go. A URL is `redis://` or, with TLS, `rediss://[username:password@]host[:port]`. */
export type RedisSettings =
  | ({ readonly mode: 'standalone'; readonly url: string } & RedisTls)
  | ({
      readonly mode: 'sentinel';
      /** Of the Sentinels, with their own credentials. With `rediss://` they and the master are reached by TLS. */
      readonly urls: readonly string[];
      readonly masterName: string;
      /** For the master. */
      readonly username?: string;
      readonly password?: string;
    } & RedisTls)
  | ({
      readonly mode: 'cluster';
      /** Some of its nodes; the others are learned from them, with the same credentials. */
      readonly urls: readonly string[];
      /** SPUBLISH: only the nodes of the channel's slot carry a message. Subscribers must use SSUBSCRIBE then. */
      readonly sharded: boolean;
    } & RedisTls);

const REDIS_PORT = 6379;
const SENTINEL_PORT = 26379;

/** As the service is configured; `undefined`: nobody is to be notified. */
export function redisSettings(config: Config, files: TlsFiles): RedisSettings | undefined {
  const {
    REDIS_URL: url = '',
    REDIS_SENTINEL_MASTER: masterName = '',
    REDIS_USERNAME: username,
    REDIS_PASSWORD: password,
  } = config;
  const urls = url.split(',');
  // Read by ioredis for each connection, so that renewed certificates are used.
  const tls = {
    get ca() {
      return files.value.ca;
    },
    get cert() {
      return files.value.cert;
    },
    get key() {
      return files.value.key;
    },
  };
  switch (config.REDIS_MODE) {
    case 'standalone':
      return { mode: 'standalone', url, tls };
    case 'sentinel':
      return {
        mode: 'sentinel',
        urls,
        masterName,
        tls,
        ...(username && { username }),
        ...(password && { password }),
      };
    case 'cluster':
      return { mode: 'cluster', urls, sharded: config.REDIS_SHARDED_PUBSUB, tls };
    case 'off':
      return undefined;
  }
}

/** The server behind a URL. Throws a TypeError that does not repeat the URL, which may hold a password. */
export function serverAt(url: string, tls: RedisTls['tls'] = {}): RedisServer {
  const { host, port = REDIS_PORT, isTls, ...credentials } = partsOf(url);
  return { name: nameOf(host, port), options: { host, port, ...credentials, ...(isTls ? { tls } : {}) } };
}

/** The master that Sentinels know under a name. */
export function masterBehind(settings: Extract<RedisSettings, { mode: 'sentinel' }>): RedisServer {
  const sentinels = settings.urls.map(partsOf);
  const [first] = sentinels;
  if (first === undefined) throw new TypeError('There is no URL of a Sentinel');
  const { masterName, username, password, tls = {} } = settings;
  const options: ConnectOptions = {
    name: masterName,
    sentinels: sentinels.map(({ host, port = SENTINEL_PORT }) => ({ host, port })),
    ...(first.username === undefined ? {} : { sentinelUsername: first.username }),
    ...(first.password === undefined ? {} : { sentinelPassword: first.password }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(first.isTls ? { tls, sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
  };
  return { name: `${masterName} (Sentinel)`, options };
}

/** Another node of a cluster, reached as the one that named it. */
export function siblingOf(server: RedisServer, host: string, port: number): RedisServer {
  return { name: nameOf(host, port), options: { ...server.options, host, port } };
}

interface UrlParts {
  readonly host: string;
  readonly port?: number;
  readonly isTls: boolean;
  readonly username?: string;
  readonly password?: string;
}

/** Of the URL only what is named here: ioredis would take any of its options from the query. */
function partsOf(url: string): UrlParts {
  if (!URL.canParse(url)) throw new TypeError('The URL of Redis cannot be read');
  const { protocol, hostname, port, username, password } = new URL(url);
  if ((protocol !== 'redis:' && protocol !== 'rediss:') || hostname === '') {
    throw new TypeError('The URL of Redis must begin with redis:// or rediss:// and a host');
  }
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    isTls: protocol === 'rediss:',
    ...(port === '' ? {} : { port: Number(port) }),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
  };
}

function nameOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
