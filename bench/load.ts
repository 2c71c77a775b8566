import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Child, startChild } from '../dev/child.ts';
import type { RequestShape } from './prepared-request.ts';

/** What the load generator, a process of its own, is to do. */
export interface LoadSpec {
  readonly port: number;
  /** Events, or a resource to get. */
  readonly request: RequestShape | { readonly path: string };
  readonly connections: number;
  /** `closed`: a connection sends when it has its answer. `open`: the clock says when, whatever is answered. */
  readonly pace:
    | { readonly kind: 'closed'; readonly requestsMax?: number }
    | { readonly kind: 'open'; readonly requestsPerSecond: number };
  readonly warmUpMs: number;
  /** What is measured, after the warm-up. */
  readonly windowMs: number;
  /** Whose CPU time to read at both ends of the window. */
  readonly processes: Readonly<Record<string, number>>;
  /** Subscribes there, and measures from each answer to the notification. */
  readonly redisPort?: number;
}

/** What happened in the window. */
export interface LoadResult {
  readonly windowMs: number;
  readonly requests: number;
  /** Answered with 2xx. */
  readonly events: number;
  /** Requests that were answered with anything else, lost, or not answered in time. */
  readonly failed: number;
  /** Seconds of CPU, by the names in the specification. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
  /** Share of a core that the generator itself used. */
  readonly ownShare: number;
  /** From the intended send time in an open loop, otherwise from the send. Failed ones count too. */
  readonly latencyMs: Percentiles;
  /** How long after its time a request was sent although a connection was free: latencies are no truer than this. */
  readonly lateMs: Percentiles;
  /** Requests that had to wait for a connection: their latency is true, as it counts from the intended time. */
  readonly heldUp: number;
  readonly notificationMs?: Percentiles;
  /** Answered, and not notified within a second of the end. */
  readonly unnotified?: number;
}

export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** A load that is under way. */
export interface Load {
  readonly result: Promise<LoadResult>;
  /** Ends the window now; the result comes all the same. */
  end(): void;
}

const PROGRAM = join(import.meta.dirname, 'load-generator.ts');
const STOP_GRACE_MS = 30_000;

/** Starts the generator on the cores of this process. */
export function startLoad(spec: LoadSpec): Load {
  const child = startChild({
    command: process.execPath,
    args: [PROGRAM, JSON.stringify(spec)],
    output: 'pipe',
  });
  return {
    result: resultOf(child),
    end: () => void child.stop(STOP_GRACE_MS),
  };
}

export function runLoad(spec: LoadSpec): Promise<LoadResult> {
  return startLoad(spec).result;
}

async function resultOf({ stdout, stderr, exit }: Child): Promise<LoadResult> {
  if (stdout === null || stderr === null) throw new Error('the load generator has no output');
  const [said, complaint, { code }] = await Promise.all([text(stdout), text(stderr), exit]);
  if (code !== 0) throw new Error(`the load generator failed: ${complaint}`);
  return JSON.parse(said) as LoadResult;
}
