import type { FastifyInstance } from 'fastify';
import type { CountAnswer, CountFailures } from '../http/http-server.ts';
import type { Problem } from '../http/problem.ts';
import {
  answerBytes,
  type BatchResult,
  batchBody,
  batchStatus,
  failureCounts,
  publishedResult,
  refusedResult,
} from './batch-answer.ts';
import { readBatch } from './batch-reader.ts';
import { batchSchema } from './batch-schema.ts';
import type { PublishableEvent } from './dual-publisher.ts';
import type { Outcome } from './outcome.ts';
import { permitted } from './permitted.ts';
import {
  type EventsRouteOptions,
  followMinimal,
  followWait,
  type ReceivedEvents,
  receiveEvents,
} from './receive-events.ts';
import { recordTrace, sendSpan } from './trace-context.ts';

export interface BatchRouteOptions extends EventsRouteOptions {
  readonly batchEventsMax: number;
  readonly retryAfterSeconds: () => number;
  readonly countAnswer: CountAnswer;
  readonly countFailures: CountFailures;
}

const MANY_EVENTS = { mediaTypes: ['application/json', 'application/x-ndjson'], takesLong: true } as const;
const ABORTED: Outcome = { status: 'not_stored', code: 'batch-aborted' };

/** `POST /v1/events/batch`: many events, each with an outcome of its own, answered when the last is settled. */
export function batchRoute(scope: FastifyInstance, options: BatchRouteOptions): void {
  const {
    publish,
    metrics,
    answerProblem,
    countAnswer,
    countFailures,
    retryAfterSeconds,
    eventBytesMax,
    batchEventsMax,
    publishTimeoutMs,
  } = options;

  scope.post<{ Querystring: { on_refused?: 'abort' } }>(
    '/v1/events/batch',
    { schema: batchSchema },
    async (request, reply) => {
      const received = await new Promise<ReceivedEvents>((taken) => {
        receiveEvents(request, reply, options, MANY_EVENTS, taken);
      });
      if (received.status === 'aborted') return reply;
      if (received.status === 'refused') return answerProblem(reply, { code: received.code });
      const { bytes, hold, mediaType, completeAt, endTurn } = received;
      const refuse = (problem: Problem) => {
        endTurn();
        hold.close();
        return answerProblem(reply, problem);
      };
      try {
        const sending = sendSpan(request, hold);
        const format = mediaType === 'application/json' ? 'json' : 'ndjson';
        const limits = {
          eventBytesMax: eventBytesMax(),
          eventsMax: batchEventsMax,
          trace: recordTrace(request, sending),
        };
        const read = await readBatch(bytes, format, limits);
        if ('code' in read) return refuse(read);
        const items =
          request.client === undefined ? read : read.map((item) => permitted(request.client, item));
        if (!countAnswer(request, answerBytes(items))) {
          metrics.eventsSettled('not_stored', items.length);
          return refuse({ code: 'buffer-full' });
        }
        const events = items.filter((item): item is PublishableEvent => !('code' in item));
        const refused = items.length - events.length;
        metrics.eventsSettled('refused', refused);
        const isAborted = refused > 0 && request.query.on_refused === 'abort';
        const timeoutMs = followWait(request, reply, { completeAt, publishTimeoutMs });
        const isMinimal = followMinimal(request, reply);
        let outcomes: readonly Outcome[] = [];
        if (isAborted || events.length === 0) {
          endTurn();
          hold.close();
          metrics.eventsSettled('not_stored', events.length);
          outcomes = events.map(() => ABORTED);
        } else {
          outcomes = await new Promise((settled) => {
            publish({ events, hold, timeoutMs, settled });
            endTurn();
          });
          sending?.settled(outcomes);
        }
        const results = resultsOf(items, outcomes);
        for (const [code, count] of failureCounts(results)) countFailures(request, code, count);
        const status = isAborted ? 422 : batchStatus(results);
        if (status === 503) reply.header('retry-after', retryAfterSeconds());
        reply.code(status).header('content-type', 'application/json; charset=utf-8');
        return batchBody(results, isMinimal);
      } catch (error) {
        endTurn();
        hold.close(); // a bug; what it left open would be lost to all requests that follow
        throw error;
      }
    },
  );
}

/** The outcomes of the events that were published, in their places among those that were refused. */
function resultsOf(
  items: readonly (PublishableEvent | Problem)[],
  outcomes: readonly Outcome[],
): readonly BatchResult[] {
  let next = 0;
  return items.map((item) => {
    if ('code' in item) return refusedResult(item);
    const outcome = outcomes[next] as Outcome;
    next += 1;
    return publishedResult(item, outcome);
  });
}
