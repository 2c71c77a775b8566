import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ApiKeys, readApiKeys } from '../../src/api-keys.ts';
import { runKeys } from '../../src/keys/keys.ts';

const NOW = new Date('2026-11-25T12:00:00Z');
let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keys-'));
  file = join(folder, 'keys.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

function keys(...args: string[]): string[] {
  const said: string[] = [];
  runKeys([...args, '--file', file], (line) => said.push(line), NOW);
  return said;
}

describe('the commands of docs/authentication.md', () => {
  it('work, one after the other', () => {
    const text = readFileSync(new URL('../../docs/authentication.md', import.meta.url), 'utf8');
    const commands = [...text.matchAll(/^ {4}npm run keys -- (.+)$/gm)].map(([, args = '']) =>
      args.split(' '),
    );
    assert.ok(commands.length >= 3);
    const said = commands.map((args) => keys(...args));
    assert.equal(said.at(-1)?.length, commands.length - 1);
  });
});

describe('npm run keys', () => {
  it('makes a key that is shown once and works', () => {
    const [, credential = ''] = keys(
      'make',
      '--client',
      'billing',
      '--scope',
      'events:write:user',
      '--scope',
      'events:read',
    );
    const known = new ApiKeys(readApiKeys(readFileSync(file, 'utf8')));
    const client = known.clientOf(credential, NOW.getTime());
    assert.equal(client?.name, 'billing');
    assert.ok(client?.may('write', 'user') && client.may('read', 'repo') && !client.may('write', 'repo'));
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(
      !keys('list')
        .join()
        .includes(credential.split('.')[1] as string),
    );
    assert.deepEqual(readdirSync(folder), ['keys.json'], 'nothing half-written is left');
  });

  it('lists what there is, and what has expired', () => {
    keys('make', '--client', 'one', '--scope', 'events:write');
    keys('make', '--client', 'two', '--scope', 'events:read', '--days', '30');
    const [one = '', two = ''] = keys('list');
    assert.match(
      one,
      /^ds-\w{12} {2}one {2}events:write {2}made 2026-11-25T12:00:00.000Z {2}does not expire$/,
    );
    assert.match(two, / expires 2026-12-25T12:00:00.000Z$/);
    const said: string[] = [];
    runKeys(['list', '--file', file], (line) => said.push(line), new Date('2027-01-01'));
    assert.match(said[1] ?? '', / EXPIRED 2026-12-25T12:00:00.000Z$/);
  });

  it('keeps who may read the file', () => {
    keys('make', '--client', 'one', '--scope', 'events:write');
    chmodSync(file, 0o640);
    keys('make', '--client', 'two', '--scope', 'events:write');
    assert.equal(statSync(file).mode & 0o777, 0o640);
  });

  it('revokes one key and leaves the others', () => {
    const [, credential = ''] = keys('make', '--client', 'one', '--scope', 'events:write');
    const [, kept = ''] = keys('make', '--client', 'one', '--scope', 'events:write');
    keys('revoke', credential.split('.')[0] as string);
    const known = new ApiKeys(readApiKeys(readFileSync(file, 'utf8')));
    assert.equal(known.clientOf(credential, NOW.getTime()), undefined);
    assert.equal(known.clientOf(kept, NOW.getTime())?.name, 'one');
  });

  const wrong: [args: string[], reason: RegExp][] = [
    [[], /what to do is missing/],
    [['delete'], /no command delete/],
    [['make', '--client', 'a b', '--scope', 'events:write'], /client/],
    [['make', '--client', 'a', '--scope', 'write'], /scopes/],
    [['make', '--client', 'a'], /scopes/],
    [['make', '--client', 'a', '--scope', 'events:write', '--days', '0'], /--days/],
    [['make', 'x', '--client', 'a', '--scope', 'events:write'], /too many/],
    [['make', '--what'], /--what/],
    [['list'], /cannot be read \(ENOENT\)/],
  ];
  for (const [args, reason] of wrong) {
    it(`refuses ${args.join(' ') || 'nothing'} and writes nothing`, () => {
      assert.throws(() => keys(...args), reason);
      assert.deepEqual(readdirSync(folder), []);
    });
  }

  it('changes no file that it cannot read, and revokes nothing that is not there', () => {
    writeFileSync(file, '{"keys":[');
    assert.throws(() => keys('make', '--client', 'a', '--scope', 'events:write'), /not JSON/);
    assert.equal(readFileSync(file, 'utf8'), '{"keys":[');
    writeFileSync(file, '{"keys":[]}');
    assert.throws(() => keys('revoke', 'ds-nobody'), /no key ds-nobody/);
  });
});
