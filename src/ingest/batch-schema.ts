import Type from 'typebox';
import { type ErrorCode, errorRow } from '../errors.ts';
import { EventId } from '../event.ts';
import { ADMISSION_CODES, problemResponses, REQUEST_ID_PARAMETER } from '../http/specification.ts';
import {
  CONTENT_ENCODING_PARAMETER,
  defaultOf,
  limitText,
  STORED_MEMBERS,
  TRACE_PARAMETERS,
} from './specification.ts';

const index = Type.Integer({ minimum: 0, description: 'The place of the event in the request, from 0.' });

/** What a result can carry; what concerns the whole request is a problem document instead. */
const RESULT_CODES: readonly ErrorCode[] = [
  'malformed-json',
  'json-too-deep',
  'duplicate-key',
  'forbidden-key',
  'invalid-utf8',
  'event-too-large',
  'invalid-event',
  'forbidden',
  'batch-aborted',
  'buffer-full',
  'kafka-unavailable',
  'topic-missing',
  'topic-forbidden',
  'kafka-refused',
  'shutting-down',
  'outcome-unknown',
];

const StoredResult = Type.Object({ index, ...STORED_MEMBERS });

const FailedResult = Type.Object({
  index,
  id: Type.Optional(EventId),
  status: Type.Enum(['refused', 'not_stored', 'unknown'], {
    description:
      '`refused`: sending it again unchanged is useless. `not_stored`: certainly not in Kafka, safe to send again. `unknown`: it may be in Kafka; send it again with the same id, consumers drop the copy.',
  }),
  code: Type.Enum([...RESULT_CODES], { description: 'What programs should decide by.' }),
  detail: Type.String({ description: 'The rule that is broken, or what the code means.' }),
  pointer: Type.Optional(
    Type.String({ description: 'Where in the event the fault is (JSON pointer, RFC 6901).' }),
  ),
  retryable: Type.Boolean({ description: 'Whether sending the same again, with the same id, can succeed.' }),
});

/** The answer about a batch that was read, whatever became of its events. */
export const BatchAnswer = Type.Object(
  {
    stored: Type.Integer({ minimum: 0, description: 'How many events are stored.' }),
    failed: Type.Integer({ minimum: 0, description: 'How many are not, or not known to be.' }),
    results: Type.Array(Type.Union([StoredResult, FailedResult]), {
      description:
        'One for each event, in the order of the request; with `Prefer: return=minimal` only for those that are not stored.',
    }),
  },
  { $id: 'BatchAnswer' },
);

const STORED = {
  index: 0,
  id: '0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01',
  status: 'stored',
  partition: 3,
  offset: 1842,
};
const INVALID = { ...failed('refused', 'invalid-event'), detail: 'is required', pointer: '/source_id' };

/** The second of two events, as it ended. */
function failed(status: 'refused' | 'not_stored' | 'unknown', code: ErrorCode) {
  const { title, retryable } = errorRow(code);
  return { index: 1, id: 'second', status, code, detail: title, retryable };
}

/** The statuses of an answer with results: what they mean, and the results of an example. */
const answers: readonly (readonly [status: number, description: string, results: readonly object[]])[] = [
  [200, 'Every event is stored.', [STORED]],
  [207, 'Some events are stored and some are not: see the results.', [STORED, INVALID]],
  [403, 'The client may send none of these events.', [{ ...failed('refused', 'forbidden'), index: 0 }]],
  [422, 'No event is stored, because of faults in what was sent.', [{ ...INVALID, index: 0 }]],
  [
    503,
    'No event is stored, and sending some of them again can succeed.',
    [{ ...failed('not_stored', 'kafka-unavailable'), index: 0 }, INVALID],
  ],
  [
    504,
    'No event is known to be stored, and some may be.',
    [{ ...failed('unknown', 'outcome-unknown'), index: 0 }, failed('not_stored', 'kafka-unavailable')],
  ],
];

const problems = problemResponses([
  'malformed-json',
  'invalid-utf8',
  'malformed-encoding',
  'empty-body',
  'body-too-large',
  'batch-too-large',
  'unsupported-media-type',
  'unsupported-encoding',
  'batch-empty',
  'invalid-request',
  ...ADMISSION_CODES,
  'buffer-full',
  'shutting-down',
]);

/** A status may come with results, or with a problem where the batch was not read or not accepted at all. */
const responses = Object.fromEntries(
  answers.map(([status, description, results]) => {
    const problem = problems[status];
    const stored = results.filter((result) => result === STORED).length;
    const value = { stored, failed: results.length - stored, results };
    return [
      status,
      {
        description: [description, ...(problem === undefined ? [] : [problem.description])].join(' '),
        headers: { ...problem?.headers, 'Preference-Applied': {} },
        content: {
          'application/json': { schema: { $ref: 'BatchAnswer#' }, examples: { results: { value } } },
          ...problem?.content,
        },
      },
    ];
  }),
);

const EXAMPLE_EVENTS = [
  { type: 'repo.starred', source_type: 'user', source_id: 'octocat' },
  { id: 'second', type: 'push', source_type: 'repo', source_id: 'octocat/hello-world', data: { commits: 3 } },
];

export const batchSchema = {
  operationId: 'createEvents',
  tags: ['events'],
  summary: 'Store many events',
  description: [
    'Each event has an outcome of its own, and a valid one is not held back by one that is refused. The status is the first that fits: 200 all are stored, 207 some are, 504 some may be, 503 some can be sent again, 403 all are forbidden, else 422.',
    `The body, UTF-8 without a byte order mark, is a JSON array of events or a line for each (\`application/x-ndjson\`; blank lines are none, an unreadable line spoils only itself). It may have ${limitText('BODY_MAX_BYTES')} and ${limitText('BATCH_MAX_EVENTS')} events, and each event as it is stored ${limitText('EVENT_MAX_BYTES')}; less where the topic allows less.`,
    `The answer comes within ${limitText('PUBLISH_TIMEOUT_MS')} and half a second after the body is complete.`,
  ].join('\n\n'),
  querystring: Type.Object(
    {
      on_refused: Type.Optional(
        Type.Enum(['abort'], {
          description: '`abort`: if any event is refused none is sent; the others are `not_stored`.',
          examples: ['abort'],
        }),
      ),
    },
    { additionalProperties: false },
  ),
  headers: Type.Object({
    ...REQUEST_ID_PARAMETER,
    ...CONTENT_ENCODING_PARAMETER,
    ...TRACE_PARAMETERS,
    prefer: Type.Optional(
      Type.String({
        description:
          '`wait=N`: wait N whole seconds at most, from 1. `return=minimal`: leave out the results of events that are stored (RFC 7240). What is not understood has no effect.',
        examples: ['wait=5, return=minimal'],
      }),
    ),
  }),
  'x-request-body': {
    content: {
      'application/json': {
        schema: {
          type: 'array',
          items: { $ref: 'Event#' },
          minItems: 1,
          maxItems: defaultOf('BATCH_MAX_EVENTS'),
        },
      },
      'application/x-ndjson': {
        schema: {
          type: 'string',
          pattern: '[^ \\t\\r\\n]',
          description: 'An event on each line, as JSON in which no line ends.',
        },
      },
    },
  },
  'x-request-examples': {
    'application/json': { two: { summary: 'Two events', value: EXAMPLE_EVENTS } },
    'application/x-ndjson': {
      two: {
        summary: 'Two events',
        value: EXAMPLE_EVENTS.map((event) => `${JSON.stringify(event)}\n`).join(''),
      },
    },
  },
  response: { ...problems, ...responses },
};
