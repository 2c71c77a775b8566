import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../errors.ts';
import type { Hold } from '../http/buffer-budget.ts';
import type { DecodeBody } from '../http/content-coding.ts';
import type { KeepRequest } from '../http/http-server.ts';
import type { AnswerProblem } from '../http/problem.ts';
import {
  discardBody,
  type MediaType,
  type ReceivedBody,
  type ReceiveLimits,
  receiveBody,
} from '../http/receive-body.ts';
import type { PublishRequest } from './dual-publisher.ts';
import type { IngestMetrics } from './metrics.ts';
import { prefersMinimal, waitPreferenceMs } from './preferences.ts';

/** What the routes that take events need, one at a time or many. */
export interface EventsRouteOptions extends ReceiveLimits {
  readonly decodeBody: DecodeBody;
  /** Publishes, and closes the hold that comes with the request. */
  readonly publish: (request: PublishRequest) => void;
  readonly metrics: Pick<IngestMetrics, 'eventsSettled'>;
  readonly answerProblem: AnswerProblem;
  readonly keepRequest: KeepRequest;
  /** One event as it is stored, in bytes. It may change while the service runs. */
  readonly eventBytesMax: () => number;
  readonly publishTimeoutMs: number;
  readonly isClosing: () => boolean;
  /** Told how many bytes of a body have arrived. */
  readonly countReceived: (request: FastifyRequest, bytes: number) => void;
}

export type ReceivedEvents =
  | Exclude<ReceivedBody, { status: 'received' }>
  /** Decoded, and its turn has come: nothing that was sent before it on its connection is still to be published. */
  | {
      readonly status: 'received';
      readonly bytes: Buffer;
      readonly hold: Hold;
      readonly mediaType: MediaType;
      readonly completeAt: number;
      /**
       * Ends its turn: to be called when its events are with the publisher, or none of them ever will be, whatever
       * happens; else those behind it wait for ever. A lost connection does not end it: what came first is still first.
       */
      readonly endTurn: () => void;
    };

/**
 * On one connection events are accepted in the order in which they were sent (promise P6). What takes several turns of
 * the event loop to read, a batch or an encoded body, holds up what came behind it: here for each such connection the
 * end of the latest turn.
 */
const turns = new WeakMap<Socket, Promise<void>>();
const NO_TURN = () => {};

/**
 * Takes in the body of a request for which there is room, and calls `taken` once with what came of it. When nobody is
 * there to answer, the reply is left alone. By callback, because a promise for each event would be felt.
 */
export function receiveEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  options: EventsRouteOptions,
  { mediaTypes, takesLong }: { readonly mediaTypes: readonly MediaType[]; readonly takesLong: boolean },
  taken: (received: ReceivedEvents) => void,
): void {
  const isClosing = options.isClosing();
  if (isClosing || request.countedBytes === 0) {
    discardBody(request.raw);
    taken({ status: 'refused', code: isClosing ? 'shutting-down' : 'buffer-full' });
    return;
  }
  receiveBody(request.raw, options, mediaTypes, (received) => {
    if (received.status === 'aborted') reply.hijack();
    if (received.status !== 'received') {
      taken(received);
      return;
    }
    options.keepRequest(request);
    options.countReceived(request, received.bytes.length);
    const { socket } = request.raw;
    if (takesLong || received.coding !== undefined || turns.has(socket)) {
      takeTurn(socket, received, options).then(taken, (error: Error) => reply.send(error));
    } else {
      taken({ ...received, endTurn: NO_TURN });
    }
  });
}

/** Waits until what came before it on its connection is with the publisher, and decodes the body. */
async function takeTurn(
  socket: Socket,
  received: Extract<ReceivedBody, { status: 'received' }>,
  { decodeBody, publishTimeoutMs }: EventsRouteOptions,
): Promise<ReceivedEvents> {
  const { hold, coding } = received;
  const before = turns.get(socket);
  const { promise: turn, resolve: endTurn } = Promise.withResolvers<void>();
  turns.set(socket, turn);
  void turn.then(() => {
    if (turns.get(socket) === turn) turns.delete(socket);
  });
  const giveUp = () => {
    hold.close();
    endTurn();
  };
  await before;
  let bytes: Buffer | ErrorCode = received.bytes;
  if (performance.now() > received.completeAt + publishTimeoutMs) {
    bytes = 'buffer-full'; // by its own client, who sent many large bodies at once on this connection
  } else if (coding !== undefined && bytes.length > 0) {
    try {
      bytes = await decodeBody(bytes, coding, hold);
    } catch (error) {
      giveUp();
      throw error;
    }
  }
  if (typeof bytes !== 'string') return { ...received, bytes, endTurn };
  giveUp();
  return { status: 'refused', code: bytes };
}

/**
 * How long the client still waits, in milliseconds: what reading took is part of it (promise P5). The answer says so if
 * it was the client who shortened it.
 */
export function followWait(
  request: FastifyRequest,
  reply: FastifyReply,
  { completeAt, publishTimeoutMs }: { readonly completeAt: number; readonly publishTimeoutMs: number },
): number {
  const waitMs = waitPreferenceMs(request.headers.prefer, publishTimeoutMs);
  if (waitMs !== undefined) applied(reply, `wait=${waitMs / 1000}`);
  return Math.max(1, completeAt + (waitMs ?? publishTimeoutMs) - performance.now());
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
