import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { RequestSpan, SendSpan, TraceContext, TraceParent, Tracing } from '../tracing.ts';
import type { Hold } from './buffer-budget.ts';
import { encodeRecordHeaders } from './record-batch.ts';

/** Version 00 has exactly these fields; a later one may have more behind them (W3C Trace Context, 3.2). */
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]*)?$/;
const TRACEPARENT_LENGTH = 55;
const TRACE_ID_AT = 3;
const TRACE_ID_LENGTH = 32;
/** Of the list that vendors add; longer ones need not be passed on (3.3.1.5). */
const TRACESTATE_LENGTH_MAX = 512;
/** Both, as headers of a record. */
export const TRACE_HEADERS_BYTES_MAX = 2 * TRACESTATE_LENGTH_MAX + 64;
/** What a span of publishing keeps in memory, with the longest `tracestate`. */
const SEND_SPAN_BYTES = 2048;
const TRACESTATE = /^[\x20-\x7e\t]+$/;

declare module 'fastify' {
  interface FastifyRequest {
    /** `undefined`: nobody collects spans, or too many are open. */
    span: RequestSpan | undefined;
  }
}

/** What the records of a request get of its trace. */
export interface RecordTrace {
  /** `traceparent` and `tracestate`, see record-batch.ts. */
  readonly headers: Buffer | undefined;
  /** That of which their notifications are a part. */
  readonly span: TraceContext | undefined;
}

/** Gives each request of the scope a span, until its answer has left or its connection is closed. */
export function requestSpans(scope: FastifyInstance, tracing: Tracing | undefined): void {
  scope.decorateRequest('span', undefined);
  if (tracing === undefined) return;
  scope.addHook('onRequest', (request, { raw: response }, done) => {
    const { raw, id, routeOptions } = request;
    const span = tracing.request({ raw, id, route: routeOptions.url ?? '' }, traceParentOf(request));
    if (span !== undefined) {
      request.span = span;
      const spans = spansOn(raw.socket);
      spans.add(span);
      response.once('close', () => {
        spans.delete(span);
        span.end(response.writableFinished ? response.statusCode : undefined);
      });
    }
    done();
  });
}

/** Node tells no response that its connection is closed when a tunnel was asked for behind it. */
const open = new WeakMap<Socket, Set<RequestSpan>>();

function spansOn(socket: Socket): Set<RequestSpan> {
  const known = open.get(socket);
  if (known !== undefined) return known;
  const spans = new Set<RequestSpan>();
  open.set(socket, spans);
  socket.once('close', () => {
    for (const span of spans) span.end(undefined);
    spans.clear();
  });
  return spans;
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

/** The id of the trace that a request belongs to, for the log. */
export function traceIdOf(request: Pick<FastifyRequest, 'headers' | 'span'>): string | undefined {
  if (request.span !== undefined) return request.span.traceId;
  return traceParentOf(request)?.traceparent.slice(TRACE_ID_AT, TRACE_ID_AT + TRACE_ID_LENGTH);
}

function traceParentOf({ headers }: Pick<FastifyRequest, 'headers'>): TraceParent | undefined {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string' || !isTraceparent(traceparent)) return undefined;
  const isPassedOn =
    typeof tracestate === 'string' &&
    tracestate.length <= TRACESTATE_LENGTH_MAX &&
    TRACESTATE.test(tracestate);
  return { traceparent, ...(isPassedOn && { tracestate }) };
}

function isTraceparent(value: string): boolean {
  const isWhole = value.startsWith('00')
    ? value.length === TRACEPARENT_LENGTH
    : value.length <= TRACESTATE_LENGTH_MAX;
  return isWhole && TRACEPARENT.test(value);
}
