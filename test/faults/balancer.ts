import { Agent, createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isReady } from '../../dev/service.ts';

/** What stands before replicas where they are deployed: it asks each whether it is ready, and never sends twice. */
export interface Balancer {
  readonly host: string;
  readonly port: number;
  /** Requests that went to each replica. */
  readonly counts: readonly number[];
  close(): Promise<void>;
}

interface Replica {
  readonly address: { readonly host: string; readonly port: number };
  readonly agent: Agent;
  isReady: boolean;
}

const HOST = '127.0.0.1';
const PROBE_EVERY_MS = 200;

/** Spreads requests over the replicas that are ready, in turn. With none it answers 503, and 502 for a lost connection. */
export async function startBalancer(
  addresses: readonly { readonly host: string; readonly port: number }[],
): Promise<Balancer> {
  const replicas = addresses.map(
    ({ host, port }): Replica => ({
      address: { host, port },
      agent: new Agent({ keepAlive: true }),
      isReady: true,
    }),
  );
  const counts = replicas.map(() => 0);
  const probing = setInterval(() => {
    for (const replica of replicas) void probe(replica);
  }, PROBE_EVERY_MS);

  let next = 0;
  const server = createServer((incoming, outgoing) => {
    const offset = replicas.findIndex((_, step) => replicas[(next + step) % replicas.length]?.isReady);
    const index = (next + offset) % replicas.length;
    const replica = replicas[index];
    if (offset < 0 || replica === undefined) {
      fail(outgoing, 503, 'no-replica');
      return;
    }
    next = index + 1;
    counts[index] = (counts[index] ?? 0) + 1;
    const { method, url, headers } = incoming;
    const onward = request({ ...replica.address, agent: replica.agent, method, path: url, headers });
    onward.on('response', (answer) => {
      const { connection: _, ...kept } = answer.headers; // of the connection behind, not of this one
      outgoing.writeHead(answer.statusCode ?? 502, kept);
      answer.pipe(outgoing);
    });
    onward.on('error', () => {
      if (outgoing.headersSent) outgoing.destroy();
      else fail(outgoing, 502, 'replica-lost');
    });
    incoming.pipe(onward);
  });
  await new Promise<void>((listening) => server.listen(0, HOST, listening));
  return {
    host: HOST,
    port: (server.address() as AddressInfo).port,
    counts,
    close: async () => {
      clearInterval(probing);
      for (const { agent } of replicas) agent.destroy();
      server.closeAllConnections();
      await new Promise<void>((closed) => server.close(() => closed()));
    },
  };
}

function fail(outgoing: ServerResponse, status: number, code: string): void {
  const body = JSON.stringify({ code });
  outgoing.writeHead(status, { 'content-length': body.length }).end(body);
}

async function probe(replica: Replica): Promise<void> {
  const { host, port } = replica.address;
  replica.isReady = await isReady(`http://${host}:${port}`);
}
