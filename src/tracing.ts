import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  type TraceState,
  trace,
} from '@opentelemetry/api';
import type { TracerProvider } from '@opentelemetry/sdk-trace';
import { type TracingOptions, tracerProvider } from './tracing-export.ts';

/**
 * Spans by OpenTelemetry, in its conventions for HTTP and messaging. This file and tracing-export.ts are loaded only where
 * spans are wanted ({@link isTracing} in config.ts), so that without them they cost nothing.
 * Source: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */

/** What identifies a span. It is kept by reference until the last notification of its events is sent. */
export type TraceContext = SpanContext;

/** The trace that a request says it belongs to, valid as W3C Trace Context has it. */
export interface TraceParent {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** How one of the events ended that a span is about. */
export interface SpanOutcome {
  readonly status: string;
  readonly code?: string;
  readonly partition?: number;
  readonly offset?: number;
}

/**
 * Requests that have spans at a time. One keeps 1 to 2 KB (measured), and more than this could not be sent: the
 * processor drops what does not fit its queue.
 */
const OPEN_MAX = 1_000;
const NOTIFICATION_TEMPLATE = 'events:{source_type}:{source_id}';
/** No more than this is waited for a collector that does not answer, when the process ends. */
const CLOSE_TIMEOUT_MS = 2_000;

interface TracedRequest {
  readonly raw: IncomingMessage;
  readonly id: string;
  readonly route: string;
}

/** Begins spans, and sends those that are over to the collector. It neither throws nor waits. */
export class Tracing {
  readonly #tracer: Tracer;
  readonly #provider: TracerProvider;
  readonly #topic: string;
  #open = 0;

  constructor({ config, log }: TracingOptions) {
    this.#topic = config.KAFKA_TOPIC;
    this.#provider = tracerProvider({ config, log });
    this.#tracer = this.#provider.getTracer('dual-stream');
  }

  /**
   * A request came in on a route; `parent`: what it says of its trace. It ends with the answer, or the connection.
   * `undefined`: too many are open, and this one has no spans.
   */
  request(request: TracedRequest, parent: TraceParent | undefined): RequestSpan | undefined {
    return this.#open === OPEN_MAX ? undefined : attempt(() => this.#begin(request, parent));
  }

  #begin({ raw, id, route }: TracedRequest, parent: TraceParent | undefined): RequestSpan {
    const method = raw.method ?? '_OTHER';
    const span = this.#tracer.startSpan(
      `${method} ${route}`,
      {
        kind: SpanKind.SERVER,
        attributes: {
          'http.request.method': method,
          'http.route': route,
          'url.path': route, // the routes that are traced have no parameters
          'url.scheme': 'encrypted' in raw.socket ? 'https' : 'http',
          'network.protocol.version': raw.httpVersion,
          'dual_stream.request_id': id,
        },
      },
      parent && trace.setSpanContext(ROOT_CONTEXT, contextOf(parent)),
    );
    const weight = span.isRecording() ? 1 : 0; // of another one only the ids are there
    this.#open += weight;
    const ended = () => (this.#open -= weight);
    return new RequestSpan(span, { tracer: this.#tracer, topic: this.#topic, ended });
  }

  /**
   * Notifications were published, or were not: a span for each request that they are of. `startedAt` is on the clock of
   * `performance.now()`.
   */
  notified(notifications: readonly Notified[], startedAt: number): void {
    attempt(() => this.#published(notifications, startedAt));
  }

  #published(notifications: readonly Notified[], startedAt: number): void {
    const counts = new Map<TraceContext, { sent: number; failed: number }>();
    for (const { span, isSent } of notifications) {
      if (span === undefined) continue;
      const count = counts.get(span) ?? { sent: 0, failed: 0 };
      if (isSent) count.sent += 1;
      else count.failed += 1;
      counts.set(span, count);
    }
    if (counts.size === 0) return;
    const startTime = Date.now() - (performance.now() - startedAt);
    for (const [parent, { sent, failed }] of counts) {
      const span = this.#tracer.startSpan(
        `publish ${NOTIFICATION_TEMPLATE}`,
        {
          kind: SpanKind.CLIENT, // no subscriber is told of the trace
          startTime,
          attributes: {
            'messaging.system': 'redis',
            'messaging.operation.name': 'publish',
            'messaging.operation.type': 'send',
            'messaging.destination.template': NOTIFICATION_TEMPLATE,
            'messaging.batch.message_count': sent + failed,
          },
        },
        trace.setSpanContext(ROOT_CONTEXT, parent),
      );
      if (failed > 0) fail(span, 'failed', { 'dual_stream.events_failed': failed });
      span.end();
    }
  }

  /** Sends what is left, if the collector answers soon. */
  async close(): Promise<void> {
    const late = delay(CLOSE_TIMEOUT_MS, undefined, { ref: false });
    await Promise.race([this.#provider.shutdown().catch(() => {}), late]);
  }
}

/** A notification, and of which span. */
export interface Notified {
  readonly span: TraceContext | undefined;
  readonly isSent: boolean;
}

interface RequestSpanOptions {
  readonly tracer: Tracer;
  readonly topic: string;
  readonly ended: () => void;
}

/** One request, until it is answered. */
export class RequestSpan {
  readonly #span: Span;
  readonly #of: RequestSpanOptions;
  #isOver = false;

  constructor(span: Span, of: RequestSpanOptions) {
    this.#span = span;
    this.#of = of;
  }

  get traceId(): string {
    return this.#span.spanContext().traceId;
  }

  /** False: nothing of it is kept, and only its ids are passed on. */
  get isRecording(): boolean {
    return this.#span.isRecording();
  }

  /** Its events are on their way to Kafka. What is not ended is never shown. */
  send(): SendSpan | undefined {
    return attempt(() => this.#send());
  }

  #send(): SendSpan {
    const { tracer, topic } = this.#of;
    if (!this.isRecording) return new SendSpan(this.#span, undefined);
    const attributes = {
      'messaging.system': 'kafka',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': topic,
    };
    const options = { kind: SpanKind.PRODUCER, attributes };
    const parent = trace.setSpan(ROOT_CONTEXT, this.#span);
    const span = tracer.startSpan(`send ${topic}`, options, parent);
    return new SendSpan(span, span.spanContext());
  }

  /**
   * Only the first call counts.
   * @param status of the answer; `undefined`: the connection was closed before it had left.
   */
  end(status: number | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#of.ended();
    attempt(() => {
      if (status === undefined) fail(this.#span, 'closed');
      else this.#span.setAttribute('http.response.status_code', status);
      if (status !== undefined && status >= 500) fail(this.#span, String(status));
      this.#span.end();
    });
  }
}

/** The events of one request, from its complete body until they are settled. */
export class SendSpan {
  readonly #span: Span;
  /** For the notifications of its events; `undefined`: there is nothing to be shown of it. */
  readonly context: TraceContext | undefined;

  constructor(span: Span, context: TraceContext | undefined) {
    this.#span = span;
    this.context = context;
  }

  /** What its records say of their trace. */
  get traceParent(): TraceParent {
    const { traceId, spanId, traceFlags, traceState } = this.#span.spanContext();
    const flags = (traceFlags & TraceFlags.SAMPLED) === 0 ? '00' : '01';
    const tracestate = traceState?.serialize();
    return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(tracestate && { tracestate }) };
  }

  /** One event is settled. */
  settledOne(id: string, { status, code, partition, offset }: SpanOutcome): void {
    if (this.context === undefined) return;
    attempt(() => {
      this.#span.setAttribute('messaging.message.id', id);
      if (partition !== undefined)
        this.#span.setAttribute('messaging.destination.partition.id', String(partition));
      if (offset !== undefined) this.#span.setAttribute('messaging.kafka.offset', offset);
      if (status !== 'stored') fail(this.#span, code ?? status);
      this.#span.end();
    });
  }

  /** All events of a batch are settled. */
  settled(outcomes: readonly SpanOutcome[]): void {
    if (this.context === undefined) return;
    attempt(() => {
      this.#span.setAttribute('messaging.batch.message_count', outcomes.length);
      const failed = outcomes.filter(({ status }) => status !== 'stored');
      const [first] = failed;
      if (first !== undefined)
        fail(this.#span, first.code ?? first.status, { 'dual_stream.events_failed': failed.length });
      this.#span.end();
    });
  }
}

/** Whatever goes wrong in the making of a span costs that span, and never an answer. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function fail(span: Span, type: string, attributes: Attributes = {}): void {
  span.setAttributes({ 'error.type': type, ...attributes }).setStatus({ code: SpanStatusCode.ERROR });
}

function contextOf({ traceparent, tracestate }: TraceParent): SpanContext {
  const [, traceId = '', spanId = '', flags = '00'] = traceparent.split('-');
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
    ...(tracestate !== undefined && { traceState: asReceived(tracestate) }),
  };
}

/** Passed on as it came. Taken apart it would be ten times as large, and come back in another order. */
function asReceived(tracestate: string): TraceState {
  const state: TraceState = {
    serialize: () => tracestate,
    get: () => undefined,
    set: () => state,
    unset: () => state,
  };
  return state;
}
