import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from '../../dev/free-port.ts';
import type { LocalRedis } from '../../dev/local-redis.ts';
import { mb, mean, type Phase } from './phase.ts';
import type { ServiceScenario } from './scenario.ts';

/** Whatever Redis does, no answer changes (promise P2): a calm phase, the fault, a calm phase. */

const WARM_MS = 6_000;
/** The calm phases are as long as the fault, but not longer than this: it is enough to compare with. */
const CALM_SECONDS_MAX = 180;
/** For the service and the subscriber to connect again. */
const RECONNECT_MS = 4_000;
const GROWTH_BYTES_MAX = 20e6;
const RATIO_MAX = 1.1;

export const redisKill = redisFault('redis-kill', 'Redis is killed and started again', {
  breaks: (redis) => redis.kill(),
  mends: (redis) => redis.start(),
});

export const redisStop = redisFault(
  'redis-stop',
  'SIGSTOP of Redis: its connections stay open and say nothing',
  {
    breaks: async (redis) => redis.pause(),
    mends: async (redis) => redis.resume(),
  },
);

export const redisReplica = redisFault(
  'redis-replica',
  'Redis becomes a replica of a master that is not there',
  {
    breaks: async (redis) => replicaOf(redis, '127.0.0.1', String(await freePort())),
    mends: (redis) => replicaOf(redis, 'NO', 'ONE'),
  },
);

function redisFault(
  name: string,
  what: string,
  { breaks, mends }: Record<'breaks' | 'mends', (redis: LocalRedis) => Promise<unknown>>,
): ServiceScenario {
  return {
    name,
    summary: `${what}, a minute long (--seconds): every answer 201, as fast and as cheap as before`,
    storedShareMin: 1,
    service: { connections: 16 },
    async run({ redis, ledger, seconds = 60, observe, notifications, tell, assert }) {
      const calmMs = Math.min(seconds, CALM_SECONDS_MAX) * 1_000;
      await delay(WARM_MS);
      const before = await observe('calm, before', calmMs);
      await breaks(redis);
      tell('Redis is broken');
      const heardBefore = notifications();
      const fault = await observe('without Redis', seconds * 1_000);
      const heardIn = notifications() - heardBefore;
      await mends(redis);
      tell(`Redis is back; ${heardIn} notifications were heard without it`);
      await delay(RECONNECT_MS);
      const heardUntil = notifications();
      const since = performance.now();
      const after = await observe('calm, after', calmMs);
      const heard = (notifications() - heardUntil) / ledger.storedAnsweredBetween(since, performance.now());

      const calm = [before, after];
      const compare = (label: string, unit: string, of: (phase: Phase) => number) => {
        const calmMean = mean(calm.map(of));
        const found = of(fault) / calmMean;
        assert(
          label,
          found <= RATIO_MAX,
          `${found.toFixed(2)} x calm: ${of(fault).toFixed(1)} ${unit}, calm ${calm.map((each) => of(each).toFixed(1)).join(' and ')} ${unit}`,
        );
      };
      compare('p99', 'ms', ({ p99Ms }) => p99Ms);
      compare('CPU per event', 'µs', ({ cpuUsPerEvent }) => cpuUsPerEvent);
      const grown = Math.max(...fault.residentBytes) - Math.max(...before.residentBytes);
      assert('memory grown by', grown <= GROWTH_BYTES_MAX, mb(grown));
      assert('notified again', heard >= 0.99, `${(heard * 100).toFixed(1)} % of what was stored`);
    },
  };
}

async function replicaOf({ url }: LocalRedis, host: string, port: string): Promise<void> {
  const client = new Redis(url);
  await client.replicaof(host, port);
  client.disconnect();
}
