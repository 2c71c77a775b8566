import { faultEvent } from './fault-event.ts';
import { HttpConnection } from './http-connection.ts';
import type { Ledger } from './ledger.ts';
import { publishOn } from './service-subject.ts';
import { PUBLISH_TIMEOUT_MS } from './subject.ts';

/** How long refusals took, of the requests sent in a span of time. Milliseconds. */
export interface Refusals {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface LoneRequests {
  refusalsBetween(from: number, until: number): Refusals;
  /** The longest that one of them was waited for so far, whatever the answer. */
  longestAnswerMs(): number;
  /** Offers no more. */
  stop(): void;
  close(): void;
}

export interface LoneRequestsOptions {
  readonly address: { readonly host: string; readonly port: number };
  readonly ledger: Ledger;
  /** One that nobody else uses, and the first of as many as there are connections. */
  readonly source: number;
  readonly eventsPerSecond: number;
}

const TICK_MS = 5;
/** Those that wait for Kafka keep theirs. Fewer than the service allows by default, which then refuses by itself. */
const CONNECTIONS_MAX = 6_000;

/**
 * Single events, each on a connection that waits for no other answer, as a client without pipelining sends them. Only
 * these tell how long a refusal takes: in a pipeline it waits behind what was accepted before it.
 */
export function startLoneRequests(options: LoneRequestsOptions): LoneRequests {
  const { address, ledger, source, eventsPerSecond } = options;
  const connections: HttpConnection[] = [];
  /** Indexes of those without a request; the one that was used last is used next. */
  const idle: number[] = [];
  let connecting: number[] = [];
  const refused: { readonly at: number; readonly tookMs: number }[] = [];
  const startedAt = performance.now();
  let done = 0;
  let longestAnswerMs = 0;

  const isOpen = (index: number) => connections[index]?.isOpen === true;
  const takeIdle = (): number | undefined => {
    for (let index = idle.pop(); index !== undefined; index = idle.pop()) {
      if (isOpen(index)) return index;
      connecting.push(index);
    }
    return undefined;
  };
  const offer = () => {
    const index = takeIdle();
    if (index === undefined) {
      if (connections.length < CONNECTIONS_MAX)
        connecting.push(connections.push(new HttpConnection(address)) - 1);
      return;
    }
    const at = performance.now();
    const number = ledger.offer(source + index, at, PUBLISH_TIMEOUT_MS);
    publishOn(connections[index], [faultEvent(number, source + index)], ([outcome]) => {
      if (outcome === undefined) return;
      const now = performance.now();
      idle.push(index);
      ledger.answered(number, outcome, now);
      longestAnswerMs = Math.max(longestAnswerMs, now - at);
      if (outcome.status === 'not_stored') refused.push({ at, tookMs: now - at });
    });
  };
  const timer = setInterval(() => {
    idle.unshift(...connecting.filter(isOpen));
    connecting = connecting.filter((index) => !isOpen(index));
    const due = ((performance.now() - startedAt) / 1_000) * eventsPerSecond;
    for (; done < due; done += 1) offer();
  }, TICK_MS);
  return {
    refusalsBetween: (from, until) => {
      const took = refused
        .filter(({ at }) => at >= from && at < until)
        .map(({ tookMs }) => tookMs)
        .toSorted((a, b) => a - b);
      const percentile = (share: number) => took[Math.floor(took.length * share)] ?? Number.NaN;
      return { count: took.length, p50Ms: percentile(0.5), p99Ms: percentile(0.99) };
    },
    longestAnswerMs: () => longestAnswerMs,
    stop: () => clearInterval(timer),
    close: () => {
      clearInterval(timer);
      for (const connection of connections) connection.close();
    },
  };
}
