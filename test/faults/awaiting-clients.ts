import { setTimeout as delay } from 'node:timers/promises';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { faultEvent, type Numbered } from './fault-event.ts';
import { HttpConnection } from './http-connection.ts';
import type { Ledger } from './ledger.ts';
import { publishOn } from './service-subject.ts';
import { PUBLISH_TIMEOUT_MS } from './subject.ts';

/** Clients that send an event again until they know that it is stored, and only then the next one. */
export interface AwaitingClients {
  /** Waits until each has its last answer. */
  stop(): Promise<void>;
  /** Answers other than "stored" after which an event was sent again, by their code. */
  readonly again: ReadonlyMap<string, number>;
  /** Of one request; the ledger has the time from the first request for an event to the last answer. */
  readonly longestAnswerMs: () => number;
}

export interface AwaitingClientsOptions {
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  readonly ledger: Ledger;
  /** One client for each. */
  readonly sources: number;
  /** Of all clients together, as long as none has to wait. */
  readonly eventsPerSecond: number;
}

const CONNECTING_MS = 20;
const AGAIN_MS = 250;
/** Then it is given up, and counts as what its answers say. */
const REQUESTS_MAX = 80;

/** Each has a connection to every service, and turns to the next one when one does not store. */
export function startAwaitingClients(options: AwaitingClientsOptions): AwaitingClients {
  const { addresses, ledger, sources, eventsPerSecond } = options;
  const again = new Map<string, number>();
  const stopping = new AbortController();
  let longestAnswerMs = 0;

  const ask = async (connection: HttpConnection | undefined, event: Numbered): Promise<Outcome> => {
    const askedAt = performance.now();
    const outcome = await new Promise<Outcome>((settled) =>
      publishOn(connection, [event], ([only]) => settled(only as Outcome)),
    );
    longestAnswerMs = Math.max(longestAnswerMs, performance.now() - askedAt);
    return outcome;
  };
  const untilStored = async (connections: readonly HttpConnection[], event: Numbered): Promise<Outcome> => {
    let unknown: Outcome | undefined;
    let last: Outcome | undefined;
    for (let request = 0; request < REQUESTS_MAX; request += 1) {
      last = await ask(connections[(event.number + request) % connections.length], event);
      if (last.status === 'stored' || last.status === 'refused') return last;
      again.set(last.code, (again.get(last.code) ?? 0) + 1);
      // One of its requests may have stored it, whatever the later ones say.
      if (last.status === 'unknown') unknown = last;
      await delay(AGAIN_MS);
    }
    return unknown ?? last ?? { status: 'not_stored', code: 'buffer-full' };
  };
  const live = async (source: number): Promise<void> => {
    const connections = addresses.map((address) => new HttpConnection(address));
    const periodMs = (1_000 * sources) / eventsPerSecond;
    await delay((periodMs * source) / sources);
    while (!connections.every(({ isOpen }) => isOpen)) await delay(CONNECTING_MS);
    while (!stopping.signal.aborted) {
      const at = performance.now();
      const number = ledger.offer(source, at, PUBLISH_TIMEOUT_MS);
      ledger.answered(number, await untilStored(connections, faultEvent(number, source)), performance.now());
      await delay(Math.max(0, at + periodMs - performance.now()));
    }
    for (const connection of connections) connection.close();
  };
  const lives = Promise.all(Array.from({ length: sources }, (_, source) => live(source)));
  return {
    stop: async () => {
      stopping.abort();
      await lives;
    },
    again,
    longestAnswerMs: () => longestAnswerMs,
  };
}
