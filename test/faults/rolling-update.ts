import { setTimeout as delay } from 'node:timers/promises';
import { describeExit } from '../../dev/child.ts';
import { startAwaitingClients } from './awaiting-clients.ts';
import { startBalancer } from './balancer.ts';
import type { ServiceScenario } from './scenario.ts';

const CALM_MS = 3_000;
/** Longer than the balancer takes to notice. */
const SHUTDOWN_DELAY_MS = 1_000;
/** Ready, and the balancer knows. */
const SERVES_AGAIN_MS = 1_000;

/** An upgrade as Kubernetes does it: one replica after the other, each told to stop and started again. */
export const rollingUpdate: ServiceScenario = {
  name: 'rolling-update',
  summary:
    'two services behind a balancer that asks readyz, restarted in turn (--kills rounds): no request fails',
  storedShareMin: 1,
  duplicatesShareMax: 0,
  service: {
    replicas: 2,
    connections: 1,
    sources: 200,
    eventsPerSecond: 1_000,
    hasOwnLoad: true,
    areAllNotified: true,
    settings: () => ({ SHUTDOWN_DELAY_MS: String(SHUTDOWN_DELAY_MS) }),
  },
  async run({ ledger, services, sources, eventsPerSecond, kills, tell, healed, assert }) {
    const balancer = await startBalancer(services);
    const clients = startAwaitingClients({ addresses: [balancer], ledger, sources, eventsPerSecond });
    const exits: string[] = [];
    try {
      await delay(CALM_MS);
      for (let restart = 0; restart < kills; restart += 1) {
        const service = services[restart % services.length];
        if (service === undefined) throw new Error('no service');
        exits.push(describeExit(await service.stop()));
        await service.start();
        tell(`${restart + 1}/${kills} restarted: ${exits.at(-1)}`);
        await delay(SERVES_AGAIN_MS);
      }
      healed('every service has been restarted');
      await delay(CALM_MS);
      await clients.stop();
    } finally {
      await balancer.close();
    }
    const failed = [...clients.again].map(([code, count]) => `${count} ${code}`).join(', ');
    assert('no request failed', clients.again.size === 0, failed || `of ${ledger.offered}`);
    assert(
      'exit codes',
      exits.length === kills && exits.every((exit) => exit === 'exit code 0'),
      exits.join(', '),
    );
    const least = Math.min(...balancer.counts) / ledger.offered;
    assert('both replicas served', least > 0.2, `${(least * 100).toFixed(0)} % by the one that served less`);
  },
};
