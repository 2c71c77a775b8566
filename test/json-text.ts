import fc from 'fast-check';

/**
 * JSON as text, in all the spellings that the grammar allows (RFC 8259): what a value generator and JSON.stringify would
 * never write, and what a service that parses and writes again would change.
 */

const space = fc.stringMatching(/^[ \t\n\r]{0,3}$/);

const number = fc.oneof(
  fc.stringMatching(/^-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,4})?$/),
  fc.constantFrom(
    '9007199254740993',
    '1.10',
    '1e400',
    '-0',
    '-0.0',
    '1E+05',
    '0e0',
    '123456789012345678901234567890',
  ),
);

const hexDigit = fc.constantFrom(...'0123456789abcdefABCDEF');
const hex = fc.tuple(hexDigit, hexDigit, hexDigit, hexDigit).map((digits) => `\\u${digits.join('')}`);
const piece = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .string({ unit: 'binary', minLength: 1, maxLength: 6 })
      .map((text) => JSON.stringify(text).slice(1, -1)),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '\\"',
      '\\\\',
      '\\/',
      '\\b',
      '\\f',
      '\\n',
      '\\r',
      '\\t',
      '/',
      '\u007f',
      '\u2028',
      '😀',
    ),
  },
  { weight: 1, arbitrary: hex },
  { weight: 1, arbitrary: fc.constantFrom('\\ud83d\\ude00', '\\ud800', '\\u0000') },
);
const string = fc.array(piece, { maxLength: 4 }).map((pieces) => `"${pieces.join('')}"`);
const name = string.filter((text) => JSON.parse(text) !== '__proto__');

const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.oneof(number, string, fc.constantFrom('true', 'false', 'null')),
    fc
      .tuple(
        space,
        fc.array(
          fc.tuple(space, tie('value'), space).map((parts) => parts.join('')),
          { maxLength: 4 },
        ),
      )
      .map(([inside, items]) => (items.length === 0 ? `[${inside}]` : `[${items.join(',')}]`)),
    fc
      .tuple(
        space,
        fc.uniqueArray(fc.tuple(name, space, space, tie('value'), space), {
          maxLength: 4,
          selector: ([text]) => JSON.parse(text) as string,
        }),
      )
      .map(([inside, members]) =>
        members.length === 0
          ? `{${inside}}`
          : `{${members.map(([text, before, behind, item, end]) => `${inside}${text}${before}:${behind}${item}${end}`).join(',')}}`,
      ),
  ),
}));

/** Any JSON value, as text. */
export const jsonText: fc.Arbitrary<string> = value;

export interface WrittenEvent {
  readonly text: string;
  readonly hasId: boolean;
  readonly hasTime: boolean;
}

/**
 * A valid event as text: its members in any order, with any white space, and any `data`.
 * @param idOf makes the ids of one run unlike those of any other.
 */
export function eventText(idOf: (number: number) => string): fc.Arbitrary<WrittenEvent> {
  return fc
    .record({
      id: fc.option(fc.nat()),
      time: fc.option(fc.constantFrom('2026-01-02T03:04:05+01:00', '2024-02-29T23:59:59.123456789Z')),
      sourceId: fc.constantFrom('octocat', 'owner/repo', 'ü:@.', 'a\\u0062c', '\\/'),
      data: fc.option(jsonText),
      spaces: fc.array(space, { minLength: 14, maxLength: 14 }),
      order: fc.array(fc.nat(), { minLength: 6, maxLength: 6 }),
    })
    .map(({ id, time, sourceId, data, spaces, order }) => {
      const members = [
        ...(id === null ? [] : [`"id"${spaces[0]}:${spaces[1]}"${idOf(id)}"`]),
        ...(time === null ? [] : [`"time"${spaces[2]}:${spaces[3]}"${time}"`]),
        ...(data === null ? [] : [`"data"${spaces[4]}:${spaces[5]}${data}`]),
        `"type":${spaces[6]}"t"`,
        `"source_type"${spaces[7]}:"user"`,
        `"source\\u005fid":${spaces[8]}"${sourceId}"`,
      ];
      const inOrder = members
        .map((member, index) => ({ member, rank: order[index] ?? 0 }))
        .toSorted((a, b) => a.rank - b.rank)
        .map(({ member }, index) => `${spaces[9 + (index % 2)]}${member}${spaces[11 + (index % 2)]}`);
      return { text: `{${inOrder.join(',')}${spaces[13]}}`, hasId: id !== null, hasTime: time !== null };
    });
}
