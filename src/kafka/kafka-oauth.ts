import Type from 'typebox';
import { Check } from 'typebox/value';

export interface OauthClient {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string | undefined;
}

/** What an endpoint for tokens answers (RFC 6749, 5.1), as far as it is used. */
const TokenAnswer = Type.Object({
  access_token: Type.String({ minLength: 1 }),
  expires_in: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
});

const FETCH_TIMEOUT_MS = 2_500;
/** Where the answer does not say how long a token is good. */
const LIFETIME_S = 60;
/** A token is used for this part of its time, so that it is still good when the broker looks at it. */
const USED_SHARE = 0.8;

/**
 * Gives access tokens for SASL/OAUTHBEARER by client credentials (RFC 6749, 4.4), each as long as it is good. Rejects with
 * what the endpoint says is wrong; neither the secret nor a token is in that.
 */
export function oauthTokens(client: OauthClient): () => Promise<{ value: string }> {
  let token: Promise<{ value: string }> | undefined;
  let freshUntil = 0;
  return () => {
    if (token !== undefined && performance.now() < freshUntil) return token;
    freshUntil = Number.POSITIVE_INFINITY; // while it is being asked for
    token = ask(client).then(
      ({ value, lifetimeS }) => {
        freshUntil = performance.now() + lifetimeS * 1_000 * USED_SHARE;
        return { value };
      },
      (error: unknown) => {
        freshUntil = 0;
        throw error;
      },
    );
    return token;
  };
}

async function ask({ tokenUrl, clientId, clientSecret, scope }: OauthClient) {
  const credentials = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
  const answer = await fetch(tokenUrl, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
      accept: 'application/json',
    },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      ...(scope === undefined ? {} : { scope }),
    }),
    redirect: 'error',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  }).catch((error: Error) => {
    const { cause, message } = error;
    throw new Error(`no token: ${cause instanceof Error ? cause.message : message}`);
  });
  const body: unknown = await answer.json().catch(() => undefined);
  if (!answer.ok) {
    const reason = (body as { error?: unknown } | undefined)?.error;
    throw new Error(
      `no token: the endpoint answers ${answer.status}${ERROR_CODE.test(String(reason)) ? ` ${reason}` : ''}`,
    );
  }
  if (!Check(TokenAnswer, body)) throw new Error('no token: the endpoint answers something else');
  return { value: body.access_token, lifetimeS: body.expires_in ?? LIFETIME_S };
}

/** As RFC 6749, 5.2 has them: `invalid_client`. */
const ERROR_CODE = /^[a-z_]{1,40}$/;
