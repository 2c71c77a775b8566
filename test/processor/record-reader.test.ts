import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRecord } from '../../src/processor/record-reader.ts';

const EVENT =
  '{"id":"1","type":"push","source_type":"user","source_id":"octocat","time":"2026-11-23T12:00:00Z"';
const read = (value: Buffer | null, timestampMs = 1) =>
  readRecord({ partition: 3, offset: 7, timestampMs, key: null, value, headers: {} });

describe('a record', () => {
  it('that holds an event is that event, with the bytes as they are', () => {
    const value = Buffer.from(`${EVENT},"data":{"big":12345678901234567890, "text":"ä"}}`);
    assert.deepEqual(read(value), {
      sourceType: 'user',
      sourceId: 'octocat',
      id: '1',
      type: 'push',
      partition: 3,
      offset: 7,
      recordedAtMs: 1,
      value,
    });
  });

  it('may have members that a later version adds', () => {
    assert.equal(typeof read(Buffer.from(`${EVENT},"more":1}`)), 'object');
  });

  it('without a time, or one that cannot be, counts as taken now', () => {
    const before = Date.now();
    for (const timestampMs of [-1, 9e18]) {
      const event = read(Buffer.from(`${EVENT}}`), timestampMs);
      assert.ok(typeof event === 'object' && event.recordedAtMs >= before && event.recordedAtMs < 1e14);
    }
  });

  for (const [what, value, reason] of [
    ['a tombstone', null, 'no-value'],
    ['nothing', Buffer.alloc(0), 'no-value'],
    ['bytes that are no text', Buffer.from([0x7b, 0xff, 0x7d]), 'invalid-utf8'],
    ['text that is no JSON', Buffer.from('{'), 'malformed-json'],
    ['an array', Buffer.from('[]'), 'invalid-event'],
    ['null', Buffer.from('null'), 'invalid-event'],
    ['an event without id', Buffer.from(`${EVENT.replace('"id":"1",', '')}}`), 'invalid-event'],
    ['a name with a line break', Buffer.from(`${EVENT.replace('push', 'pu\\nsh')}}`), 'invalid-event'],
    ['a name with a zero', Buffer.from(`${EVENT.replace('octocat', 'o\\u0000')}}`), 'invalid-event'],
    ['half a character', Buffer.from(`${EVENT.replace('octocat', '\\ud800')}}`), 'invalid-event'],
  ] as const) {
    it(`that holds ${what} is none`, () => assert.equal(read(value), reason));
  }
});
