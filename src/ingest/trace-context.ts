import type { FastifyRequest } from 'fastify';
import type { Hold } from '../http/buffer-budget.ts';
import { TRACESTATE_LENGTH_MAX, traceParentOf } from '../http/request-trace.ts';
import type { SendSpan, TraceContext } from '../tracing.ts';
import { encodeRecordHeaders } from './record-batch.ts';

/** `traceparent` and `tracestate`, as headers of a record. */
export const TRACE_HEADERS_BYTES_MAX = 2 * TRACESTATE_LENGTH_MAX + 64;
/** What a span of publishing keeps in memory, with the longest `tracestate`. */
const SEND_SPAN_BYTES = 2048;

/** What the records of a request get of its trace. */
export interface RecordTrace {
  /** `traceparent` and `tracestate`, see record-batch.ts. */
  readonly headers: Buffer | undefined;
  /** That of which their notifications are a part. */
  readonly span: TraceContext | undefined;
}

/** The span of publishing what a request holds; `undefined`: it has none, or there is no room for it. */
export function sendSpan({ span }: FastifyRequest, hold: Hold): SendSpan | undefined {
  if (span === undefined || (span.isRecording && !hold.take(SEND_SPAN_BYTES))) return undefined;
  return span.send();
}

/**
 * The trace that the records of a request belong to, so that consumers can go on with it: that of `sending`, or without
 * spans what the request says. `undefined`: it belongs to none, or what it says cannot be one.
 */
export function recordTrace(
  request: Pick<FastifyRequest, 'headers'>,
  sending: SendSpan | undefined,
): RecordTrace | undefined {
  const parent = sending?.traceParent ?? traceParentOf(request);
  return parent && { headers: encodeRecordHeaders({ ...parent }), span: sending?.context };
}
