import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, describeExit } from './child.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { type Progress, reportElapsed } from './progress.ts';
import { StartError } from './start-error.ts';

const POLL_INTERVAL_MS = 100;

export interface ReadinessOptions {
  /** As it is called on the terminal: `Kafka`. */
  readonly name: string;
  readonly child: Child;
  /** Where a reader finds out why. */
  readonly logFile: string;
  readonly timeoutMs: number;
  readonly progress: Progress;
  /** Whether the child answers as it should; a question that it cannot take yet is a no. */
  readonly answers: () => Promise<boolean>;
}

/** Settles when the child answers. Throws a StartError, and leaves no child, when it ends or takes too long. */
export async function untilReady({
  name,
  child,
  logFile,
  timeoutMs,
  ...options
}: ReadinessOptions): Promise<void> {
  const stopReporting = reportElapsed(options.progress, `${name}: starting`);
  const outcome = await pollUntil(options.answers, child, timeoutMs);
  stopReporting();
  if (outcome === 'ready') return;
  const exit = await child.kill();
  const how =
    outcome === 'late'
      ? `was not ready within ${Math.round(timeoutMs / 1000)} s`
      : `ended with ${describeExit(exit)} while starting`;
  throw new StartError(`${name} ${how}; its log is ${keptLog(name, logFile)}`);
}

/** A copy where it can still be read when the temporary folder of a test is gone. */
function keptLog(name: string, logFile: string): string {
  const copy = join(LOCAL_FOLDER, 'failed-starts', `${name.replaceAll(' ', '-')}.log`);
  mkdirSync(dirname(copy), { recursive: true });
  copyFileSync(logFile, copy);
  return copy;
}

/** Polls until the answer is yes, the child ends or the time is up. */
export async function pollUntil(
  answers: () => Promise<boolean>,
  child: Child,
  timeoutMs: number,
): Promise<'ready' | 'ended' | 'late'> {
  const ended = child.exit.then(() => 'ended' as const);
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const answer = await Promise.race([answers(), ended]);
    if (answer === 'ended') return 'ended';
    if (answer) return 'ready';
    await Promise.race([sleep(POLL_INTERVAL_MS), ended]);
  }
  return 'late';
}
