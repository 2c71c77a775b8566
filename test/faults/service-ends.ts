import { setTimeout as delay } from 'node:timers/promises';
import { describeExit } from '../../dev/child.ts';
import type { ServiceScenario, ServiceStage } from './scenario.ts';

/** The service itself ends while much is in flight: as if its machine had died, and as an upgrade does it. */

const CALM_MS = 3_000;
/** A stopped follower holds the acks back, so that there is something in flight; shorter than Kafka gives it up. */
const HELD_MS = 800;
/** By then the client has heard that its connections are lost. */
const NOTICED_MS = 50;

export const serviceKill: ServiceScenario = {
  name: 'service-kill',
  summary: 'SIGKILL of the service with some seconds of events in flight (--kills), started again each time',
  service: { connections: 16 },
  async run(stage) {
    const { service, ledger, kills, tell, healed, assert } = stage;
    let inFlight = 0;
    for (let kill = 1; kill <= kills; kill += 1) {
      await delay(CALM_MS);
      const letGo = await holdAcksBack(stage);
      const offered = ledger.offered;
      const waiting = ledger.unanswered;
      await service.kill();
      await delay(NOTICED_MS);
      // Between the signal and its end some more went into its sockets.
      inFlight += waiting + ledger.offered - offered;
      letGo();
      tell(`${kill}/${kills} killed the service, ${waiting} in flight`);
      await delay(1_000);
      await service.start();
      healed('the service is back');
    }
    await delay(CALM_MS);
    const unknown = ledger.reasons.get('outcome-unknown')?.count ?? 0;
    assert('unknown, of those in flight', unknown > 0 && unknown <= inFlight, `${unknown} of ${inFlight}`);
  },
};

export const serviceTerm: ServiceScenario = {
  name: 'service-term',
  summary:
    'SIGTERM to the service with events in flight (--kills), started again: all that it accepted is settled',
  service: { connections: 16 },
  async run(stage) {
    const { service, ledger, kills, tell, healed, assert } = stage;
    const exits: string[] = [];
    let accepted = 0;
    for (let round = 1; round <= kills; round += 1) {
      await delay(CALM_MS);
      const letGo = await holdAcksBack(stage);
      const before = ledger.outcomesBetween(0, performance.now());
      const exit = service.stop();
      await delay(HELD_MS);
      letGo();
      exits.push(describeExit(await exit));
      const now = ledger.outcomesBetween(0, performance.now());
      const settled = now.stored - before.stored;
      accepted += settled;
      tell(
        `${round}/${kills} stopped the service: ${exits.at(-1)}, ${before.unanswered} unanswered at the signal, ${settled} stored since, ${now.unknown - before.unknown} unknown`,
      );
      await service.start();
      healed('the service is back');
    }
    await delay(CALM_MS);
    assert(
      'exit codes',
      exits.every((exit) => exit === 'exit code 0'),
      exits.join(', '),
    );
    assert('stored after the signal', accepted > 0, String(accepted));
  },
};

/** Returns what lets the acks come. */
async function holdAcksBack({ cluster }: ServiceStage): Promise<() => void> {
  const [broker] = cluster.brokers;
  broker?.pause();
  await delay(HELD_MS);
  return () => broker?.resume();
}
