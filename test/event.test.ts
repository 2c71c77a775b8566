import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventFaults, isEventId, isEventInput } from '../src/event.ts';

const event = { type: 'repo.starred', source_type: 'user', source_id: 'octocat' };

describe('an event', () => {
  it('needs type, source_type and source_id, and nothing else', () => {
    assert.ok(isEventInput(event));
    assert.deepEqual(
      eventFaults({}).map(({ pointer, detail }) => `${pointer} ${detail}`),
      ['/type is required', '/source_type is required', '/source_id is required'],
    );
  });

  it('takes any JSON as data, also none', () => {
    for (const data of [null, 0, '', false, [], {}, [[{}]], 'x'.repeat(100_000)]) {
      assert.ok(isEventInput({ ...event, data }));
    }
  });

  it('is an object', () => {
    for (const value of [null, 1, 'event', [], [event], true]) {
      assert.ok(!isEventInput(value));
      assert.deepEqual(eventFaults(value), [{ pointer: '', detail: 'must be an object' }]);
    }
  });

  it('has no other members, and a fault does not repeat their names', () => {
    const odd = { ...event, SECRET_NAME: 1, toString: 2 };
    assert.ok(!isEventInput(odd));
    const faults = eventFaults(odd);
    assert.equal(faults.length, 1);
    assert.equal(faults[0]?.pointer, '');
    assert.ok(!JSON.stringify(faults).includes('SECRET_NAME'));
  });

  it('has all its faults told at once, without what was sent', () => {
    const bad = {
      id: 7,
      type: 'SECRET type',
      source_type: 'SECRET',
      source_id: '',
      time: 'SECRET',
      more: 'SECRET',
    };
    const faults = eventFaults(bad);
    assert.deepEqual(
      faults.map(({ pointer }) => pointer),
      ['/id', '/type', '/source_type', '/source_id', '/time', ''],
    );
    assert.ok(!JSON.stringify(faults).includes('SECRET'));
  });

  it('is never coerced', () => {
    for (const value of [1, true, null, [], {}, ['octocat']]) {
      for (const name of ['id', 'type', 'source_type', 'source_id', 'time']) {
        assert.ok(!isEventInput({ ...event, [name]: value }), `${name} ${JSON.stringify(value)}`);
      }
    }
  });

  it('has limits that count code points', () => {
    const limits = { id: 128, type: 128, source_id: 256 };
    for (const [name, limit] of Object.entries(limits)) {
      for (const letter of ['a', 'é', '漢', '😀']) {
        assert.ok(isEventInput({ ...event, [name]: letter.repeat(limit) }), `${name} ${limit} ${letter}`);
        assert.ok(
          !isEventInput({ ...event, [name]: letter.repeat(limit + 1) }),
          `${name} ${limit + 1} ${letter}`,
        );
      }
      assert.ok(!isEventInput({ ...event, [name]: '' }), `${name} empty`);
    }
    assert.ok(isEventInput({ ...event, source_type: 'a'.repeat(64) }));
    assert.ok(!isEventInput({ ...event, source_type: 'a'.repeat(65) }));
  });

  it('has names without white space, control characters, lone surrogates and globs', () => {
    const refused = [
      ...' \t\n\v\f\r\u0085\u00a0\u1680\u2000\u2005\u200a\u2028\u2029\u202f\u205f\u3000',
      ...'\u0000\u0001\u001f\u007f\u0080\u009f',
      ...'*?[]\\',
      '\ud800',
      '\udfff',
      '\udc00\ud800',
    ];
    for (const text of refused) {
      for (const name of ['id', 'type', 'source_id']) {
        for (const value of [text, `a${text}`, `${text}a`, `a${text}a`]) {
          assert.ok(!isEventInput({ ...event, [name]: value }), `${name} ${JSON.stringify(value)}`);
        }
      }
    }
  });

  it('has names with any other character', () => {
    for (const text of [
      'owner/repo',
      'a:b.c@d',
      '"<>&\'{}|^`~',
      'ünï',
      '漢字',
      '😀',
      '\u200b',
      '\ufeff',
      '__proto__',
    ]) {
      assert.ok(isEventId(text), JSON.stringify(text));
      assert.ok(isEventInput({ ...event, id: text, type: text, source_id: text }), JSON.stringify(text));
    }
  });

  it('has a source_type that splits a channel name unambiguously', () => {
    for (const text of ['user', 'a', '0', '_', '-', 'a_b-c9'])
      assert.ok(isEventInput({ ...event, source_type: text }));
    for (const text of ['User', 'a:b', 'a.b', 'a/b', 'é', 'a b', 'a\n', '']) {
      assert.ok(!isEventInput({ ...event, source_type: text }), JSON.stringify(text));
    }
  });
});

describe('the time of an event', () => {
  const valid = [
    '2026-11-23T12:00:00Z',
    '2026-11-23T12:00:00.1Z',
    '2026-11-23T12:00:00.123456789Z',
    '2026-11-23T00:00:00+00:00',
    '2026-11-23T23:59:59-23:59',
    '0001-01-01T00:00:00Z',
    '9999-12-31T23:59:59Z',
    '2024-02-29T00:00:00Z',
    '2000-02-29T00:00:00Z',
    '2026-01-31T00:00:00Z',
    '2026-04-30T00:00:00Z',
    `2026-11-23T12:00:00.${'1'.repeat(43)}Z`,
  ];
  const invalid = [
    '',
    '2026-11-23',
    '2026-11-23 12:00:00Z',
    '2026-11-23t12:00:00Z',
    '2026-11-23T12:00:00z',
    '2026-11-23T12:00:00',
    '2026-11-23T12:00Z',
    '2026-11-23T12:00:60Z',
    '2026-11-23T24:00:00Z',
    '2026-11-23T12:60:00Z',
    '2026-11-23T12:00:00.Z',
    '2026-11-23T12:00:00,5Z',
    '2026-11-23T12:00:00Z[Europe/Berlin]',
    '2026-11-23T12:00:00+24:00',
    '2026-11-23T12:00:00+00:60',
    '2026-11-23T12:00:00+0000',
    '2026-11-23T12:00:00+00',
    '2026-11-23T12:00:00Z\n',
    ' 2026-11-23T12:00:00Z',
    '0000-01-01T00:00:00Z',
    '10000-01-01T00:00:00Z',
    '-0001-01-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-32T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2024-02-30T00:00:00Z',
    '２026-11-23T12:00:00Z',
    `2026-11-23T12:00:00.${'1'.repeat(44)}Z`,
  ];
  for (const time of valid) it(`may be ${time}`, () => assert.ok(isEventInput({ ...event, time })));
  for (const time of invalid) {
    it(`may not be ${JSON.stringify(time)}`, () => {
      assert.ok(!isEventInput({ ...event, time }));
      assert.deepEqual(
        eventFaults({ ...event, time }).map(({ pointer }) => pointer),
        ['/time'],
      );
    });
  }
});
