import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import type { Config } from './config.ts';

const TELL_EVERY_MS = 10_000;

export interface TracingOptions {
  readonly config: Config;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** What makes spans and sends them: which are kept, what they say of this service, and where they go, as the settings say. */
export function tracerProvider({ config, log }: TracingOptions): TracerProvider {
  const exporter = new WatchedExporter(new OTLPTraceExporter(exporterOptions(config)), log);
  return new TracerProvider({
    sampler: samplerOf(config),
    resource: resourceOf(config),
    spanProcessors: [
      new BatchSpanProcessor({ exporter, scheduledDelayMillis: config.OTEL_BSP_SCHEDULE_DELAY }),
    ],
  });
}

function resourceOf({ OTEL_SERVICE_NAME: name }: Config): Resource {
  return defaultResource()
    .merge(resourceFromAttributes({ 'service.name': 'dual-stream' }))
    .merge(detectResources({ detectors: [serviceInstanceIdDetector, envDetector] }))
    .merge(resourceFromAttributes(name === undefined ? {} : { 'service.name': name }));
}

function exporterOptions(config: Config): { url?: string; headers?: Record<string, string> } {
  const base = config.OTEL_EXPORTER_OTLP_ENDPOINT;
  const url = config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? (base && tracesUrl(base));
  const headers = config.OTEL_EXPORTER_OTLP_HEADERS;
  return { ...(url && { url }), ...(headers && { headers: headersOf(headers) }) };
}

function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/traces`;
  return url.href;
}

/** `name=value,…`, values percent-encoded (OpenTelemetry Protocol Exporter, "Specifying headers"). */
function headersOf(list: string): Record<string, string> {
  const pairs = list.split(',').map((pair): [string, string] => {
    const at = pair.indexOf('=');
    return [pair.slice(0, at).trim(), decodeURIComponent(pair.slice(at + 1).trim())];
  });
  return Object.fromEntries(pairs);
}

function samplerOf({ OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG }: Config): Sampler {
  const roots = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(OTEL_TRACES_SAMPLER_ARG),
  };
  const name = OTEL_TRACES_SAMPLER.replace('parentbased_', '') as keyof typeof roots;
  const root = roots[name]();
  return OTEL_TRACES_SAMPLER.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

/** Says so when spans can no longer be sent, and when they can again; every ten seconds at most. */
class WatchedExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #log: TracingOptions['log'];
  #isFaultTold = false;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(exporter: SpanExporter, log: TracingOptions['log']) {
    this.#exporter = exporter;
    this.#log = log;
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.#exporter.export(spans, (result) => {
      this.#tell(result.code === 0 ? undefined : reasonOf(result.error));
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }

  #tell(reason: string | number | undefined): void {
    if (reason === undefined) {
      if (this.#isFaultTold) this.#log.info('spans are sent again');
      this.#isFaultTold = false;
    } else if (!this.#isFaultTold && performance.now() - this.#toldAt >= TELL_EVERY_MS) {
      this.#isFaultTold = true;
      this.#toldAt = performance.now();
      this.#log.warn({ reason }, 'spans cannot be sent; they are dropped');
    }
  }
}

/** Nothing that the collector writes: it could be what it was sent. */
function reasonOf(error: (Error & { code?: string | number }) | undefined): string | number {
  return error?.code ?? error?.name ?? 'unknown';
}
