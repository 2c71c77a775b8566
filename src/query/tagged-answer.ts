import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CountAnswer } from '../http/http-server.ts';
import type { AnswerProblem } from '../http/problem.ts';

const TAG_BYTES = 16;

/** How long a large answer may take to leave. Who reads more slowly would keep what others need to be answered. */
export const LEAVE_TIMEOUT_MS = 20_000;
/** Smaller ones leave at once into what the system keeps for a connection. */
const LARGE_BYTES = 16 * 1024;

const ENTITY_TAG = /(?:W\/)?("[^"]*")/g;

/**
 * Of whatever is answered. It may be kept by those who asked and no others, and they have to ask whether it still holds: an
 * event may be removed, and rights taken away.
 */
export const CACHE_CONTROL = 'private, no-cache';

/** A strong entity tag (RFC 9110, 8.8.3): the same for the same bytes alone. */
export function entityTag(body: Buffer): string {
  return `"${createHash('sha256').update(body).digest().subarray(0, TAG_BYTES).toString('base64url')}"`;
}

/** Whether a client that sent this header If-None-Match has it already (RFC 9110, 13.1.2). */
export function isKnown(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  return [...ifNoneMatch.matchAll(ENTITY_TAG)].some(([, known]) => known === tag);
}

export interface TaggedAnswerOptions {
  readonly answerProblem: AnswerProblem;
  readonly countAnswer: CountAnswer;
  /** LEAVE_TIMEOUT_MS unless it is given. */
  readonly leaveTimeoutMs?: number;
}

/** Answers with JSON that is there, or says that it has not changed. */
export function taggedAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  body: Buffer,
  { answerProblem, countAnswer, leaveTimeoutMs = LEAVE_TIMEOUT_MS }: TaggedAnswerOptions,
): FastifyReply {
  const tag = entityTag(body);
  if (isKnown(request.headers['if-none-match'], tag)) return reply.code(304).header('etag', tag).send();
  if (!countAnswer(request, body.length)) return reply.send(answerProblem(reply, { code: 'busy' }));
  if (body.length > LARGE_BYTES) leaveWithin(leaveTimeoutMs, request, reply);
  return reply.header('etag', tag).header('content-type', 'application/json; charset=utf-8').send(body);
}

/** Ends the connection if the answer has not left by then, however steadily it is read. */
function leaveWithin(ms: number, { raw: { socket } }: FastifyRequest, { raw: answer }: FastifyReply): void {
  const timer = setTimeout(() => socket.destroy(), ms);
  const stop = () => {
    clearTimeout(timer);
    socket.off('close', stop);
  };
  answer.once('close', stop);
  // One that waits behind others is not told.
  socket.once('close', stop);
}
