import type { Logger } from 'pino';
import type { ErrorCode } from '../errors.ts';

const INTERVAL_MS = 10_000;

/**
 * Logs answers with a status from 500 on: of each code the first, then at most one line in ten seconds with the count
 * of those in between. When Kafka is down every request fails, and the log must not be the next thing that is full.
 */
export function failureLog(
  log: Logger,
  nowMs = () => performance.now(),
): (code: ErrorCode, requestId: string, traceId?: string) => void {
  const quiet = new Map<ErrorCode, { untilMs: number; leftOut: number }>();
  return (code, requestId, traceId) => {
    const now = nowMs();
    const last = quiet.get(code);
    if (last !== undefined && now < last.untilMs) {
      last.leftOut += 1;
      return;
    }
    quiet.set(code, { untilMs: now + INTERVAL_MS, leftOut: 0 });
    log.warn(
      { code, request_id: requestId, trace_id: traceId, left_out: last?.leftOut ?? 0 },
      'a request failed',
    );
  };
}
