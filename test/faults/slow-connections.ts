import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { startChild } from '../../dev/child.ts';
import { mean } from './phase.ts';
import type { ServiceScenario } from './scenario.ts';

/**
 * Clients that keep connections and room from others by sending slowly (slowloris, slow bodies). As long as they are
 * open they cost next to nothing. What is felt is that those whose time is over are answered, closed and opened anew,
 * seven hundred a second here: their objects are young, and live long enough for V8 to copy all of them.
 */

const CONNECTIONS = 5_000;
const WARM_MS = 6_000;
const CALM_MS = 4_000;
const STOP_GRACE_MS = 5_000;
/** A body may take 12 s, and opening all connections takes two or three. */
const HELD_MS = 8_000;
const HELD_RATIO_MAX = 1.2;
const REPLACED_RATIO_MAX = 3;

export const slowConnections: ServiceScenario = {
  name: 'slow-connections',
  summary: '5,000 connections whose headers or bodies come byte by byte (--seconds): others are served',
  storedShareMin: 1,
  service: { connections: 16 },
  async run({ service, seconds = 30, observe, tell, assert }) {
    const attack = async (slow: 'headers' | 'bodies', name: string, ms: number) => {
      const clients = startChild({
        command: process.execPath,
        args: [
          join(import.meta.dirname, 'slow-clients.ts'),
          service.host,
          String(service.port),
          String(CONNECTIONS),
          slow,
        ],
        output: 'pipe',
      });
      if (clients.stdout === null) throw new Error('the slow clients have no output');
      const lines = createInterface({ input: clients.stdout })[Symbol.asyncIterator]();
      await lines.next();
      tell(`${CONNECTIONS} slow connections: ${name}`);
      const { p99Ms } = await observe(name, ms);
      const open = (await service.metrics()).get('dual_stream_connections') ?? 0;
      await clients.stop(STOP_GRACE_MS);
      const refused = Number((await lines.next()).value);
      await delay(CALM_MS);
      return { p99Ms, open, refused };
    };

    await delay(WARM_MS);
    const before = await observe('calm, before', HELD_MS);
    const held = await attack('bodies', 'held open', HELD_MS);
    const between = await observe('calm, between', HELD_MS);
    const replaced = await attack('headers', 'replaced when their time is over', seconds * 1_000);
    const after = await observe('calm, after', HELD_MS);

    const isWithin = (what: string, p99Ms: number, calm: readonly { p99Ms: number }[], ratioMax: number) => {
      const calmMs = mean(calm.map((phase) => phase.p99Ms));
      const ratio = p99Ms / calmMs;
      const figures = `${ratio.toFixed(2)} x calm: ${p99Ms.toFixed(1)} ms, calm ${calmMs.toFixed(1)} ms`;
      assert(what, ratio <= ratioMax, figures);
    };
    isWithin('p99 of the others, slow ones open', held.p99Ms, [before, between], HELD_RATIO_MAX);
    isWithin('p99 of the others, slow ones replaced', replaced.p99Ms, [between, after], REPLACED_RATIO_MAX);
    for (const { open } of [held, replaced])
      assert('slow connections were open', open >= 0.8 * CONNECTIONS, `${open} connections`);
    assert(
      'slow requests were ended',
      held.refused === 0 && replaced.refused > 0,
      `${replaced.refused} were answered 408 or closed, and opened anew; ${held.refused} while all were in time`,
    );
  },
};
