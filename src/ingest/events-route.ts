import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { type ErrorCode, errorRow } from '../errors.ts';
import { freeNow } from '../http/gathered-bytes.ts';
import { ADMISSION_CODES, problemResponses, REQUEST_ID_PARAMETER } from '../http/specification.ts';
import { encodingOf, readEvent } from './event-reader.ts';
import type { Outcome } from './outcome.ts';
import { permitted } from './permitted.ts';
import { type EventsRouteOptions, followWait, type ReceivedEvents, receiveEvents } from './receive-events.ts';
import { CONTENT_ENCODING_PARAMETER, limitText, STORED_MEMBERS, TRACE_PARAMETERS } from './specification.ts';
import { recordTrace, sendSpan } from './trace-context.ts';

const ONE_EVENT = { mediaTypes: ['application/json'], takesLong: false } as const;

type Received = Extract<ReceivedEvents, { status: 'received' }>;

/** `POST /v1/events`: one event, answered when it is settled (promises P1 and P4). */
export function eventsRoute(scope: FastifyInstance, options: EventsRouteOptions): void {
  const { publish, metrics, answerProblem, eventBytesMax, publishTimeoutMs } = options;

  scope.post('/v1/events', { schema }, (request, reply) => {
    receiveEvents(request, reply, options, ONE_EVENT, (received) => {
      if (received.status === 'received') store(request, reply, received);
      else if (received.status === 'refused') refuse(reply, received.code);
    });
  });

  function store(request: FastifyRequest, reply: FastifyReply, received: Received): void {
    const { bytes, hold, completeAt, endTurn } = received;
    try {
      const sending = sendSpan(request, hold);
      const read = readEvent(bytes, 0, bytes.length, {
        receivedAtMs: Date.now(),
        eventBytesMax: eventBytesMax(),
        encoding: encodingOf(bytes),
        trace: recordTrace(request, sending),
      });
      const event = permitted(request.client, read);
      if ('code' in event) {
        endTurn();
        hold.close();
        freeNow(bytes);
        metrics.eventsSettled('refused', 1);
        reply.send(answerProblem(reply, event));
        return;
      }
      const timeoutMs = followWait(request, reply, { completeAt, publishTimeoutMs });
      const settled = ([outcome]: readonly Outcome[]) => {
        try {
          if (outcome !== undefined) sending?.settledOne(event.id, outcome);
          answer(reply, event.id, outcome);
        } catch (error) {
          reply.send(error); // a bug, met where nobody else would catch it
        }
      };
      publish({ events: [event], hold, timeoutMs, settled });
      endTurn();
    } catch (error) {
      endTurn();
      hold.close(); // a bug; what it left open would be lost to all requests that follow
      reply.send(error);
    }
  }

  function answer(reply: FastifyReply, id: string, outcome: Outcome | undefined): void {
    if (outcome?.status !== 'stored') {
      reply.send(answerProblem(reply, { code: outcome?.code ?? 'internal-error', id }));
      return;
    }
    const { partition, offset } = outcome;
    reply
      .code(201)
      .header('content-type', 'application/json; charset=utf-8')
      .send(`{"id":${JSON.stringify(id)},"status":"stored","partition":${partition},"offset":${offset}}`);
  }

  /** The event never got as far as being read, so it is counted here. */
  function refuse(reply: FastifyReply, code: ErrorCode): void {
    metrics.eventsSettled(errorRow(code).retryable ? 'not_stored' : 'refused', 1);
    reply.send(answerProblem(reply, { code }));
  }
}

const Stored = Type.Object(STORED_MEMBERS, {
  additionalProperties: false,
  examples: [{ id: '0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01', status: 'stored', partition: 3, offset: 1842 }],
});

const schema = {
  operationId: 'createEvent',
  tags: ['events'],
  summary: 'Store one event',
  description: [
    'Answers 201 when Kafka has acknowledged the event with acks=all, and never before. The record holds the bytes of the request, with `id` and `time` added where they are absent.',
    `The body is JSON (RFC 8259), UTF-8 without a byte order mark. It may have ${limitText('BODY_MAX_BYTES')}, and the event as it is stored ${limitText('EVENT_MAX_BYTES')}; less where the topic allows less.`,
    `The answer comes within ${limitText('PUBLISH_TIMEOUT_MS')} and half a second after the body is complete.`,
  ].join('\n\n'),
  headers: Type.Object({
    ...REQUEST_ID_PARAMETER,
    ...CONTENT_ENCODING_PARAMETER,
    ...TRACE_PARAMETERS,
    prefer: Type.Optional(
      Type.String({
        description:
          '`wait=N`: wait N whole seconds at most, from 1; the answer then is one about an event that is not stored, or not known to be (RFC 7240). More than PUBLISH_TIMEOUT_MS has no effect, as has what is not understood.',
        examples: ['wait=5'],
      }),
    ),
  }),
  'x-request-body': { content: { 'application/json': { schema: { $ref: 'Event#' } } } },
  'x-request-examples': {
    'application/json': {
      'required-only': {
        summary: 'What is required',
        value: { type: 'repo.starred', source_type: 'user', source_id: 'octocat' },
      },
      everything: {
        summary: 'Everything',
        value: {
          id: '0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01',
          type: 'push',
          source_type: 'repo',
          source_id: 'octocat/hello-world',
          time: '2026-11-23T12:00:00.000Z',
          data: { ref: 'refs/heads/main', commits: 3 },
        },
      },
    },
  },
  response: {
    201: {
      description: 'The event is stored: every in-sync replica has it.',
      headers: { 'Preference-Applied': {} },
      content: {
        'application/json': {
          schema: Stored,
          examples: {
            stored: {
              value: {
                id: '0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01',
                status: 'stored',
                partition: 3,
                offset: 1842,
              },
            },
          },
        },
      },
    },
    ...problemResponses(
      [
        'malformed-json',
        'json-too-deep',
        'duplicate-key',
        'forbidden-key',
        'invalid-utf8',
        'malformed-encoding',
        'empty-body',
        'body-too-large',
        'event-too-large',
        'unsupported-media-type',
        'unsupported-encoding',
        'invalid-event',
        ...ADMISSION_CODES,
        'buffer-full',
        'kafka-unavailable',
        'topic-missing',
        'topic-forbidden',
        'kafka-refused',
        'shutting-down',
        'outcome-unknown',
      ],
      [413, 503, 504],
    ),
  },
};
