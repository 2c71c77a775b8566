import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { findOnPath } from '../dev/on-path.ts';

/** Which processor cores the run has, and who is on which. */
export interface Cores {
  /** Put before the command of the server that is measured. */
  readonly serverPrefix: readonly string[];
  /** For the reader of the figures. */
  readonly how: string;
}

/**
 * Keeps the first core for the server that is measured, and moves this process, and with it all that it will start, to
 * the others. Without taskset, or with a single core, everything shares what there is.
 */
export function shareCores(): Cores {
  const [first, ...others] = allowedCores();
  const taskset = findOnPath('taskset');
  if (taskset === undefined) return { serverPrefix: [], how: 'not pinned: there is no taskset' };
  if (first === undefined || others.length === 0) {
    return { serverPrefix: [], how: 'not pinned: there is one core only' };
  }
  execFileSync(taskset, ['-a', '-c', '-p', others.join(','), String(process.pid)], { stdio: 'ignore' });
  return {
    serverPrefix: [taskset, '-c', String(first)],
    how: `the server on core ${first}, everything else on ${others.join(', ')}`,
  };
}

/** Those that this process may run on, which in a container may be fewer than the machine has. */
function allowedCores(): number[] {
  const status = readFileSync('/proc/self/status', 'utf8');
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
