import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startChild } from './child.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { findOnPath } from './on-path.ts';
import { type Progress, reportElapsed } from './progress.ts';
import { MissingProgramError, StartError } from './start-error.ts';

const COMMANDS: readonly (readonly string[])[] = [
  ['update', '-qq'],
  ['install', '-y', '-qq', '--no-install-recommends'],
];

/** Installs packages of Debian, as root, if the program was called with `--install`. Others are told what to install. */
export async function aptInstall(packages: readonly string[], progress: Progress): Promise<void> {
  const names = packages.join(' ');
  if (!process.argv.includes('--install')) {
    throw new MissingProgramError(
      `${names} is needed: install it, or add \`-- --install\` to have it done (as root on Debian)`,
    );
  }
  if (process.getuid?.() !== 0 || findOnPath('apt-get') === undefined)
    throw new MissingProgramError(`${names} is needed, and can be installed only as root on Debian`);
  const logFile = join(LOCAL_FOLDER, 'apt-get.log');
  mkdirSync(LOCAL_FOLDER, { recursive: true });
  rmSync(logFile, { force: true });
  progress(`installing ${names}`);
  const stopReporting = reportElapsed(progress, `installing ${names}`);
  try {
    for (const command of COMMANDS) {
      const args = command[0] === 'install' ? [...command, ...packages] : command;
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
      const { code } = await startChild({ command: 'apt-get', args, env, output: { logFile } }).exit;
      if (code !== 0) throw new StartError(`apt-get ${command[0]} failed; what it said: ${logFile}`);
    }
  } finally {
    stopReporting();
  }
}
