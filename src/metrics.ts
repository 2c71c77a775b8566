import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  type Metric,
  Registry,
} from 'prom-client';
import { BucketCounts } from './bucket-counts.ts';

export const LATENCY_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30,
];

/**
 * The metrics that every program has, as verbs of the domain; each adds its own. Labels are short closed lists, never an
 * id.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #httpRequests = new HttpRequests();
  readonly #refused = this.counter({
    name: 'dual_stream_refused_total',
    help: 'Events and requests answered with a problem, by its code.',
    labelNames: ['reason'] as const,
  });
  readonly #ready = this.gauge({
    name: 'dual_stream_ready',
    help: '1 while the dependency can be used, else 0.',
    labelNames: ['dependency'] as const,
  });
  readonly #credentialsCurrent = this.gauge({
    name: 'dual_stream_credentials_current',
    help: '1 while what is in use of keys and certificates is what their files, or the issuer, say; 0: that cannot be used, and what was read before still holds.',
    labelNames: ['setting'] as const,
  });
  readonly #certificateExpiry = this.gauge({
    name: 'dual_stream_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that this service shows expires, in seconds since 1970.',
    labelNames: ['setting'] as const,
  });

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    this.expose({
      name: 'http_server_request_duration_seconds',
      help: 'Duration of HTTP server requests, from the headers to the last byte of the answer.',
      counts: () => this.#httpRequests.all,
    });
  }

  httpRequest(method: string, route: string, status: number, seconds: number): void {
    this.#httpRequests.of(method, route, status).observe(seconds);
  }

  refused(reason: string, count = 1): void {
    this.#refused.inc({ reason }, count);
  }

  ready(dependency: 'kafka' | 'redis' | 'postgres' | 'authentication', isReady: boolean): void {
    this.#ready.set({ dependency }, isReady ? 1 : 0);
  }

  /** `setting`: what the settings begin with that lead to them, e.g. `KAFKA_SSL`. */
  credentialsCurrent(setting: string, isCurrent: boolean): void {
    this.#credentialsCurrent.set({ setting }, isCurrent ? 1 : 0);
  }

  certificateExpires(setting: string, atMs: number): void {
    this.#certificateExpiry.set({ setting }, atMs / 1_000);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The Prometheus text exposition. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  protected counter<L extends string>(configuration: CounterConfiguration<L>): Counter<L> {
    return new Counter({ ...configuration, registers: [this.#registry] });
  }

  protected gauge<L extends string>(configuration: GaugeConfiguration<L>): Gauge<L> {
    return new Gauge({ ...configuration, registers: [this.#registry] });
  }

  /** A gauge that is read at each scrape, rather than told at each change. */
  protected readGauge(name: string, help: string, value: () => number): void {
    this.gauge({
      name,
      help,
      collect() {
        this.set(value());
      },
    });
  }

  protected histogram(configuration: HistogramConfiguration<never>): Histogram<never> {
    return new Histogram({ ...configuration, registers: [this.#registry] });
  }

  /**
   * Registers a histogram that is counted here. prom-client's own makes an object and a hash of its labels for each
   * value, which came to a twentieth of what an event costs.
   */
  protected expose({
    name,
    help,
    counts,
  }: {
    name: string;
    help: string;
    counts: () => readonly LabelledCounts[];
  }): void {
    const metric = {
      name,
      help,
      type: 'histogram',
      get: async () => ({ ...metric, values: counts().flatMap((each) => samplesOf(name, each)) }),
    };
    this.#registry.registerMetric(metric as unknown as Metric);
  }
}

export interface LabelledCounts {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly counts: BucketCounts;
}

/** Counts by method, route and status, which are short closed lists. */
class HttpRequests {
  readonly #byRoute = new Map<string, Map<string, Map<number, BucketCounts>>>();
  readonly all: LabelledCounts[] = [];

  of(method: string, route: string, status: number): BucketCounts {
    return this.#byRoute.get(route)?.get(method)?.get(status) ?? this.#add(method, route, status);
  }

  #add(method: string, route: string, status: number): BucketCounts {
    const counts = new BucketCounts(LATENCY_SECONDS);
    const labels = { http_request_method: method, http_route: route, http_response_status_code: status };
    this.all.push({ labels, counts });
    const byMethod = this.#byRoute.get(route) ?? new Map<string, Map<number, BucketCounts>>();
    const byStatus = byMethod.get(method) ?? new Map<number, BucketCounts>();
    this.#byRoute.set(route, byMethod.set(method, byStatus.set(status, counts)));
    return counts;
  }
}

/** What prom-client's own histogram shows of its values. */
function samplesOf(name: string, { labels, counts }: LabelledCounts) {
  const cumulative = counts.cumulative();
  const total = cumulative.at(-1) ?? 0;
  return [
    ...[...counts.bounds, '+Inf'].map((le, index) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le },
      value: cumulative[index] ?? total,
    })),
    { metricName: `${name}_sum`, labels, value: counts.sum },
    { metricName: `${name}_count`, labels, value: total },
  ];
}
