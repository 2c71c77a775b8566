import assert from 'node:assert/strict';
import { after, afterEach, before as beforeAll, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { JwtVerifier } from '../src/jwt.ts';
import { AUDIENCE, ISSUER, type Issuer, signedWithPublicKey, startIssuer, unsigned } from './issuer.ts';

let issuer: Issuer;
const opened: JwtVerifier[] = [];
beforeAll(async () => {
  issuer = await startIssuer();
});
afterEach(() => {
  for (const verifier of opened.splice(0)) verifier.close();
  issuer.fail(false);
});
after(() => issuer.close());

type Options = ConstructorParameters<typeof JwtVerifier>[0];

async function open(
  more: Partial<Options> = {},
): Promise<{ verifier: JwtVerifier; said: (string | undefined)[] }> {
  const said: (string | undefined)[] = [];
  const verifier = new JwtVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ['ES256', 'RS256'],
    jwksUrl: issuer.jwksUrl,
    clientClaim: 'sub',
    scopeClaim: 'scope',
    onKeys: (fault) => said.push(fault),
    ...more,
  });
  opened.push(verifier);
  await until(() => said.length > 0);
  return { verifier, said };
}

async function until(isSo: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 3_000;
  while (!isSo()) {
    assert.ok(performance.now() < giveUpAt, `waited in vain until ${isSo}`);
    await delay(2);
  }
}

const seconds = (from: number) => Math.floor(Date.now() / 1_000) + from;

describe('JSON Web Tokens', () => {
  it('of the issuer are taken, with the scopes in them', async () => {
    const { verifier } = await open();
    for (const scope of ['openid events:write:user', ['openid', 'events:write:user']]) {
      const client = await verifier.clientOf(await issuer.token({ scope }));
      assert.ok(typeof client === 'object');
      assert.equal(client.name, 'billing');
      assert.ok(client.may('write', 'user') && !client.may('write', 'repo'));
    }
    const none = await verifier.clientOf(await issuer.token({ scope: { events: 'write' } }));
    assert.ok(typeof none === 'object' && !none.mayAtAll('write'));
  });

  it('may name client and scopes by other claims', async () => {
    const { verifier } = await open({ clientClaim: 'azp', scopeClaim: 'permissions' });
    const client = await verifier.clientOf(
      await issuer.token({ azp: 'shop', permissions: ['events:write'] }),
    );
    assert.ok(typeof client === 'object' && client.name === 'shop' && client.may('write', 'user'));
    assert.equal(await verifier.clientOf(await issuer.token()), 'invalid', 'no name');
  });

  const attacks: [what: string, token: () => Promise<string> | string][] = [
    ['without a signature (alg none)', async () => unsigned(await issuer.token())],
    [
      'signed by the public key as if it were a secret',
      () => signedWithPublicKey(issuer.publicJwk(), 'key-0'),
    ],
    ['that has expired', () => issuer.token({ exp: seconds(-60) })],
    ['that never expires', () => issuer.token({ exp: undefined as never })],
    ['that is not valid yet', () => issuer.token({ nbf: seconds(60) })],
    ['of another issuer', () => issuer.token({ iss: 'https://issuer.example.com.evil/' })],
    ['for another audience', () => issuer.token({ aud: 'other' })],
    ['for nobody', () => issuer.token({ aud: undefined as never })],
    ['without a client', () => issuer.token({ sub: '' })],
    [
      'whose payload was changed',
      async () => {
        const [head, payload = '', signature] = (await issuer.token()).split('.');
        const changed = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: 'admin' };
        return `${head}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${signature}`;
      },
    ],
    ['whose signature was cut', async () => (await issuer.token()).slice(0, -4)],
    ['that is none', () => 'a.b.c'],
    ['that is an API key', () => 'ds-usfrzhqyksnq.RAiOSW2vDHG2nXmHntZbdnNJq-0D5gjtBFKOs0kmJg4'],
  ];
  for (const [what, token] of attacks) {
    it(`${what} are refused`, async () => {
      const { verifier } = await open();
      assert.equal(await verifier.clientOf(await token()), 'invalid');
    });
  }

  it('by an algorithm that is not on the list are refused', async () => {
    const { verifier } = await open({ algorithms: ['RS256'] });
    assert.equal(await verifier.clientOf(await issuer.token()), 'invalid');
  });

  it('with made-up names of keys have the keys fetched once, not each time', async () => {
    const { verifier } = await open({ times: { cooldownMs: 200 } });
    const made = await Promise.all(
      Array.from({ length: 50 }, (_, index) => issuer.token({}, { kid: `made-up-${index}` })),
    );
    const before = issuer.asked();
    for (const token of made) assert.equal(await verifier.clientOf(token), 'invalid');
    assert.equal(issuer.asked(), before, 'they were fetched a moment ago');
    await delay(220);
    const verdicts = await Promise.all(made.map((token) => verifier.clientOf(token)));
    assert.ok(
      verdicts.every((verdict) => verdict === 'unavailable'),
      'they may be about to be known',
    );
    await until(() => issuer.asked() === before + 1);
    await delay(20);
    for (const token of made) assert.equal(await verifier.clientOf(token), 'invalid');
    assert.equal(issuer.asked(), before + 1);
    assert.ok(typeof (await verifier.clientOf(await issuer.token())) === 'object', 'others are not held up');
  });

  it('signed by a new key of the issuer are taken as soon as it is fetched, and those by the old one no more', async () => {
    const { verifier } = await open({ times: { cooldownMs: 0 } });
    const old = await issuer.token();
    assert.ok(typeof (await verifier.clientOf(old)) === 'object');
    assert.ok(verifier.trusted(old));
    await issuer.rotate();
    const fresh = await issuer.token();
    assert.equal(await verifier.clientOf(fresh), 'unavailable');
    await until(() => verifier.trusted(old) === undefined);
    assert.ok(typeof (await verifier.clientOf(fresh)) === 'object');
    assert.notEqual(typeof (await verifier.clientOf(old)), 'object');
  });

  it('are checked each time when they are long', async () => {
    const { verifier } = await open();
    const token = await issuer.token({ scope: `events:write ${'x'.repeat(2_048)}` });
    assert.ok(typeof (await verifier.clientOf(token)) === 'object');
    assert.equal(verifier.trusted(token), undefined);
  });

  it('are trusted for a while, but not beyond their end', async () => {
    const { verifier } = await open({ times: { trustMs: 60 } });
    const token = await issuer.token();
    assert.equal(verifier.trusted(token), undefined);
    await verifier.clientOf(token);
    assert.equal(verifier.trusted(token)?.name, 'billing');
    assert.equal(verifier.trusted(`${token}x`), undefined);
    await delay(70);
    assert.equal(verifier.trusted(token), undefined);
    const { verifier: trusting } = await open();
    const short = await issuer.token({ exp: seconds(1) });
    await trusting.clientOf(short);
    await delay(1_050);
    assert.equal(trusting.trusted(short), undefined);
  });

  it('are still checked with the keys that are known when the issuer is in trouble, and it says so once', async () => {
    const { verifier, said } = await open({ times: { refreshMs: 10, retryMs: 10 } });
    assert.deepEqual(said, [undefined]);
    const token = await issuer.token();
    await verifier.clientOf(token);
    await delay(50);
    assert.ok(verifier.trusted(token), 'the same keys again take no trust away');
    issuer.fail(true);
    await until(() => said.length === 2);
    assert.match(said[1] ?? '', /200 OK/);
    const unknown = await issuer.token({}, { kid: 'new' });
    assert.equal(await verifier.clientOf(unknown), 'unavailable', 'nobody can know');
    assert.ok(typeof (await verifier.clientOf(await issuer.token())) === 'object');
    await delay(60);
    assert.equal(said.length, 2);
    issuer.fail(false);
    await until(() => said.length === 3);
    assert.equal(said[2], undefined);
  });

  it('cannot be checked before the keys are there', async () => {
    issuer.fail(true);
    const { verifier, said } = await open({ times: { retryMs: 10 } });
    assert.equal(verifier.isUsable, false);
    assert.equal(await verifier.clientOf(await issuer.token()), 'unavailable');
    issuer.fail(false);
    await until(() => said.length === 2);
    assert.ok(verifier.isUsable);
    assert.ok(typeof (await verifier.clientOf(await issuer.token())) === 'object');
  });
});
