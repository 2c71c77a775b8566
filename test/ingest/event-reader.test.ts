import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Problem } from '../../src/http/problem.ts';
import type { PublishableEvent } from '../../src/ingest/dual-publisher.ts';
import { encodingOf, readEvent } from '../../src/ingest/event-reader.ts';
import { eventText } from '../json-text.ts';

const RECEIVED_AT_MS = Date.parse('2026-11-23T12:00:00.007Z');
const EVENT_BYTES_MAX = 900_000;
const MEMBERS = '"type":"repo.starred","source_type":"user","source_id":"octocat"';
const GIVEN = `"id":"e1","time":"2026-11-23T11:00:00Z",${MEMBERS}`;

function read(body: string | Buffer, eventBytesMax = EVENT_BYTES_MAX): PublishableEvent | Problem {
  const bytes = Buffer.from(body as string);
  const options = { receivedAtMs: RECEIVED_AT_MS, eventBytesMax, encoding: encodingOf(bytes) };
  return readEvent(bytes, 0, bytes.length, options);
}

function accepted(body: string | Buffer): PublishableEvent {
  const event = read(body);
  assert.ok(!('code' in event), `refused: ${JSON.stringify(event)}`);
  return event;
}

function codeOf(body: string | Buffer): string | undefined {
  const result = read(body);
  return 'code' in result ? result.code : undefined;
}

const storedText = (event: PublishableEvent) => event.head + event.tail.toString();
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const withData = (data: string) => `{${GIVEN},"data":${data}}`;

describe('what is stored', () => {
  it('is what was sent, when nothing has to be assigned', () => {
    const body = `{${GIVEN},"data":{"n": 1.10}}`;
    const event = accepted(body);
    assert.equal(storedText(event), body);
    assert.deepEqual(
      { ...event, head: event.head, tail: undefined },
      {
        id: 'e1',
        type: 'repo.starred',
        sourceType: 'user',
        sourceId: 'octocat',
        head: '{',
        tail: undefined,
        headers: undefined,
        span: undefined,
      },
    );
  });

  it('has an id and the time of receipt spliced in where they are absent', () => {
    const event = accepted(`{ ${MEMBERS} }`);
    assert.match(event.id, /^[0-9a-f-]{36}$/);
    assert.equal(storedText(event), `{"id":"${event.id}","time":"2026-11-23T12:00:00.007Z", ${MEMBERS} }`);
    assert.equal(
      storedText(accepted(`{"id":"e1",${MEMBERS}}`)),
      `{"time":"2026-11-23T12:00:00.007Z","id":"e1",${MEMBERS}}`,
    );
    assert.deepEqual(JSON.parse(storedText(event)).id, event.id);
  });

  it('has no white space around it, and keeps all within', () => {
    assert.equal(storedText(accepted(` \r\n\t{\n ${GIVEN}\t} \r\n`)), `{\n ${GIVEN}\t}`);
  });

  it('is what was sent, however its JSON is spelled', () => {
    fc.assert(
      fc.property(
        eventText((number) => `e${number}`),
        ({ text, hasId, hasTime }) => {
          const event = accepted(text);
          const id = hasId ? '' : `"id":"${event.id}",`;
          const time = hasTime ? '' : '"time":"2026-11-23T12:00:00.007Z",';
          assert.equal(storedText(event), `{${id}${time}${text.slice(1)}`);
          const { id: storedId, time: storedTime, ...stored } = JSON.parse(storedText(event));
          const { id: sentId, time: sentTime, ...sent } = JSON.parse(text);
          assert.deepEqual(stored, sent);
          assert.equal(storedId, sentId ?? event.id);
          assert.equal(storedTime, sentTime ?? '2026-11-23T12:00:00.007Z');
        },
      ),
      { numRuns: 1_000 },
    );
  });

  const kept = [
    '9007199254740993',
    '1.10',
    '1e400',
    '-0',
    '1E+2',
    '0.1e-7',
    '"\\u0041\\ud800"',
    '"\\/"',
    '"😀"',
    '{"a" :\n1}',
  ];
  for (const data of kept) {
    it(`keeps ${data}`, () => assert.equal(storedText(accepted(withData(data))), withData(data)));
  }

  it('keeps the bytes of any JSON in data', () => {
    const random = seeded(20261123);
    for (let round = 0; round < 3_000; round += 1) {
      const body = ` ${withData(anyJson(random, 6))}\n`;
      assert.equal(storedText(accepted(body)), body.trim());
    }
  });

  it('shows names as they are after unescaping', () => {
    const event = accepted('{"\\u0074ype":"a\\u002fb","source_type":"user","source_id":"\\ud83d\\ude00"}');
    assert.equal(event.type, 'a/b');
    assert.equal(event.sourceId, '😀');
  });

  it('shows names beyond ASCII as they are, since they become the key and the channel', () => {
    for (const name of ['müller', '日本', '😀/🔑']) {
      const event = accepted(`{"id":"${name}","type":"${name}","source_type":"user","source_id":"${name}"}`);
      assert.deepEqual([event.id, event.type, event.sourceId], [name, name, name]);
    }
  });
});

describe('an event is refused', () => {
  const cases: Record<string, (string | Buffer)[]> = {
    'empty-body': ['', ' ', '\r\n\t '],
    'invalid-utf8': [
      Buffer.concat([Buffer.from(`{${GIVEN},"data":"`), Buffer.from([0xff]), Buffer.from('"}')]),
      Buffer.concat([Buffer.from(`{${GIVEN},"data":"`), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]),
      Buffer.concat([Buffer.from(`{${GIVEN},"data":"`), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]),
      Buffer.from(`{${GIVEN}}`, 'utf16le').fill(0xfe, 0, 1),
      `\ufeff{${GIVEN}}`,
    ],
    'malformed-json': [
      '{',
      '}',
      'x',
      '"',
      '{"a"',
      `{${GIVEN}`,
      `{${GIVEN}}}`,
      `{${GIVEN}}{${GIVEN}}`,
      `{${GIVEN}},`,
      `{${GIVEN},}`,
      `{${GIVEN}]`,
      `{'type':1}`,
      `{${GIVEN},"data":01}`,
      `{${GIVEN},"data":+1}`,
      `{${GIVEN},"data":.5}`,
      `{${GIVEN},"data":NaN}`,
      `{${GIVEN},"data":"\n"}`,
      `{${GIVEN},"data":"\\x"}`,
      `{${GIVEN},"data":"\\u12"}`,
      `{${GIVEN},"data":"`,
      `{${GIVEN}}/**/`,
      `/**/{${GIVEN}}`,
      `\u00a0{${GIVEN}}`,
      `{${GIVEN}}\u0000`,
      `{${GIVEN},"data":[1,]}`,
      `{${GIVEN},"data":tru}`,
    ],
    'json-too-deep': [
      withData(nested(65)),
      withData(`${'{"a":'.repeat(65)}0${'}'.repeat(65)}`),
      withData(nested(100_000)),
      nested(100_000),
      '['.repeat(100_000),
      `{"data":${'{"a":'.repeat(10_000)}`,
    ],
    'forbidden-key': [
      withData('{"__proto__":1}'),
      withData('{"\\u005f_proto_\\u005F":1}'),
      withData('[[{"a":{"__proto__":{}}}]]'),
      `{${GIVEN},"__proto__":{}}`,
    ],
    'duplicate-key': [
      `{${GIVEN},"id":"e1"}`,
      `{${GIVEN},"\\u0069d":"e2"}`,
      withData('{"a":1,"a":1}'),
      withData('{"a":1,"\\u0061":2}'),
      withData('[0,{"b":{"c":1,"d":2,"c":3}}]'),
      withData('{"":1,"":2}'),
      withData('{"1":1,"2":2,"1":3}'),
    ],
    'invalid-event': ['1', '"event"', 'null', 'true', '[]', `[{${GIVEN}}]`, '{}', `{${MEMBERS},"more":1}`],
  };
  for (const [code, bodies] of Object.entries(cases)) {
    for (const body of bodies) {
      const name = body.toString().slice(0, 60);
      it(`as ${code}: ${JSON.stringify(name)}`, () => assert.equal(codeOf(body), code));
    }
  }

  it('but not for what only looks like a fault', () => {
    const fine = [
      withData(nested(64)),
      withData(`${'{"a":'.repeat(64)}0${'}'.repeat(64)}`),
      withData(`[${`${nested(63)},`.repeat(100)}0]`),
      withData('"[[[{{{:::\\"__proto__\\":"'),
      withData('"\\\\"'),
      withData('{"proto":1,"__proto":2,"constructor":3,"hasOwnProperty":4}'),
      withData('[{"a":1},{"a":1}]'),
      withData('{"a":{"a":1}}'),
      withData('{"a:b":":","c":"{"}'),
      withData('"\\ud800"'),
    ];
    for (const body of fine) assert.equal(codeOf(body), undefined, body.slice(0, 200));
  });

  it('quickly, however deep it is nested', () => {
    const startedAt = performance.now();
    for (let round = 0; round < 20; round += 1) codeOf(withData(nested(400_000)));
    assert.ok(performance.now() - startedAt < 1_000);
  });

  it('for its size as it would be stored: at the limit it fits, one byte more does not', () => {
    const body = `{${MEMBERS}}`;
    const storedBytes = storedText(accepted(body)).length;
    assert.ok(!('code' in read(body, storedBytes)));
    assert.deepEqual(read(body, storedBytes - 1), { code: 'event-too-large' });
    assert.deepEqual(read(`{"id":"e1",${MEMBERS}}`, storedBytes - 40), { code: 'event-too-large', id: 'e1' });
    assert.ok(!('code' in read(`{${GIVEN}}`, GIVEN.length + 2)));
    assert.deepEqual(read(`{${GIVEN}}`, GIVEN.length + 1), { code: 'event-too-large' });
    assert.ok(!('code' in read(` {${GIVEN}} `, GIVEN.length + 2)));
  });

  it('with its id, when that can be read and is valid, and with nothing else of what was sent', () => {
    const refusal = read(
      '{"id":"e1","type":"SECRET *","source_type":"user","source_id":"a","SECRET":1}',
    ) as Problem;
    assert.equal(refusal.id, 'e1');
    assert.deepEqual(
      refusal.errors?.map(({ pointer }) => pointer),
      ['/type', ''],
    );
    assert.ok(!JSON.stringify(refusal).includes('SECRET'));
    for (const id of ['""', '"a b"', '7', 'null', '"\\ud800"', '["e1"]']) {
      const { code, ...rest } = read(`{"id":${id},${MEMBERS}}`) as Problem;
      assert.equal(code, 'invalid-event');
      assert.ok(!('id' in rest));
    }
  });
});

/** A small generator of numbers in [0, 1) with a seed (mulberry32), so that a failure can be had again. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Any JSON text without forbidden or equal keys, written in the odd ways that JSON allows. */
function anyJson(random: () => number, depth: number): string {
  const below = (end: number) => Math.floor(random() * end);
  const oneOf = <T>(items: readonly T[]) => items[below(items.length)] as T;
  const space = () => ' \t\r\n'.repeat(2).slice(below(8), below(9));
  const text = () =>
    Array.from({ length: below(6) }, () =>
      oneOf([
        'a',
        'Ω',
        '漢',
        '😀',
        '\\n',
        '\\"',
        '\\\\',
        '\\/',
        '\\u00e9',
        '\\ud83d\\ude00',
        '\\udead',
        '{',
        ']',
        ':',
        ',',
      ]),
    ).join('');
  const digits = () => Array.from({ length: 1 + below(25) }, () => below(10)).join('');
  const number = () =>
    `${oneOf(['', '-'])}${oneOf(['0', `${1 + below(9)}${digits()}`])}${oneOf(['', `.${digits()}`])}${oneOf(['', `e${digits()}`, `E-${digits()}`])}`;
  const list = (open: string, close: string, item: (index: number) => string) =>
    `${open}${space()}${Array.from({ length: below(5) }, (_, index) => `${space()}${item(index)}${space()}`).join(',')}${close}`;
  const scalar = () => oneOf([number, () => `"${text()}"`, () => oneOf(['true', 'false', 'null'])])();
  if (depth === 0) return scalar();
  return oneOf([
    scalar,
    () => list('[', ']', () => anyJson(random, depth - 1)),
    () => list('{', '}', (index) => `"${text()}${index}"${space()}:${space()}${anyJson(random, depth - 1)}`),
  ])();
}
