import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type ApiKey,
  ApiKeyFileError,
  ApiKeys,
  makeApiKey,
  readApiKeys,
  writeApiKeys,
} from '../src/api-keys.ts';

const NOW = new Date('2026-11-25T12:00:00Z');
const make = (client: string, more: Partial<ApiKey> = {}) =>
  makeApiKey({ client, scopes: ['events:write'], ...more }, NOW);
const one = make('billing');
const other = make('billing');
const late = make('late', { expires: '2026-11-25T12:00:01.000Z' });
const keys = new ApiKeys([one.key, other.key, late.key]);
const clientOf = (credential: string, at = NOW.getTime()) => keys.clientOf(credential, at)?.name;

describe('API keys', () => {
  it('are taken for their client, several of them at a time', () => {
    assert.equal(clientOf(one.credential), 'billing');
    assert.equal(clientOf(other.credential), 'billing');
  });

  it('have 256 random bits, and only a hash of them is kept', () => {
    const [, secret = ''] = one.credential.split('.');
    assert.equal(Buffer.from(secret, 'base64url').length, 32);
    assert.notEqual(secret, other.credential.split('.')[1]);
    assert.ok(!writeApiKeys([one.key]).includes(secret));
  });

  it('are taken for nobody when anything about them is wrong', () => {
    const [id, secret] = one.credential.split('.');
    const [otherId] = late.credential.split('.');
    for (const credential of [
      '',
      '.',
      `${id}`,
      `${id}.`,
      `.${secret}`,
      `${otherId}.${secret}`,
      `${one.credential}=`,
      `${one.credential}${'a'.repeat(1_000)}`,
      `${id}.${secret?.toUpperCase()}`,
      `${id}..${secret}`,
      `__proto__.${secret}`,
      `${id}.${one.key.hash.slice(7)}`, // who reads the file has no key
    ]) {
      assert.equal(clientOf(credential), undefined, credential);
    }
  });

  it('are good until they expire', () => {
    assert.equal(clientOf(late.credential), 'late');
    assert.equal(clientOf(late.credential, NOW.getTime() + 1_000), undefined);
  });
});

describe('a file of API keys', () => {
  it('is read as it was written', () => {
    assert.deepEqual(readApiKeys(writeApiKeys([one.key, late.key])), [one.key, late.key]);
    assert.deepEqual(readApiKeys('{"keys":[]}'), []);
  });

  const broken: [what: string, text: string, reason: RegExp][] = [
    ['no JSON', '{"keys":[', /not JSON/],
    ['something else', '[]', /^it is not as it has to be \(type\)/],
    ['a member that nobody knows', '{"keys":[],"more":1}', /^\/more /],
    ['no scope', writeApiKeys([{ ...one.key, scopes: [] }]), /^\/keys\/0\/scopes /],
    [
      'a scope that is none',
      writeApiKeys([{ ...one.key, scopes: ['events:delete'] }]),
      /^\/keys\/0\/scopes\/0 /,
    ],
    ['a hash of another kind', writeApiKeys([{ ...one.key, hash: 'md5:canary' }]), /^\/keys\/0\/hash /],
    ['a time that is none', writeApiKeys([{ ...one.key, expires: 'tomorrow' }]), /^\/keys\/0\/expires /],
    ['an id twice', writeApiKeys([one.key, one.key]), /given twice/],
  ];
  for (const [what, text, reason] of broken) {
    it(`is refused with ${what}, and its values are not repeated`, () => {
      assert.throws(
        () => readApiKeys(text),
        (error: Error) => {
          assert.ok(error instanceof ApiKeyFileError);
          assert.match(error.message, reason);
          assert.ok(!error.message.includes('canary') && !error.message.includes(one.key.hash));
          return true;
        },
      );
    });
  }
});
