import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openapiYaml, queryYaml } from '../dev/openapi.ts';
import { errors } from '../src/errors.ts';
import { EventInput, isEventId, isEventInput } from '../src/event.ts';
import { assertFits, codesOf, fits, PROBLEM, readDocument } from './specification.ts';

/** Codes that only a result of a batch carries. */
const OF_RESULTS = ['batch-aborted'];

const ingest = readDocument('openapi.yaml');
const query = readDocument('query.yaml');

describe('the OpenAPI documents', () => {
  it('are what the schemas of the routes say (npm run generate writes them)', async () => {
    assert.equal(ingest.text, await openapiYaml());
    assert.equal(query.text, await queryYaml());
  });

  it('know every code that is answered, together', () => {
    const operations = [ingest, query].flatMap((document) => Array.from(document.operations.values()));
    const known = new Set(operations.flatMap(codesOf));
    const missing = Object.keys(errors).filter((code) => !known.has(code));
    assert.deepEqual(missing.toSorted(), OF_RESULTS);
  });

  it('have each line of an NDJSON example fit the schema of an event', () => {
    const body = ingest.operations.get('POST /v1/events/batch')?.requestBody?.content['application/x-ndjson'];
    const lines = Object.values(body?.examples ?? {}).flatMap(({ value }) =>
      String(value).trimEnd().split('\n'),
    );
    assert.ok(lines.length > 0);
    for (const line of lines) assertFits(eventSchema, JSON.parse(line), line);
  });
});

for (const [file, document] of Object.entries({ 'openapi.yaml': ingest, 'query.yaml': query })) {
  describe(`openapi/${file}`, () => {
    const { operations, specification } = document;

    it('has an id, a summary, and a description for each response in every operation', () => {
      assert.ok(operations.size >= 5);
      for (const { operationId, summary, responses } of operations.values()) {
        assert.ok(operationId && summary);
        for (const { description } of Object.values(responses))
          assert.notEqual(description, 'Default Response');
      }
    });

    it('has examples for each body that is sent or answered, and all fit their schemas', () => {
      let count = 0;
      const check = (schema: object, values: readonly unknown[], what: string) => {
        assert.ok(values.length > 0, `${what} has no example`);
        for (const value of values) assertFits(schema, value, what);
        count += values.length;
      };
      for (const [name, { parameters = [], requestBody, responses }] of operations) {
        for (const { name: parameter, schema, example } of parameters) {
          check(schema, [example], `${name} ${parameter}`);
        }
        const bodies = [['request', requestBody?.content ?? {}] as const].concat(
          Object.entries(responses).map(([status, { content = {} }]) => [status, content] as never),
        );
        for (const [of, content] of bodies) {
          for (const [type, { schema, examples = {} }] of Object.entries(content)) {
            const values = Object.values(examples).map(({ value }) => value);
            check(schema, values, `${name} ${of} ${type}`);
          }
        }
        for (const [status, { headers }] of Object.entries(responses)) {
          for (const [header, { schema, example }] of Object.entries(headers)) {
            check(schema, [example], `${name} ${status} ${header}`);
          }
        }
      }
      for (const [name, schema] of Object.entries(specification.components.schemas)) {
        for (const value of schema.examples ?? []) assertFits(schema, value, name);
      }
      assert.ok(count > 50, `${count} examples`);
    });

    it('has in each response an example for every code that it may carry, with its status', () => {
      for (const [name, { responses }] of operations) {
        for (const [status, { content }] of Object.entries(responses)) {
          for (const [code, { value }] of Object.entries(content?.[PROBLEM]?.examples ?? {})) {
            const problem = value as { code: string; status: number };
            assert.deepEqual([problem.code, problem.status], [code, Number(status)], name);
          }
        }
      }
    });
  });
}

const eventSchema = ingest.specification.components.schemas.Event as object;
const event = { type: 'repo.starred', source_type: 'user', source_id: 'octocat' };

/** Asserts that both judge a value alike, and returns how. */
function agree(value: unknown): boolean {
  assert.equal(fits(eventSchema, value), isEventInput(value), JSON.stringify(value));
  return isEventInput(value);
}

const two = (number: number) => String(number).padStart(2, '0');

describe('the schema Event and the code agree', () => {
  it('about every character of a name, alone and within', () => {
    const { id } = (eventSchema as { properties: { id: object } }).properties;
    let valid = 0;
    // All of the first plane, and the ends of each other one.
    const others = Array.from({ length: 16 }, (_, plane) => [
      (plane + 1) << 16,
      ((plane + 2) << 16) - 1,
    ]).flat();
    for (const point of [...Array.from({ length: 0x10000 }).keys(), ...others]) {
      const text = String.fromCodePoint(point);
      for (const name of [text, `a${text}b`]) {
        assert.equal(fits(id, name), isEventId(name), `U+${point.toString(16)}`);
        if (isEventId(name)) valid += 1;
      }
    }
    assert.ok(valid > 100_000 && valid < 2 * (0x10000 + others.length), `${valid}`);
  });

  it('about lengths, which count code points, and about types', () => {
    let valid = 0;
    let count = 0;
    for (const name of Object.keys(EventInput.properties)) {
      const texts = ['a', 'é', '漢', '😀'].flatMap((letter) =>
        [0, 1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257].map((length) => letter.repeat(length)),
      );
      const others = [
        null,
        true,
        0,
        1.5,
        [],
        {},
        [event],
        '\ud800',
        '\udc00\ud800',
        'A',
        'a b',
        'a\n',
        '__proto__',
      ];
      for (const value of [...texts, ...others]) {
        if (agree({ ...event, [name]: value })) valid += 1;
        count += 1;
      }
    }
    assert.ok(valid > 100 && valid < count - 100, `${valid} of ${count}`);
  });

  it('about members that are missing, unknown, or of no object', () => {
    for (const value of [null, 1, 'event', [], [event], true, {}, event]) agree(value);
    for (const name of Object.keys(event))
      agree(Object.fromEntries(Object.entries(event).filter(([key]) => key !== name)));
    for (const name of ['more', '', 'Type', 'constructor', 'toString']) {
      assert.equal(agree({ ...event, [name]: 1 }), false);
    }
    assert.equal(agree(JSON.parse(`{"__proto__":1,${JSON.stringify(event).slice(1)}`)), false);
  });

  it('about every day of a calendar, and the forms of a time', () => {
    let days = 0;
    for (const year of ['0000', '0001', '1900', '2000', '2023', '2024', '2100', '9999']) {
      for (let month = 0; month <= 13; month += 1) {
        for (let day = 0; day <= 32; day += 1) {
          if (agree({ ...event, time: `${year}-${two(month)}-${two(day)}T12:00:00Z` })) days += 1;
        }
      }
    }
    assert.equal(days, 7 * 365 + 2);
    const day = '2026-11-23';
    for (const time of [
      'T00:00:00Z',
      'T23:59:59Z',
      'T24:00:00Z',
      'T23:60:00Z',
      'T23:59:60Z',
      't12:00:00Z',
      'T12:00:00z',
      'T12:00:00',
      'T12:00Z',
      ' 12:00:00Z',
      'T12:00:00.Z',
      'T12:00:00,1Z',
      'T12:00:00.123456789Z',
      'T12:00:00+00:00',
      'T12:00:00-23:59',
      'T12:00:00+24:00',
      'T12:00:00+00:60',
      'T12:00:00+0000',
      `T12:00:00.${'1'.repeat(43)}Z`,
      `T12:00:00.${'1'.repeat(44)}Z`,
      'T12:00:00Z ',
      'T12:00:00Z\n',
      '',
    ]) {
      agree({ ...event, time: day + time });
    }
  });
});
