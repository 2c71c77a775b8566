import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { type LoadResult, type LoadSpec, runLoad } from '../../bench/load.ts';

const SINGLE = { events: 1, format: 'json', eventBytes: 300, sources: 1_000 } as const;
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

describe('the load generator', () => {
  it('counts events, answers and CPU in a closed loop', async () => {
    const load = await loadOn(
      (request, response) => {
        request.resume().once('end', () => response.end('x'.repeat(100_000)));
      },
      { windowMs: 500 },
    );
    assert.ok(load.requests > 0);
    assert.equal(load.events, load.requests * 10);
    assert.equal(load.failed, 0);
    assert.ok(load.ownShare > 0 && (load.cpuSeconds.server ?? 0) > 0);
  });

  it('counts what is not a success as failed, and its events not at all', async () => {
    const load = await loadOn((request, response) => {
      request.resume().once('end', () => response.writeHead(503, { 'content-length': 0 }).end());
    }, {});
    assert.ok(load.failed > 0);
    assert.equal(load.events, 0);
  });

  it('stops a closed loop after the number of requests asked for', async () => {
    let received = 0;
    const load = await loadOn(
      (request, response) => {
        received += 1;
        request.resume().once('end', () => response.end('{}'));
      },
      { pace: { kind: 'closed', requestsMax: 7 }, warmUpMs: 0, windowMs: 30_000 },
    );
    assert.equal(load.requests, 7);
    assert.equal(load.latencyMs.count, 7);
    assert.equal(received, 8); // one before it all, to see that it answers
  });

  it('counts the latency of an open loop from when each request was due, also while the server stalls', async () => {
    const STALL_MS = 300;
    let stallsUntil: number | undefined;
    const load = await loadOn(
      (request, response) => {
        request.resume().once('end', () => {
          // Not the very first, which comes before the schedule begins.
          stallsUntil = stallsUntil === undefined ? 0 : stallsUntil || performance.now() + STALL_MS;
          setTimeout(() => response.end('{}'), Math.max(0, stallsUntil - performance.now()));
        });
      },
      {
        request: SINGLE,
        connections: 2,
        pace: { kind: 'open', requestsPerSecond: 100 },
        warmUpMs: 0,
        windowMs: 500,
      },
    );
    assert.ok(load.latencyMs.count >= 45, `${load.latencyMs.count} of 50 requests`);
    assert.ok(load.latencyMs.max >= STALL_MS - 30, `at most ${load.latencyMs.max} ms`);
    // Those that were due during the stall had no connection. Counted from when they were sent, all but two were fast.
    assert.ok(load.heldUp >= 20, `${load.heldUp} were held up`);
    assert.ok(load.latencyMs.p50 >= 50, `half took ${load.latencyMs.p50} ms or less`);
  });
});

async function loadOn(answer: RequestListener, spec: Partial<LoadSpec>): Promise<LoadResult> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return runLoad({
    port: (server.address() as AddressInfo).port,
    request: { ...SINGLE, events: 10 },
    connections: 4,
    pace: { kind: 'closed' },
    warmUpMs: 50,
    windowMs: 200,
    processes: { server: process.pid },
    ...spec,
  });
}
