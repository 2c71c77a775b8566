import type { RequestShape } from './prepared-request.ts';

/** What is sent to saturate a server. */
export interface Workload {
  /** As the table and the results call it. */
  readonly name: string;
  readonly request: RequestShape;
  /** Enough for saturation, each with one request under way. */
  readonly connections: number;
}

export const EVENT_BYTES = 300;
export const SOURCES = 1_000;
/** What is stored has the time before it, as the events bring none: `"time":"2026-11-25T12:00:00.000Z",`. */
export const RECORD_BYTES = EVENT_BYTES + 34;

const connectionsFor = new Map([
  [1, 128],
  [10, 64],
  [100, 16],
  [1_000, 8],
]);

export const SINGLE: Workload = workload('single', 'json', 1);
export const BATCH_100: Workload = workload('json-100', 'json', 100);
export const WORKLOADS: readonly Workload[] = [
  SINGLE,
  workload('json-10', 'json', 10),
  BATCH_100,
  workload('json-1000', 'json', 1_000),
  workload('ndjson-10', 'ndjson', 10),
  workload('ndjson-100', 'ndjson', 100),
  workload('ndjson-1000', 'ndjson', 1_000),
];

/** Latency is measured at these shares of what each server can do. */
export const LOADS = [0.25, 0.5, 0.9] as const;
export const HALF = LOADS[1];

/** Settings of the service that change what an event costs, by the names in the table. The first are the defaults. */
export const SETTINGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  defaults: {},
  gzip: { KAFKA_COMPRESSION: 'gzip' },
  zstd: { KAFKA_COMPRESSION: 'zstd' },
  notifications_off: { REDIS_MODE: 'off' },
};

/** 10,000 events and 10 MB, as large as the service takes by default. */
export const LARGEST: RequestShape = { events: 10_000, format: 'json', eventBytes: 1_000, sources: SOURCES };

function workload(name: string, format: RequestShape['format'], events: number): Workload {
  return {
    name,
    request: { events, format, eventBytes: EVENT_BYTES, sources: SOURCES },
    connections: connectionsFor.get(events) ?? 1,
  };
}
