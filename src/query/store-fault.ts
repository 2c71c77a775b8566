import type { Logger } from 'pino';
import { seldom } from '../seldom.ts';

const INTERVAL_MS = 10_000;

/** Faults of a statement itself: of its syntax and names, and of values that do not fit. */
const OF_STATEMENTS = /^(22|42)/;
/** Of those, what an operator can mend: a table that is not there, and rights that were not given. */
const OF_OPERATORS = new Set(['42P01', '42501']);

/** A word for what PostgreSQL, or the way to it, failed with. Never a statement, nor what it was about. */
export function faultKind(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  // Without a code it is a message of the client library, which are fixed texts.
  return typeof code === 'string' ? code : String(message);
}

/** Whether it is this program that is wrong, and not PostgreSQL that cannot be asked. */
export function isOwnFault(error: unknown): boolean {
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  if (typeof severity !== 'string' || typeof code !== 'string') return false;
  return OF_STATEMENTS.test(code) && !OF_OPERATORS.has(code);
}

/**
 * Logs faults of PostgreSQL: of each kind the first, then at most one line in ten seconds with the count of those in
 * between.
 */
export function storeFaultLog(log: Logger, nowMs = () => performance.now()): (kind: string) => void {
  const leftOutSince = seldom<string>(INTERVAL_MS, nowMs);
  return (kind) => {
    const leftOut = leftOutSince(kind);
    if (leftOut === undefined) return;
    log.warn({ reason: kind, left_out: leftOut }, 'PostgreSQL did not answer a question');
  };
}
