import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Check } from 'typebox/value';
import { aggregateChannelOf, channelOf, messageOf, NotificationMessage } from '../src/notification.ts';

test('P8: a message holds exactly id, type and source_id', () => {
  const event = { id: 'e-1', type: 'user.created', sourceId: 'octocat', data: { secret: 1 }, time: 'now' };
  assert.equal(messageOf(event), '{"id":"e-1","type":"user.created","source_id":"octocat"}');
});

test('P8: the channel is that of the source, whatever its id holds', () => {
  assert.equal(channelOf('user', 'octocat'), 'events:user:octocat');
  assert.equal(channelOf('repo', 'owner/repo'), 'events:repo:owner/repo');
  assert.equal(channelOf('device', 'a:b:c'), 'events:device:a:b:c');
  assert.equal(aggregateChannelOf('org'), 'events:org');
});

const strange = [
  'plain',
  'quote " inside',
  'back\\slash',
  'line\nfeed',
  '\u0000\u001f\u007f\u0085\u2028',
  'naïve 日本 😀',
  'lone \ud83d',
  '\udc00 lone',
  '\ud83d\ude00\ud83d',
  '"',
];

for (const text of strange) {
  test(`a message with ${JSON.stringify(text)} in any member is what JSON writes, and fits the schema`, () => {
    for (const event of [
      { id: text, type: 't', sourceId: 's' },
      { id: 'i', type: text, sourceId: 's' },
      { id: 'i', type: 't', sourceId: text },
    ]) {
      const { id, type, sourceId } = event;
      assert.equal(messageOf(event), JSON.stringify({ id, type, source_id: sourceId }));
      assert.ok(Check(NotificationMessage, JSON.parse(messageOf(event))));
    }
  });
}

test('P8: the schema allows no fourth member and lacks none', () => {
  const message = { id: 'i', type: 't', source_id: 's' };
  assert.ok(Check(NotificationMessage, message));
  assert.ok(!Check(NotificationMessage, { ...message, data: {} }));
  assert.ok(!Check(NotificationMessage, { id: 'i', type: 't' }));
});
