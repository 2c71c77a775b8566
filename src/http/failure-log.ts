import type { Logger } from 'pino';
import type { ErrorCode } from '../errors.ts';
import { seldom } from '../seldom.ts';

const INTERVAL_MS = 10_000;

/**
 * Logs answers with a status from 500 on: of each code the first, then at most one line in ten seconds with the count
 * of those in between. When Kafka is down every request fails, and the log must not be the next thing that is full.
 */
export function failureLog(
  log: Logger,
  nowMs = () => performance.now(),
): (code: ErrorCode, requestId: string, traceId?: string) => void {
  const leftOutSince = seldom<ErrorCode>(INTERVAL_MS, nowMs);
  return (code, requestId, traceId) => {
    const leftOut = leftOutSince(code);
    if (leftOut === undefined) return;
    log.warn({ code, request_id: requestId, trace_id: traceId, left_out: leftOut }, 'a request failed');
  };
}
