import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
  type RemoteJWKSet,
} from 'jose';
import { Client } from './client.ts';

export interface JwtOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly jwksUrl: string;
  /** The claim that names the client. */
  readonly clientClaim: string;
  /** The claim with its scopes: a text with spaces between them, or an array. */
  readonly scopeClaim: string;
  /** The issuer's keys could be fetched, or not: once for each change. */
  readonly onKeys: (fault: string | undefined) => void;
  readonly times?: Partial<JwtTimes>;
}

interface JwtTimes {
  /** Keys are fetched this often. */
  readonly refreshMs: number;
  /** After a failure. */
  readonly retryMs: number;
  /** A token with an unknown key has them fetched, but not more often than this. */
  readonly cooldownMs: number;
  /** So long a token that was good is taken for good, if it does not expire before. */
  readonly trustMs: number;
}

const TIMES: JwtTimes = { refreshMs: 600_000, retryMs: 5_000, cooldownMs: 30_000, trustMs: 60_000 };
const FETCH_TIMEOUT_MS = 5_000;
const CLOCK_TOLERANCE_S = 5;
const TRUSTED_MAX = 2_000;
/** Longer ones are checked each time, so that what is kept of them has a limit. */
const TRUSTED_LENGTH_MAX = 2_048;
const CLIENT_NAME_LENGTH_MAX = 256;

/**
 * Verifies JSON Web Tokens (RFC 7519) with the keys that their issuer publishes (RFC 7517). Keys are fetched ahead of
 * the tokens, never while one waits: the issuer's trouble is no trouble of those whose keys are known.
 */
export class JwtVerifier {
  readonly #options: JwtOptions;
  readonly #times: JwtTimes;
  readonly #remote: RemoteJWKSet;
  /** By the hash of the token: they are long, and worth stealing. */
  readonly #trusted = new Map<string, { readonly client: Client; readonly until: number }>();
  #jwks: JSONWebKeySet | undefined;
  #keys: ReturnType<typeof createLocalJWKSet> | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #fault: string | undefined = '';
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** Begins to fetch the keys. */
  constructor(options: JwtOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    this.#remote = createRemoteJWKSet(new URL(options.jwksUrl), {
      cacheMaxAge: Number.POSITIVE_INFINITY,
      timeoutDuration: FETCH_TIMEOUT_MS,
    });
    void this.#fetch();
  }

  /** Whether the issuer's keys are known. */
  get isUsable(): boolean {
    return this.#keys !== undefined;
  }

  /** Whose token it is, if it was found good a moment ago. */
  trusted(token: string): Client | undefined {
    const known = this.#trusted.get(hashOf(token));
    return known !== undefined && Date.now() < known.until ? known.client : undefined;
  }

  /** Whose token it is. `unavailable`: the keys that it takes to find out are being fetched. Never rejects. */
  async clientOf(token: string): Promise<Client | 'invalid' | 'unavailable'> {
    const keys = this.#keys;
    if (keys === undefined) return 'unavailable';
    const { issuer, audience, algorithms } = this.#options;
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: [...algorithms],
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['exp'],
      });
      const client = this.#clientIn(payload);
      if (client === undefined) return 'invalid';
      // They may have been fetched anew meanwhile, and this one be gone.
      if (keys === this.#keys) this.#trust(token, client, (payload.exp as number) * 1_000);
      return client;
    } catch (error) {
      return error instanceof errors.JWKSNoMatchingKey && this.#fetchesFor() ? 'unavailable' : 'invalid';
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #clientIn(payload: JWTPayload): Client | undefined {
    const name = payload[this.#options.clientClaim];
    if (typeof name !== 'string' || name === '' || name.length > CLIENT_NAME_LENGTH_MAX) return undefined;
    const claimed = payload[this.#options.scopeClaim];
    const scopes = Array.isArray(claimed) ? claimed : typeof claimed === 'string' ? claimed.split(' ') : [];
    return new Client(
      name,
      scopes.filter((scope) => typeof scope === 'string'),
    );
  }

  #trust(token: string, client: Client, expiresAt: number): void {
    if (token.length > TRUSTED_LENGTH_MAX) return;
    if (this.#trusted.size >= TRUSTED_MAX) {
      const [oldest] = this.#trusted.keys();
      if (oldest !== undefined) this.#trusted.delete(oldest);
    }
    const until = Math.min(expiresAt, Date.now() + this.#times.trustMs);
    this.#trusted.set(hashOf(token), { client, until });
  }

  /**
   * Whether a key that is missing may be about to be known. Made-up names of keys do not make it fetch each time; while
   * the issuer cannot be reached, it is tried again anyway, and nobody can know whether a name is made up.
   */
  #fetchesFor(): boolean {
    if (this.#remote.reloading || this.#fault !== undefined) return true;
    if (performance.now() - this.#fetchedAt < this.#times.cooldownMs) return false;
    void this.#fetch();
    return true;
  }

  async #fetch(): Promise<void> {
    clearTimeout(this.#timer);
    this.#fetchedAt = performance.now();
    let fault: string | undefined;
    try {
      await this.#remote.reload();
      const jwks = this.#remote.jwks();
      if (jwks !== undefined && !isDeepStrictEqual(jwks, this.#jwks)) {
        this.#jwks = jwks;
        this.#keys = createLocalJWKSet(jwks);
        this.#trusted.clear(); // a key may be gone
      }
    } catch (error) {
      fault = reasonOf(error);
    }
    if (this.#isClosed) return;
    if (fault !== this.#fault) this.#options.onKeys(fault);
    this.#fault = fault;
    const { refreshMs, retryMs } = this.#times;
    this.#timer = setTimeout(() => void this.#fetch(), fault === undefined ? refreshMs : retryMs);
    this.#timer.unref();
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('latin1');
}

/** Of a failed fetch: what is wrong with the connection stands in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
