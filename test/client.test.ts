import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Client } from '../src/client.ts';

describe('what a client may do', () => {
  const cases: [scopes: string[], may: string[], mayNot: string[]][] = [
    [['events:write'], ['user', 'repo', 'a'], []],
    [['events:write:*'], ['user', 'repo'], []],
    [['events:write:user'], ['user'], ['users', 'use', 'repo']],
    [['events:write:repo-*'], ['repo-', 'repo-a'], ['repo', 'repos', 'user']],
    [['events:write:user', 'events:write:org'], ['user', 'org'], ['repo']],
    [['events:read'], [], ['user']],
    // Of other services, or nearly right: what is not understood grants nothing.
    [
      ['write', 'openid', 'events:admin', 'events:write:', 'events:write:User', 'events:write:a*b'],
      [],
      ['user', 'a', 'ab'],
    ],
    [['EVENTS:WRITE', ' events:write', 'events:write:user:x', 'events:write\n'], [], ['user']],
    [[], [], ['user']],
  ];
  for (const [scopes, may, mayNot] of cases) {
    it(`with ${JSON.stringify(scopes)}`, () => {
      const client = new Client('c', scopes);
      for (const sourceType of may) assert.ok(client.may('write', sourceType), sourceType);
      for (const sourceType of mayNot) assert.ok(!client.may('write', sourceType), sourceType);
      assert.equal(client.mayAtAll('write'), may.length > 0);
    });
  }

  it('keeps actions apart', () => {
    const client = new Client('c', ['events:read:user', 'events:write:repo']);
    assert.ok(client.may('read', 'user') && !client.may('read', 'repo'));
    assert.ok(client.may('write', 'repo') && !client.may('write', 'user'));
  });
});
