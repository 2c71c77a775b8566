import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { EventInput, type Fault } from '../event.ts';
import type { KeepRequest } from '../http/http-server.ts';
import { ADMISSION_CODES, problemResponses, REQUEST_ID_PARAMETER } from '../http/specification.ts';
import { CURSOR_LENGTH_MAX, type Cursors } from './cursor.ts';
import { LOOKED_AT_MAX, type Look } from './event-queries.ts';
import { isReadableSource, PARAMETER_LENGTH_MAX, SourceParameters, sourceOf } from './source-parameters.ts';
import { CACHED_HEADERS, EXAMPLES_OF_READING, IF_NONE_MATCH_PARAMETER } from './specification.ts';
import type { StoredEvents } from './stored-events.ts';
import { type TaggedAnswerOptions, taggedAnswer } from './tagged-answer.ts';

export interface ListRouteOptions extends TaggedAnswerOptions {
  readonly readPage: StoredEvents['page'];
  /** Those of the store as it is known now; `undefined`: it is not known yet. */
  readonly cursors: () => Cursors | undefined;
  readonly keepRequest: KeepRequest;
}

const LIMIT_DEFAULT = 100;

const EXAMPLE_CURSOR = 'ARHBcKn5UrM2UjiLR9sbFkQQ7MqrnxCAyB82JTrdHopKnetdMg';

const Cursor = Type.String({ minLength: 1, maxLength: CURSOR_LENGTH_MAX, pattern: '^[A-Za-z0-9_-]+$' });
const cursorParameter = (description: string) =>
  Type.Optional({ ...Cursor, description, examples: [EXAMPLE_CURSOR] });

const ListQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000,
        default: LIMIT_DEFAULT,
        description: 'How many events a page has at most. It may have fewer, see above.',
        examples: [50],
      }),
    ),
    before: cursorParameter(
      'The cursor `before` of a page: leads to the events that are older than those on it. Not together with `after`.',
    ),
    after: cursorParameter(
      'The cursor `after` of a page: leads to the events that are newer than those on it, the oldest of them first in turn. Not together with `before`.',
    ),
    type: Type.Optional({ ...EventInput.properties.type, description: 'Only events of this type.' }),
  },
  { additionalProperties: false },
);

const EXCLUSIVE: readonly Fault[] = ['/before', '/after'].map((pointer) => ({
  pointer,
  detail: 'must not be given together with the other',
}));

/** `GET /v1/sources/{source_type}/{source_id}/events`: the events of a source, a page at a time. */
export function listRoute(scope: FastifyInstance, options: ListRouteOptions): void {
  const { readPage, cursors: cursorsNow, answerProblem, keepRequest } = options;

  scope.get<{ Params: Static<typeof SourceParameters>; Querystring: Static<typeof ListQuery> }>(
    '/v1/sources/:source_type/:source_id/events',
    { schema },
    async (request, reply) => {
      if (request.countedBytes === 0) return answerProblem(reply, { code: 'busy' });
      const { params, client, query } = request;
      if (!isReadableSource(params, client)) return answerProblem(reply, { code: 'not-found' });
      const { limit = LIMIT_DEFAULT, before, after, type } = query;
      if (before !== undefined && after !== undefined)
        return answerProblem(reply, { code: 'invalid-request', errors: EXCLUSIVE });
      const cursors = cursorsNow();
      if (cursors === undefined) return answerProblem(reply, { code: 'store-unavailable' });
      const source = sourceOf(params);
      const scopeOfCursors = { ...source, type };
      const cursor = before ?? after;
      const from = cursor === undefined ? undefined : cursors.read(scopeOfCursors, cursor);
      if (cursor !== undefined && from === undefined) {
        const pointer = before === undefined ? '/after' : '/before';
        const errors = [{ pointer, detail: 'must be a cursor of this list, with this type' }];
        return answerProblem(reply, { code: 'invalid-request', errors });
      }
      keepRequest(request);
      const look: Look = { way: after === undefined ? 'older' : 'newer', from, type, limit };
      const page = await readPage(source, look);
      if (typeof page === 'string') return answerProblem(reply, { code: page });
      // Another store has taken its place a moment ago, where these cursors mean nothing.
      if (page.epoch !== cursors.epoch) return answerProblem(reply, { code: 'store-unavailable' });
      const written = (seq: bigint) => cursors.make(scopeOfCursors, seq);
      const body = pageBody(page.values, {
        ...(page.before !== undefined && { before: written(page.before) }),
        after: written(page.after),
      });
      return taggedAnswer(request, reply, body, options);
    },
  );
}

const COMMA = Buffer.from(',');

/** The answer, with the events as they are stored. */
function pageBody(values: readonly Buffer[], ends: { before?: string; after: string }): Buffer {
  return Buffer.concat([
    Buffer.from('{"events":['),
    ...values.flatMap((value, index) => (index === 0 ? [value] : [COMMA, value])),
    Buffer.from(`],${JSON.stringify(ends).slice(1)}`),
  ]);
}

const schema = {
  operationId: 'listEvents',
  tags: ['events'],
  summary: 'Read the events of a source',
  description: [
    'The newest first, each with the bytes that are stored. `before` leads on to older events and is there as long as there are any. `after` leads to newer ones, and is always there: following it again and again, a client gets each event that comes, once and without a gap, in the order in which the store got them.',
    `A page ends before \`limit\` when its events would have more than 4 MiB together, or a sixteenth of BUFFER_MAX_BYTES. With \`type\`, ${LOOKED_AT_MAX} events of the source are looked at for one page: it may have none, and its cursors go on all the same.`,
    `Cursors hold for this source and this \`type\`. The parts of the path are percent-encoded: the source \`octocat/hello-world\` is \`octocat%2Fhello-world\`. One of more than ${PARAMETER_LENGTH_MAX} characters is refused as too long.`,
    'A source that the credentials do not allow to read is not found. One that they do, and that has no events, is an empty page.',
  ].join('\n\n'),
  params: SourceParameters,
  querystring: ListQuery,
  headers: Type.Object({ ...REQUEST_ID_PARAMETER, ...IF_NONE_MATCH_PARAMETER }),
  response: {
    200: {
      description: 'A page of events.',
      headers: CACHED_HEADERS,
      content: {
        'application/json': {
          schema: Type.Object({
            events: Type.Array(Type.Unsafe({ $ref: 'Event#' }), { description: 'The newest first.' }),
            before: Type.Optional({
              ...Cursor,
              description: 'Leads to older events. Absent: there are none.',
            }),
            after: { ...Cursor, description: 'Leads to newer events, those that are yet to come included.' },
          }),
          examples: {
            page: {
              value: {
                events: [
                  {
                    id: '0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01',
                    time: '2026-11-23T12:00:00.000Z',
                    type: 'repo.starred',
                    source_type: 'user',
                    source_id: 'octocat',
                    data: { repo: 'octocat/hello-world' },
                  },
                ],
                before: EXAMPLE_CURSOR,
                after: 'AakgxoVAu_mWsLan4xbCG6M1UBDfB6WYVOXePxaSp6d_ia_BHQ',
              },
            },
            empty: { value: { events: [], after: EXAMPLE_CURSOR } },
          },
        },
      },
    },
    304: { description: 'What the client has still holds.', type: 'null', headers: CACHED_HEADERS },
    ...problemResponses(
      [
        'not-found',
        'uri-too-long',
        'invalid-request',
        ...ADMISSION_CODES,
        'store-unavailable',
        'busy',
        'event-too-large-to-read',
      ],
      [],
      EXAMPLES_OF_READING,
    ),
  },
};
