import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import type { KeepRequest } from '../http/http-server.ts';
import { ADMISSION_CODES, problemResponses, REQUEST_ID_PARAMETER } from '../http/specification.ts';
import type { AwaitedEvents } from './awaited-events.ts';
import { EventParameters, isReadableEvent, PARAMETER_LENGTH_MAX, sourceOf } from './source-parameters.ts';
import { CACHED_HEADERS, EXAMPLES_OF_READING, IF_NONE_MATCH_PARAMETER } from './specification.ts';
import type { StoredEvents } from './stored-events.ts';
import { type TaggedAnswerOptions, taggedAnswer } from './tagged-answer.ts';

/** Seconds; a notification is ahead of the store by less. */
export const WAIT_MAX_S = 5;

export interface EventRouteOptions extends TaggedAnswerOptions {
  /** The bytes of an event, or why there are none. */
  readonly readEvent: StoredEvents['event'];
  /** Waits until an event is there. */
  readonly awaitEvent: AwaitedEvents['wait'];
  readonly keepRequest: KeepRequest;
  readonly isClosing: () => boolean;
}

const WaitQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: WAIT_MAX_S,
        description:
          'Seconds to wait for an event that is not there yet, before it is not found. A notification may come before the store has its event.',
        examples: [2],
      }),
    ),
  },
  { additionalProperties: false },
);

/** `GET /v1/sources/{source_type}/{source_id}/events/{id}`: one event, byte for byte as it is stored. */
export function eventRoute(scope: FastifyInstance, options: EventRouteOptions): void {
  const { readEvent, awaitEvent, answerProblem, keepRequest, isClosing } = options;

  scope.get<{ Params: Static<typeof EventParameters>; Querystring: Static<typeof WaitQuery> }>(
    '/v1/sources/:source_type/:source_id/events/:id',
    { schema },
    async (request, reply) => {
      if (request.countedBytes === 0) return answerProblem(reply, { code: 'busy' });
      const { params, client, query } = request;
      if (!isReadableEvent(params, client)) return answerProblem(reply, { code: 'not-found' });
      keepRequest(request);
      const identity = { ...sourceOf(params), id: params.id };
      let found = await readEvent(identity);
      if (found === 'absent' && query.wait) {
        const result = await whileThere(request, (gone) =>
          awaitEvent(identity, (query.wait ?? 0) * 1_000, gone),
        );
        if (result === 'found') found = await readEvent(identity);
        else if (result === 'busy') found = result;
        else if (result === 'failed') found = 'store-unavailable';
        else if (isClosing()) return answerProblem(reply, { code: 'shutting-down' });
      }
      return answer(request, reply, found);
    },
  );

  function answer(
    request: FastifyRequest,
    reply: FastifyReply,
    found: Awaited<ReturnType<typeof readEvent>>,
  ): FastifyReply | Buffer {
    if (found === 'absent') return answerProblem(reply, { code: 'not-found' });
    if (typeof found === 'string') return answerProblem(reply, { code: found });
    return taggedAnswer(request, reply, found, options);
  }
}

/**
 * Does something for a client, and says when there is nobody left to do it for. Who ends their side of the connection has
 * most likely left: that they may still read an answer shows only when it is written.
 */
async function whileThere<Result>(
  { raw: { socket } }: FastifyRequest,
  work: (gone: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const gone = new AbortController();
  const leave = () => gone.abort();
  socket.once('end', leave).once('close', leave);
  if (socket.readableEnded || socket.destroyed) leave();
  try {
    return await work(gone.signal);
  } finally {
    socket.off('end', leave).off('close', leave);
  }
}

const schema = {
  operationId: 'getEvent',
  tags: ['events'],
  summary: 'Read one event',
  description: [
    'Answers with the bytes that are stored: those that were sent, with `id` and `time` added where they were absent.',
    `The parts of the path are percent-encoded: the source \`octocat/hello-world\` is \`octocat%2Fhello-world\`. One of more than ${PARAMETER_LENGTH_MAX} characters is refused as too long.`,
    'An event that the credentials do not allow to read is not found, whether it is there or not.',
  ].join('\n\n'),
  params: EventParameters,
  querystring: WaitQuery,
  headers: Type.Object({ ...REQUEST_ID_PARAMETER, ...IF_NONE_MATCH_PARAMETER }),
  response: {
    200: {
      description: 'The event.',
      headers: CACHED_HEADERS,
      content: {
        'application/json': {
          schema: { $ref: 'Event#' },
          examples: {
            event: {
              value: {
                id: '0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01',
                time: '2026-11-23T12:00:00.000Z',
                type: 'repo.starred',
                source_type: 'user',
                source_id: 'octocat',
                data: { repo: 'octocat/hello-world' },
              },
            },
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
        'shutting-down',
      ],
      [],
      EXAMPLES_OF_READING,
    ),
  },
};
