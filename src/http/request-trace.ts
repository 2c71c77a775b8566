import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { RequestSpan, TraceParent, Tracing } from '../tracing.ts';

/** Version 00 has exactly these fields; a later one may have more behind them (W3C Trace Context, 3.2). */
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]*)?$/;
const TRACEPARENT_LENGTH = 55;
const TRACE_ID_AT = 3;
const TRACE_ID_LENGTH = 32;
/** Of the list that vendors add; longer ones need not be passed on (3.3.1.5). */
export const TRACESTATE_LENGTH_MAX = 512;
const TRACESTATE = /^[\x20-\x7e\t]+$/;

declare module 'fastify' {
  interface FastifyRequest {
    /** `undefined`: nobody collects spans, or too many are open. */
    span: RequestSpan | undefined;
  }
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

/** The id of the trace that a request belongs to, for the log. */
export function traceIdOf(request: Pick<FastifyRequest, 'headers' | 'span'>): string | undefined {
  if (request.span !== undefined) return request.span.traceId;
  return traceParentOf(request)?.traceparent.slice(TRACE_ID_AT, TRACE_ID_AT + TRACE_ID_LENGTH);
}

/** What a request says of its trace, if that can be one. */
export function traceParentOf({ headers }: Pick<FastifyRequest, 'headers'>): TraceParent | undefined {
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
