import { Metrics } from './metrics.ts';

/** What programs with an API have beside what every program has. */
export class ApiMetrics extends Metrics {
  readonly #connections = this.gauge({
    name: 'dual_stream_connections',
    help: 'Connections that are open on the port of the API.',
  });
  readonly #connectionsLimit = this.gauge({
    name: 'dual_stream_connections_limit',
    help: 'CONNECTIONS_MAX.',
  });

  connectionsOpen(count: number): void {
    this.#connections.set(count);
  }

  connectionsLimited(max: number): void {
    this.#connectionsLimit.set(max);
  }
}
