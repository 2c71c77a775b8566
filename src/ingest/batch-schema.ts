import Type from 'typebox';
import { type ErrorCode, errors } from '../errors.ts';
import { EventId } from '../event.ts';
import { problemResponses, REQUEST_ID_HEADER, REQUEST_ID_PARAMETER } from './specification.ts';

const index = Type.Integer({ minimum: 0, description: 'The place of the event in the request, from 0.' });
const codes = Object.keys(errors) as ErrorCode[];

const StoredResult = Type.Object({
  index,
  id: EventId,
  status: Type.Literal('stored'),
  partition: Type.Integer({ minimum: 0, description: 'The partition of the record in Kafka.' }),
  offset: Type.Integer({ minimum: 0, description: 'The offset of the record in its partition.' }),
});

const FailedResult = Type.Object({
  index,
  id: Type.Optional(EventId),
  status: Type.Enum(['refused', 'not_stored', 'unknown'], {
    description:
      '`refused`: sending it again unchanged is useless. `not_stored`: certainly not in Kafka, safe to send again. `unknown`: it may be in Kafka; send it again with the same id, consumers drop the copy.',
  }),
  code: Type.Enum(codes, { description: 'What programs should decide by.' }),
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
  {
    $id: 'BatchAnswer',
    examples: [
      {
        stored: 1,
        failed: 1,
        results: [
          {
            index: 0,
            id: '0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01',
            status: 'stored',
            partition: 3,
            offset: 1842,
          },
          {
            index: 1,
            status: 'refused',
            code: 'invalid-event',
            detail: 'is required',
            pointer: '/source_id',
            retryable: false,
          },
        ],
      },
    ],
  },
);

const answers: readonly (readonly [status: number, description: string])[] = [
  [200, 'Every event is stored.'],
  [207, 'Some events are stored and some are not: see the results.'],
  [403, 'The client may send none of these events.'],
  [422, 'No event is stored, because of faults in what was sent.'],
  [503, 'No event is stored, and sending some of them again can succeed.'],
  [504, 'No event is known to be stored, and some may be.'],
];

const problems: Record<number, { readonly content?: object; readonly description?: string }> =
  problemResponses([
    'malformed-json',
    'invalid-utf8',
    'malformed-encoding',
    'empty-body',
    'bad-request',
    'request-timeout',
    'body-too-large',
    'batch-too-large',
    'unsupported-media-type',
    'unsupported-encoding',
    'batch-empty',
    'invalid-request',
    'headers-too-large',
    'internal-error',
    'buffer-full',
    'too-many-connections',
    'kafka-unavailable',
    'topic-missing',
    'topic-forbidden',
    'kafka-refused',
    'shutting-down',
  ]);

/** A status may come with results, or with a problem where the batch was not read or not accepted at all. */
const responses = Object.fromEntries(
  answers.map(([status, description]) => {
    const problem = problems[status];
    return [
      status,
      {
        headers: {
          ...REQUEST_ID_HEADER,
          'preference-applied': {
            type: 'string',
            description: 'The preferences of the request that were followed: `wait=N`, `return=minimal`.',
          },
        },
        ...problem,
        description: [description, ...(problem?.description ? [problem.description] : [])].join(' '),
        content: { 'application/json': { schema: { $ref: 'BatchAnswer#' } }, ...problem?.content },
      },
    ];
  }),
);

export const batchSchema = {
  operationId: 'createEvents',
  tags: ['events'],
  summary: 'Store many events',
  description: [
    'Each event has an outcome of its own, and a valid one is not held back by one that is refused. The status is the first that fits: 200 all are stored, 207 some are, 504 some may be, 503 some can be sent again, 403 all are forbidden, else 422.',
    'The body, UTF-8 without a byte order mark, is a JSON array of events or a line for each (`application/x-ndjson`; blank lines are none, an unreadable line spoils only itself). It may have BODY_MAX_BYTES (10485760 unless configured) and BATCH_MAX_EVENTS events (10000 unless configured).',
  ].join('\n\n'),
  querystring: Type.Object(
    {
      on_refused: Type.Optional(
        Type.Enum(['abort'], {
          description: '`abort`: if any event is refused none is sent; the others are `not_stored`.',
        }),
      ),
    },
    { additionalProperties: false },
  ),
  headers: Type.Object({
    ...REQUEST_ID_PARAMETER,
    prefer: Type.Optional(
      Type.String({
        description:
          '`wait=N`: wait N whole seconds at most, from 1. `return=minimal`: leave out the results of events that are stored (RFC 7240).',
        examples: ['wait=5, return=minimal'],
      }),
    ),
  }),
  body: {
    content: {
      'application/json': { schema: { type: 'array', items: { $ref: 'Event#' }, minItems: 1 } },
      'application/x-ndjson': { schema: { type: 'string', description: 'An event on each line.' } },
    },
  },
  response: { ...problems, ...responses },
};
