import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Authentication, Verdict } from '../authentication.ts';
import type { Action, Client } from '../client.ts';
import type { ErrorCode } from '../errors.ts';
import type { BufferBudget } from './buffer-budget.ts';
import { type AnswerProblem, BEARER_CHALLENGE } from './problem.ts';
import type { RateLimiter } from './rate-limits.ts';
import { discardBody, isGivenTwice } from './receive-body.ts';
import { socketErrorCode } from './socket-errors.ts';

export interface AdmissionOptions {
  /** What the requests are for. */
  readonly action: Action;
  /** `undefined`: everybody may do everything. */
  readonly authentication: Pick<Authentication, 'clientOf'> | undefined;
  /** `undefined`: as much as they like. */
  readonly rateLimiter: Pick<RateLimiter, 'request' | 'received'> | undefined;
  readonly budget: Pick<BufferBudget, 'open'>;
  readonly answerProblem: AnswerProblem;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose it is; `undefined` where everybody may do everything. */
    client: Client | undefined;
  }
}

/** What Node takes in of a body while nobody reads it, at most. */
const UNREAD_BYTES_MAX = 64 * 1024;

/**
 * Decides before a body is read whether a client may do this at all, and whether they have asked too often. For which
 * source types they may is known later, by the request.
 */
export function admission(scope: FastifyInstance, options: AdmissionOptions): void {
  const { action, authentication, rateLimiter, budget, answerProblem } = options;
  /** On a connection requests are admitted in their order (promise P6), however long it takes to check each. */
  const checks = new WeakMap<Socket, Promise<unknown>>();

  scope.decorateRequest('client', undefined);
  scope.addHook('onRequest', (request, reply, done) => {
    const admit = (verdict: Verdict | undefined) => {
      if (typeof verdict === 'string') return refuse(request, reply, verdict);
      if (verdict !== undefined && !verdict.mayAtAll(action)) return answer(request, reply, 'forbidden');
      request.client = verdict;
      if (isWithinLimits(request, reply)) done();
    };
    if (authentication === undefined) return admit(undefined);
    const { socket } = request.raw;
    const before = checks.get(socket);
    const verdict =
      before === undefined
        ? check(request, authentication)
        : before.then(() => check(request, authentication));
    if (!(verdict instanceof Promise)) return admit(verdict);
    // Bodies that nobody reads yet are arriving, so they share the part of the buffer that is for those (promise P3).
    const hold = budget.open();
    if (!hold.grow(unreadBytes(request)))
      return answer(request, reply, action === 'read' ? 'busy' : 'buffer-full');
    checks.set(socket, verdict);
    let fault: NodeJS.ErrnoException | undefined;
    const onError = (error: Error) => {
      fault = error; // of the body, which nobody reads yet, see SocketErrors
    };
    request.raw.on('error', onError);
    verdict
      .then((found) => {
        request.raw.off('error', onError);
        hold.close();
        if (checks.get(socket) === verdict) checks.delete(socket);
        if (request.raw.destroyed) reply.hijack();
        else if (fault !== undefined) answer(request, reply, socketErrorCode(fault));
        else admit(found);
      })
      .catch((error: Error) => reply.send(error));
  });

  function isWithinLimits(request: FastifyRequest, reply: FastifyReply): boolean {
    if (rateLimiter === undefined) return true;
    const { retryAfterS, policy, remaining } = rateLimiter.request(nameOf(request));
    reply.header('ratelimit-policy', policy).header('ratelimit', remaining);
    if (retryAfterS === 0) return true;
    reply.header('retry-after', retryAfterS);
    answer(request, reply, 'rate-limited');
    return false;
  }

  function refuse(request: FastifyRequest, reply: FastifyReply, verdict: Exclude<Verdict, Client>): void {
    if (verdict === 'missing') reply.header('www-authenticate', BEARER_CHALLENGE); // without an error, RFC 6750, 3.1
    answer(request, reply, verdict === 'unavailable' ? 'auth-unavailable' : 'unauthorized');
  }

  function answer(request: FastifyRequest, reply: FastifyReply, code: ErrorCode): void {
    discardBody(request.raw);
    reply.send(answerProblem(reply, { code }));
  }
}

/** Without either header there is no body (RFC 9112, 6.3). */
function unreadBytes({ headers }: FastifyRequest): number {
  if (headers['transfer-encoding'] !== undefined) return UNREAD_BYTES_MAX;
  return Math.min(UNREAD_BYTES_MAX, Number(headers['content-length'] ?? 0));
}

function check(
  request: FastifyRequest,
  { clientOf }: Pick<Authentication, 'clientOf'>,
): Verdict | Promise<Verdict> {
  const { headers, rawHeaders } = request.raw;
  return isGivenTwice(rawHeaders, 'authorization') ? 'invalid' : clientOf(headers.authorization);
}

/** Whom the limits are for: where anybody may send, an address. What a header says of it can be made up. */
export function nameOf({ client, raw }: FastifyRequest): string {
  return client?.name ?? networkOf(raw.socket.remoteAddress ?? '');
}

/** Of an IPv6 address the part that is given out as a whole, /64: who has one of its addresses has all of them. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address;
  const [left = '', right] = address.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const groups = [...left];
  if (right !== undefined)
    groups.push(...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right);
  return groups.slice(0, 4).join(':');
}
