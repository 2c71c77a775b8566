import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChild } from './child.ts';
import { tryLock, type Unlock } from './lock.ts';
import { findOnPath } from './on-path.ts';
import { type Progress, reportElapsed, secondsSince } from './progress.ts';
import { MissingProgramError, StartError } from './start-error.ts';

const LOCK_POLL_MS = 200;

export interface FetchOptions {
  /** Exists afterwards, and complete: it is filled under another name. */
  readonly folder: string;
  /** As it is called on the terminal: `Kafka 4.1.0`. */
  readonly name: string;
  /** Maven's arguments that fill the given folder. */
  readonly mavenArgs: (folder: string) => readonly string[];
  readonly progress: Progress;
}

/** Has Maven fill a folder once. Processes that want the same folder at the same time wait for the first. */
export async function fetchFolder(options: FetchOptions): Promise<void> {
  const { folder, name, progress } = options;
  if (existsSync(folder)) return;
  const unlock = await lock(`${folder}.lock`, () => progress(`${name}: another process is fetching it`));
  try {
    if (!existsSync(folder)) await fetchLocked(options);
  } finally {
    unlock();
  }
}

async function fetchLocked({ folder, name, mavenArgs, progress }: FetchOptions): Promise<void> {
  const maven = findOnPath('mvn');
  if (maven === undefined) {
    throw new MissingProgramError(
      `${name} has to be fetched, and Maven (mvn) is not on the PATH: install Maven`,
    );
  }
  const unfinished = `${folder}.unfinished`;
  const logFile = `${folder}.fetch.log`;
  rmSync(unfinished, { recursive: true, force: true });
  rmSync(logFile, { force: true });
  mkdirSync(unfinished, { recursive: true });
  progress(`${name}: fetching from Maven Central, once for this clone`);
  const startedAt = performance.now();
  const stopReporting = reportElapsed(progress, `${name}: fetching`);
  const child = startChild({ command: maven, args: mavenArgs(unfinished), output: { logFile } });
  const { code } = await child.exit;
  stopReporting();
  if (code !== 0)
    throw new StartError(`${name} could not be fetched from Maven Central; Maven's words: ${logFile}`);
  renameSync(unfinished, folder);
  rmSync(logFile, { force: true });
  progress(
    `${name}: fetched to ${basename(dirname(folder))}/${basename(folder)} in ${secondsSince(startedAt)} s`,
  );
}

async function lock(file: string, isHeld: () => void): Promise<Unlock> {
  let unlock = tryLock(file);
  if (unlock === undefined) isHeld();
  while (unlock === undefined) {
    await sleep(LOCK_POLL_MS);
    unlock = tryLock(file);
  }
  return unlock;
}
