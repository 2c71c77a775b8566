import { globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceScenario } from './scenario.ts';

const CALM_MS = 5_000;
const HOUR_MS = 3_600_000;
const FILE = 'clock';
/** Where distributions and Homebrew put it; the variant for programs with threads. */
const LIBRARY = '{/usr/lib,/usr/lib/*,/usr/local/lib,/opt/homebrew/lib}/faketime/libfaketimeMT.so.1';
/** How far the clock that the service shows may be from where it was put: its Date header has whole seconds. */
const SLACK_MS = 3_000;

/** The wall clock jumps, as a correction or a mistake makes it. No deadline is on it, so nothing may happen. */
export const clockMoved: ServiceScenario = {
  name: 'clock-moved',
  summary: "the service's wall clock goes an hour forward and an hour back under load (needs libfaketime)",
  storedShareMin: 1,
  service: {
    connections: 16,
    areAllNotified: true,
    settings: (folder) => {
      const [library] = globSync(LIBRARY);
      if (library === undefined) return {};
      moveClock(folder, '+0');
      return {
        LD_PRELOAD: library,
        // What timers and deadlines go by stays what it is, as on a machine whose clock is set.
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        FAKETIME_TIMESTAMP_FILE: join(folder, FILE),
        FAKETIME_NO_CACHE: '1',
      };
    },
  },
  async run({ service, folder, seconds = CALM_MS / 1_000, observe, tell, healed, assert }) {
    if (globSync(LIBRARY).length === 0) {
      assert('libfaketime', false, 'not installed: apt-get install faketime, or brew install libfaketime');
      return;
    }
    await delay(CALM_MS);
    for (const [offset, hours] of [
      ['+1h', 1],
      ['-1h', -1],
      ['+0', 0],
    ] as const) {
      moveClock(folder, offset);
      tell(`moved the clock to ${offset}`);
      await observe(`clock at ${offset}`, seconds * 1_000);
      const { headers } = await fetch(`http://${service.host}:${service.port}/livez`);
      const movedMs = Date.parse(headers.get('date') ?? '') - Date.now();
      healed('it goes on');
      assert(
        `clock at ${offset}`,
        Math.abs(movedMs - hours * HOUR_MS) <= SLACK_MS,
        `${Math.round(movedMs / 1_000)} s away`,
      );
    }
    await delay(CALM_MS);
  },
};

function moveClock(folder: string, offset: string): void {
  writeFileSync(join(folder, FILE), `${offset}\n`);
}
