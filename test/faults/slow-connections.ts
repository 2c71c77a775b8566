import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { startChild } from '../../dev/child.ts';
import { mean } from './phase.ts';
import type { ServiceScenario } from './scenario.ts';

/** Clients that keep connections and room from others by sending slowly (slowloris, slow bodies). */

const CONNECTIONS = 5_000;
const WARM_MS = 6_000;
const CALM_MS = 4_000;
const STOP_GRACE_MS = 5_000;
const RATIO_MAX = 1.2;

export const slowConnections: ServiceScenario = {
  name: 'slow-connections',
  summary: '5,000 connections whose headers or bodies come byte by byte (--seconds): others do not notice',
  storedShareMin: 1,
  service: { connections: 16 },
  async run({ service, seconds = 30, observe, tell, assert }) {
    await delay(WARM_MS);
    const before = await observe('calm, before', seconds * 1_000);
    const clients = startChild({
      command: process.execPath,
      args: [
        join(import.meta.dirname, 'slow-clients.ts'),
        service.host,
        String(service.port),
        String(CONNECTIONS),
      ],
      output: 'pipe',
    });
    if (clients.stdout === null) throw new Error('the slow clients have no output');
    const lines = createInterface({ input: clients.stdout })[Symbol.asyncIterator]();
    await lines.next();
    tell(`${CONNECTIONS} slow connections`);
    const under = await observe('with slow connections', seconds * 1_000);
    const open = (await service.metrics()).get('dual_stream_connections') ?? 0;
    await clients.stop(STOP_GRACE_MS);
    const refused = Number((await lines.next()).value);
    await delay(CALM_MS);
    const after = await observe('calm, after', seconds * 1_000);

    const ratio = under.p99Ms / mean([before.p99Ms, after.p99Ms]);
    assert(
      'p99 of the others',
      ratio <= RATIO_MAX,
      `${ratio.toFixed(2)} x calm: ${under.p99Ms.toFixed(1)} ms, calm ${before.p99Ms.toFixed(1)} and ${after.p99Ms.toFixed(1)} ms`,
    );
    assert('slow connections were open', open >= 0.8 * CONNECTIONS, `${open} connections`);
    assert(
      'slow requests were ended',
      refused > 0,
      `${refused} were answered 408 or closed, and opened anew`,
    );
  },
};
