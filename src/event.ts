import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';

/**
 * An event as a client sends it. The schema states every limit that is enforced on a member; lengths count code
 * points. Nothing here coerces, trims or drops: what does not fit is refused.
 */

/** How deep arrays and objects may be nested inside `data`: a scalar has depth 0, `[]` has depth 1. */
export const DATA_DEPTH_MAX = 64;

/**
 * One pattern for every name that ends up in a channel, a key or a log: no Unicode white space, no control
 * characters, no lone surrogates, none of `* ? [ ] \`. Written as ranges instead of `\p{…}`, so that it means the
 * same in every dialect of regular expressions that a reader of the specification may use.
 */
const NAME_PATTERN =
  '^[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ud800-\\udfff*?\\[\\]\\\\]+$';
/** RFC 3339, narrowed; whether the day exists in its month is beyond a readable pattern, see `isCalendarDate`. */
const TIME_PATTERN =
  '^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$';

const ID_LENGTH_MAX = 128;
const TYPE_LENGTH_MAX = 128;
const SOURCE_TYPE_LENGTH_MAX = 64;
export const SOURCE_ID_LENGTH_MAX = 256;
const TIME_LENGTH_MAX = 64;

const nameRule = (lengthMax: number) =>
  `a string of 1 to ${lengthMax} characters, without white space, control characters, lone surrogates or any of * ? [ ] \\`;

/** What each member has to be, in words: for the specification, and for those whose event was refused. */
const rules = {
  id: nameRule(ID_LENGTH_MAX),
  type: nameRule(TYPE_LENGTH_MAX),
  source_type: `a string of 1 to ${SOURCE_TYPE_LENGTH_MAX} characters out of a-z, 0-9, _ and -`,
  source_id: nameRule(SOURCE_ID_LENGTH_MAX),
  time: `an RFC 3339 date-time with a capital T, and Z or an offset: seconds 00 to 59, years 0001 to 9999, a date that exists, at most ${TIME_LENGTH_MAX} characters`,
} as const;

export const EventId = Type.String({
  description: `Identifies the event within its source: ${rules.id}. A UUIDv7 is assigned where the sender gives none.`,
  minLength: 1,
  maxLength: ID_LENGTH_MAX,
  pattern: NAME_PATTERN,
  examples: ['0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01'],
});

const EventTime = Type.Refine(
  Type.String({
    description: `When it happened: ${rules.time}. Absent: the time of receipt.`,
    maxLength: TIME_LENGTH_MAX,
    pattern: TIME_PATTERN,
    examples: ['2026-11-23T12:00:00.000Z'],
  }),
  isCalendarDate,
);

export const EventInput = Type.Object(
  {
    id: Type.Optional(EventId),
    type: Type.String({
      description: `What happened: ${rules.type}.`,
      minLength: 1,
      maxLength: TYPE_LENGTH_MAX,
      pattern: NAME_PATTERN,
      examples: ['repo.starred'],
    }),
    source_type: Type.String({
      description: `The kind of thing it happened to: ${rules.source_type}.`,
      minLength: 1,
      maxLength: SOURCE_TYPE_LENGTH_MAX,
      pattern: '^[a-z0-9_-]+$',
      examples: ['user'],
    }),
    source_id: Type.String({
      description: `The thing it happened to, within its kind: ${rules.source_id}. Events of one source keep their order.`,
      minLength: 1,
      maxLength: SOURCE_ID_LENGTH_MAX,
      pattern: NAME_PATTERN,
      examples: ['octocat'],
    }),
    time: Type.Optional(EventTime),
    data: Type.Optional(
      Type.Unknown({
        description: `Any JSON, nested to depth ${DATA_DEPTH_MAX} at most, stored byte for byte as sent. No object in it may hold a member named \`__proto__\`, or the same member twice.`,
        examples: [{ repo: 'octocat/hello-world' }],
      }),
    ),
  },
  {
    $id: 'Event',
    additionalProperties: false,
    description: 'An event. A member that is not listed here, or given twice, is refused.',
    examples: [
      {
        type: 'repo.starred',
        source_type: 'user',
        source_id: 'octocat',
        data: { repo: 'octocat/hello-world' },
      },
    ],
  },
);
export type EventInput = Static<typeof EventInput>;

/** An event as it is stored, for documents: what was sent, with the id and the time that the service assigned. */
export const StoredEvent = Type.Object(
  { ...EventInput.properties, id: EventId, time: EventTime },
  {
    description:
      'An event as it is stored. Ignore members that you do not know: later versions may add some.',
  },
);

const storedEvent = Compile(StoredEvent);

/** Whether `value`, as JSON.parse gives it, is an event as the service, or a later version of it, stores it. */
export function isStoredEvent(value: unknown): value is Static<typeof StoredEvent> {
  return storedEvent.Check(value);
}

/** One fault of a value: where it is (a JSON pointer, RFC 6901), and the rule it breaks; never what was sent. */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
}

/** What {@link EventInput} says of members that are listed: for those that are not, TypeBox would try a pattern on each. */
const listedMembers = Compile(Type.Object(EventInput.properties));
const memberNames = new Set(Object.keys(EventInput.properties));
const members = Object.entries(rules).map(([name, rule]) => ({
  name,
  rule,
  validator: Compile(EventInput.properties[name as keyof typeof rules]),
}));
const eventId = Compile(EventId);

/** Whether `value`, as JSON.parse gives it, is an event. */
export function isEventInput(value: unknown): value is EventInput {
  return listedMembers.Check(value) && hasListedMembersOnly(value);
}

function hasListedMembersOnly(value: object): boolean {
  for (const name in value) if (!memberNames.has(name)) return false;
  return true;
}

export function isEventId(value: unknown): value is string {
  return eventId.Check(value);
}

/** All faults of a value that is not an event: one for each member at most, and one for all that are unknown. */
export function eventFaults(value: unknown): Fault[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [{ pointer: '', detail: 'must be an object' }];
  }
  const given = new Map(Object.entries(value));
  const faults: Fault[] = [];
  for (const { name, rule, validator } of members) {
    const pointer = `/${name}`;
    if (given.has(name)) {
      if (!validator.Check(given.get(name))) faults.push({ pointer, detail: `must be ${rule}` });
    } else if (EventInput.required.includes(name as (typeof EventInput.required)[number])) {
      faults.push({ pointer, detail: 'is required' });
    }
    given.delete(name);
  }
  given.delete('data');
  if (given.size > 0) {
    const known = Object.keys(EventInput.properties).join(', ');
    faults.push({ pointer: '', detail: `must have no members besides ${known}` });
  }
  return faults;
}

/** Whether the day exists in its month, for a text that matches the pattern of `time`. */
function isCalendarDate(time: string): boolean {
  const day = Number(time.slice(8, 10));
  if (day <= 28) return true;
  const year = Number(time.slice(0, 4));
  const isLeapYear = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const daysOfMonth = [31, isLeapYear ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return day <= (daysOfMonth[Number(time.slice(5, 7)) - 1] as number);
}
