import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** What is taken over from a client ends up in the log, so it is short and of harmless characters. */
const GIVEN = /^[\w.:-]{1,64}$/;

const processId = randomBytes(5).toString('hex');
let count = 0;

/** The client's own `X-Request-Id` if it can be used, else a new one. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && GIVEN.test(given) ? given : newRequestId();
}

/** Unique within the process, and most likely everywhere. */
export function newRequestId(): string {
  count += 1;
  return `${processId}-${count.toString(36)}`;
}
