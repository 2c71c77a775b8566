import { spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceScenario } from './scenario.ts';

const CALM_MS = 4_000;
/** Longer than the session timeout of a broker that no longer answers. */
const DOWN_MS = 12_000;
const DISK_MB = 256;
const NODE = 3;
const BLOCK = Buffer.alloc(1 << 16);

/** One broker cannot write any more. It must not acknowledge what it does not have, and the others go on without it. */
export const diskFull: ServiceScenario = {
  name: 'disk-full',
  summary:
    "one broker's disk fills up, is emptied, and the broker is started again (needs root, to mount a tmpfs)",
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  cluster: {
    prepareFolder: (nodeId, folder) => {
      if (nodeId !== NODE) return () => {};
      mount('-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', folder);
      return () => unmount(folder);
    },
  },
  service: { connections: 200, sources: 200, areAllNotified: true },
  async run({ cluster, topic, seconds = DOWN_MS / 1_000, tell, healed, assert }) {
    await delay(CALM_MS);
    const broker = cluster.broker(NODE);
    const filler = join(dirname(broker.logFile), 'filler');
    tell(`wrote ${fill(filler)} MB: the disk of broker ${NODE} is full`);
    await delay(seconds * 1_000);
    const states = await cluster.partitions(topic);
    const without = states.filter(({ inSync }) => !inSync.includes(NODE)).length;
    assert(
      'fault seen by Kafka',
      without > 0,
      `${without} of ${states.length} partitions do without broker ${NODE}`,
    );
    rmSync(filler);
    // It ends by itself, when it finds that it cannot write; if not, as an operator would.
    tell(broker.child.hasEnded() ? 'it has ended by itself' : 'it still runs');
    await broker.kill();
    await broker.start();
    healed(`broker ${NODE} is back`);
    if (!(await cluster.untilInSync(topic))) tell('the replicas are not in sync again');
    await delay(CALM_MS);
  },
};

/** Writes until there is no room. Returns how much it was, in MB. */
function fill(file: string): number {
  const filler = openSync(file, 'w');
  let bytes = 0;
  try {
    for (;;) bytes += writeSync(filler, BLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(filler);
  }
  return Math.round(bytes / 1e6);
}

function mount(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`a tmpfs cannot be mounted, which needs root: ${stderr}`);
}

function unmount(folder: string): void {
  // Lazily: what still has a file open there has been killed and may take a moment.
  spawnSync('umount', ['-l', folder]);
}
