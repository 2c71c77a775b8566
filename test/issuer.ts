import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

/** An issuer of tokens on loopback, with the keys that it publishes. */
export interface Issuer {
  readonly jwksUrl: string;
  /** How often its keys were asked for. */
  readonly asked: () => number;
  /** Signs by a key of its own, in its own name unless told otherwise. */
  token(payload?: JWTPayload & { scope?: unknown }, header?: { kid?: string }): Promise<string>;
  /** Publishes another key in the place of the one before. */
  rotate(): Promise<void>;
  /** Its public key, as everybody knows it. */
  publicJwk(): object;
  /** Answers 500 from now on, or no longer. */
  fail(isFailing: boolean): void;
  close(): Promise<void>;
}

export const ISSUER = 'https://issuer.example.com/';
export const AUDIENCE = 'dual-stream';

export async function startIssuer(): Promise<Issuer> {
  let generation = 0;
  let isFailing = false;
  let asked = 0;
  let pair = await generateKeyPair('ES256');
  let jwk = await exportJWK(pair.publicKey);
  const kid = () => `key-${generation}`;
  const server = createServer((_request, response) => {
    asked += 1;
    if (isFailing) return void response.writeHead(500).end();
    const keys = [{ ...jwk, kid: kid(), alg: 'ES256', use: 'sig' }];
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    jwksUrl: `http://127.0.0.1:${port}/jwks.json`,
    asked: () => asked,
    token: (payload = {}, header = {}) =>
      new SignJWT({
        iss: ISSUER,
        aud: AUDIENCE,
        sub: 'billing',
        scope: 'openid events:write',
        exp: Math.floor(Date.now() / 1_000) + 300,
        ...payload,
      })
        .setProtectedHeader({ alg: 'ES256', kid: kid(), ...header })
        .sign(pair.privateKey),
    rotate: async () => {
      generation += 1;
      pair = await generateKeyPair('ES256');
      jwk = await exportJWK(pair.publicKey);
    },
    publicJwk: () => jwk,
    fail: (failing) => {
      isFailing = failing;
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Signed with what everybody knows, by an algorithm that takes it for a secret. */
export function signedWithPublicKey(publicJwk: object, kid: string): Promise<string> {
  return new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'mallory', scope: 'events:write' })
    .setProtectedHeader({ alg: 'HS256', kid })
    .setExpirationTime('5m')
    .sign(Buffer.from(JSON.stringify(publicJwk)));
}

/** By nobody: `alg` none, as RFC 7519 allows it. */
export function unsigned(token: string): string {
  const [, payload] = token.split('.');
  return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
}
