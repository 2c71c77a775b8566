import type { Logger } from 'pino';
import { ApiKeys, readApiKeys } from './api-keys.ts';
import type { Client } from './client.ts';
import type { Config } from './config.ts';
import { JwtVerifier } from './jwt.ts';
import type { Metrics } from './metrics.ts';
import { ConfigError } from './settings.ts';
import { WatchedFiles } from './watched-files.ts';

/** `unavailable`: what it takes to find out is not there yet. */
export type Verdict = Client | 'missing' | 'invalid' | 'unavailable';

/** Finds out who sends a request. */
export interface Authentication {
  /** By the header Authorization (RFC 6750). By promise only where a signature has to be checked. Never throws or rejects. */
  clientOf(authorization: string | undefined): Verdict | Promise<Verdict>;
  /** `unavailable`: it cannot find out anything yet. */
  readonly state: 'ready' | 'unavailable';
  close(): void;
}

/** The settings that say who clients are, whichever program's they are. */
export type AuthenticationSettings = Pick<Config, Extract<keyof Config, `AUTH_${string}`>>;

/**
 * As AUTH_MODE says; `undefined`: everybody may do everything.
 * @throws ConfigError when the file of keys cannot be used
 */
export function openAuthentication(
  config: AuthenticationSettings,
  log: Logger,
  metrics: Pick<Metrics, 'credentialsCurrent' | 'ready'>,
): Authentication | undefined {
  switch (config.AUTH_MODE) {
    case 'none':
      return undefined;
    case 'api-key':
      return byApiKey(config.AUTH_KEYS_FILE ?? '', log, metrics);
    case 'jwt':
      return byJwt(config, log, metrics);
  }
}

function byApiKey(path: string, log: Logger, metrics: Pick<Metrics, 'credentialsCurrent'>): Authentication {
  const keys = openKeys(path, log, (isCurrent) => metrics.credentialsCurrent('AUTH_KEYS', isCurrent));
  if (keys.value.size === 0) log.warn('the file of API keys has none: nobody may send or read anything');
  return {
    clientOf: byBearer((credential) => keys.value.clientOf(credential, Date.now()) ?? 'invalid'),
    state: 'ready',
    close: () => keys.close(),
  };
}

function openKeys(path: string, log: Logger, onState: (isCurrent: boolean) => void): WatchedFiles<ApiKeys> {
  try {
    const files = new WatchedFiles({
      paths: [path],
      parse: ([text = '']) => new ApiKeys(readApiKeys(text)),
      onChange: ({ size }) => {
        log.info({ keys: size }, 'the file of API keys was read again');
        onState(true);
      },
      onFault: (reason) => {
        log.error({ reason }, 'the file of API keys cannot be used; those read before still hold');
        onState(false);
      },
    });
    onState(true);
    return files;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ConfigError([`AUTH_KEYS_FILE cannot be used: ${code ?? message}`]);
  }
}

function byJwt(
  config: AuthenticationSettings,
  log: Logger,
  metrics: Pick<Metrics, 'credentialsCurrent' | 'ready'>,
): Authentication {
  metrics.ready('authentication', false);
  const verifier = new JwtVerifier({
    issuer: config.AUTH_JWT_ISSUER ?? '',
    audience: config.AUTH_JWT_AUDIENCE ?? '',
    jwksUrl: config.AUTH_JWT_JWKS_URL ?? '',
    algorithms: config.AUTH_JWT_ALGORITHMS.split(','),
    clientClaim: config.AUTH_JWT_CLIENT_CLAIM,
    scopeClaim: config.AUTH_JWT_SCOPE_CLAIM,
    onKeys: (reason) => {
      metrics.credentialsCurrent('AUTH_JWT_JWKS', reason === undefined);
      if (reason === undefined) {
        metrics.ready('authentication', true);
        log.info("the issuer's keys are known");
      } else {
        log.error(
          { reason },
          "the issuer's keys cannot be fetched; those fetched before, if any, still hold",
        );
      }
    },
  });
  return {
    clientOf: byBearer((token) => verifier.trusted(token) ?? verifier.clientOf(token)),
    get state() {
      return verifier.isUsable ? 'ready' : 'unavailable';
    },
    close: () => verifier.close(),
  };
}

const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/** Finds out by what follows the scheme in the header, whatever it is. */
function byBearer(verdictOn: (credential: string) => Verdict | Promise<Verdict>): Authentication['clientOf'] {
  return (authorization) => {
    if (authorization === undefined) return 'missing';
    const credential = BEARER.exec(authorization)?.[1];
    return credential === undefined ? 'invalid' : verdictOn(credential);
  };
}
