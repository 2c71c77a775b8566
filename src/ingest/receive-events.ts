import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Metrics } from '../metrics.ts';
import type { PublishRequest } from './dual-publisher.ts';
import { prefersMinimal, waitPreferenceMs } from './preferences.ts';
import type { AnswerProblem } from './problem.ts';
import {
  discardBody,
  type MediaType,
  type ReceivedBody,
  type ReceiveLimits,
  receiveBody,
} from './receive-body.ts';

/** What the routes that take events need, one at a time or many. */
export interface EventsRouteOptions extends ReceiveLimits {
  /** Publishes, and closes the hold that comes with the request. */
  readonly publish: (request: PublishRequest) => void;
  readonly metrics: Pick<Metrics, 'eventsSettled'>;
  readonly answerProblem: AnswerProblem;
  /** One event as it is stored, in bytes. It may change while the service runs. */
  readonly eventBytesMax: () => number;
  readonly publishTimeoutMs: number;
  readonly isClosing: () => boolean;
}

/** Takes in the body of a request for which there is room. When nobody is there to answer, the reply is left alone. */
export async function receiveEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  options: EventsRouteOptions,
  mediaTypes: readonly MediaType[],
): Promise<ReceivedBody> {
  const isClosing = options.isClosing();
  if (isClosing || !request.isCounted) {
    discardBody(request.raw);
    return { status: 'refused', code: isClosing ? 'shutting-down' : 'buffer-full' };
  }
  const received = await receiveBody(request.raw, options, mediaTypes);
  if (received.status === 'aborted') reply.hijack();
  return received;
}

/**
 * Connections on which a batch is being read. What came behind it is published after it: on one connection events are
 * accepted in the order in which they were sent (promise P6), and to read a batch takes several turns.
 */
const reading = new WeakMap<object, Promise<unknown>>();

/** What has to be waited for before events of this request may be published; mostly nothing. */
export function batchBefore({ raw }: FastifyRequest): Promise<unknown> | undefined {
  return reading.get(raw.socket);
}

/**
 * Reads a batch in its turn. Whoever awaits exactly this promise, and publishes in the same turn, goes before all that
 * waits for {@link batchBefore}.
 */
export function readInTurn<T>({ raw: { socket } }: FastifyRequest, read: () => Promise<T>): Promise<T> {
  const before = reading.get(socket);
  const result = before === undefined ? read() : before.then(read);
  const isOver = result.then(
    () => {},
    () => {},
  );
  reading.set(socket, isOver);
  void isOver.then(() => {
    if (reading.get(socket) === isOver) reading.delete(socket);
  });
  return result;
}

/** How long the client waits, in milliseconds. The answer says so if it was the client who shortened it. */
export function followWait(request: FastifyRequest, reply: FastifyReply, publishTimeoutMs: number): number {
  const waitMs = waitPreferenceMs(request.headers.prefer, publishTimeoutMs);
  if (waitMs === undefined) return publishTimeoutMs;
  applied(reply, `wait=${waitMs / 1000}`);
  return waitMs;
}

/** Whether the client wants to hear only of what is not stored. The answer says so. */
export function followMinimal(request: FastifyRequest, reply: FastifyReply): boolean {
  const isMinimal = prefersMinimal(request.headers.prefer);
  if (isMinimal) applied(reply, 'return=minimal');
  return isMinimal;
}

function applied(reply: FastifyReply, preference: string): void {
  const before = reply.getHeader('preference-applied');
  reply.header('preference-applied', before === undefined ? preference : `${before}, ${preference}`);
}
