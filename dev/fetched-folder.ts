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
  /** As it is called on the terminal: `Maven Central`. */
  readonly from: string;
  /** The program's arguments that fill the given folder, or several such commands, one after the other. */
  readonly commands: (folder: string) => readonly Command[];
  readonly progress: Progress;
}

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: string[]];

/** Has Maven fill a folder once. */
export async function fetchByMaven(
  options: Omit<FetchOptions, 'from' | 'commands'> & {
    readonly mavenArgs: (folder: string) => readonly string[];
  },
): Promise<void> {
  const { name, mavenArgs } = options;
  await fetchFolder({
    ...options,
    from: 'Maven Central',
    commands: (folder) => {
      const maven = findOnPath('mvn');
      if (maven === undefined) {
        throw new MissingProgramError(
          `${name} has to be fetched, and Maven (mvn) is not on the PATH: install Maven`,
        );
      }
      return [[maven, ...mavenArgs(folder)]];
    },
  });
}

/** Has programs fill a folder once. Processes that want the same folder at the same time wait for the first. */
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

async function fetchLocked({ folder, name, from, commands, progress }: FetchOptions): Promise<void> {
  const unfinished = `${folder}.unfinished`;
  const logFile = `${folder}.fetch.log`;
  const toRun = commands(unfinished);
  rmSync(unfinished, { recursive: true, force: true });
  rmSync(logFile, { force: true });
  mkdirSync(unfinished, { recursive: true });
  progress(`${name}: fetching from ${from}, once for this clone`);
  const startedAt = performance.now();
  const stopReporting = reportElapsed(progress, `${name}: fetching`);
  try {
    for (const [command, ...args] of toRun) {
      const { code } = await startChild({ command, args, output: { logFile } }).exit;
      if (code === 0) continue;
      throw new StartError(
        `${name} could not be fetched from ${from}; what ${basename(command)} said: ${logFile}`,
      );
    }
  } finally {
    stopReporting();
  }
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
