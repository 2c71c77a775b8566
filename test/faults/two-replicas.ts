import { setTimeout as delay } from 'node:timers/promises';
import { describeExit } from '../../dev/child.ts';
import { startAwaitingClients } from './awaiting-clients.ts';
import { ms } from './judge.ts';
import type { ServiceScenario } from './scenario.ts';

const CALM_MS = 3_000;
const DOWN_MS = 1_500;
/** Longer than the session timeout: the others take over. */
const BROKER_DOWN_MS = 8_000;
const ANSWER_MS_MAX = 15_500;

/** What two processes promise together: order holds for a client that awaits each reply (P6). */
export const twoReplicas: ServiceScenario = {
  name: 'two-replicas',
  summary:
    'two services, killed and stopped in turn (--kills rounds), and a broker dies; each client awaits its reply and turns to the other',
  storedShareMin: 1,
  // A client asks again until it knows.
  service: { replicas: 2, connections: 1, sources: 200, hasOwnLoad: true, answerMsMax: 60_000 },
  async run(stage) {
    const { cluster, topic, ledger, services, sources, eventsPerSecond, kills, tell, healed, assert } = stage;
    const clients = startAwaitingClients({ addresses: services, ledger, sources, eventsPerSecond });
    const exits: string[] = [];
    await delay(CALM_MS);
    for (let round = 0; round < kills; round += 1) {
      for (const [index, service] of services.entries()) {
        if ((round + index) % 2 === 0) {
          await service.kill();
          tell(`killed service ${index + 1}`);
        } else {
          exits.push(describeExit(await service.stop()));
          tell(`stopped service ${index + 1}: ${exits.at(-1)}`);
        }
        await delay(DOWN_MS);
        await service.start();
        healed(`service ${index + 1} is back`);
        await delay(CALM_MS);
      }
    }
    const { leader } = (await cluster.partitions(topic))[0] ?? { leader: 1 };
    await cluster.broker(leader).kill();
    tell(`killed broker ${leader}`);
    await delay(BROKER_DOWN_MS);
    await cluster.broker(leader).start();
    healed(`broker ${leader} is back`);
    await delay(CALM_MS);
    await clients.stop();

    tell(`sent again after ${[...clients.again].map(([code, count]) => `${code} ${count}`).join(', ')}`);
    const longestMs = clients.longestAnswerMs();
    assert('longest answer to one request', longestMs <= ANSWER_MS_MAX, ms(longestMs));
    assert(
      'exit codes',
      exits.every((exit) => exit === 'exit code 0'),
      exits.join(', ') || 'none',
    );
  },
};
