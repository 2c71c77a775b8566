import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fetchFolder } from './fetched-folder.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { findOnPath } from './on-path.ts';
import type { Progress } from './progress.ts';
import { MissingProgramError } from './start-error.ts';

const REQUIREMENTS = join(import.meta.dirname, 'python', 'requirements.txt');

/** Prints its version if it can do what we need of it. `venv` without `ensurepip` is how Debian ships it. */
const PROBE = 'import ensurepip, sqlite3, sys, venv; print("%d.%d" % sys.version_info[:2])';
const PYTHON_MINOR_MIN = 9;

/** The python of a venv in `.local/` with the pinned packages, which the first call in a clone makes. */
export async function pythonWithPackages(progress: Progress): Promise<string> {
  const { python, version } = await findPython();
  const wanted = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 8);
  const folder = join(LOCAL_FOLDER, `python-${version}-${wanted}`, 'venv');
  const pip = [
    '-m',
    'pip',
    '--disable-pip-version-check',
    '--no-input',
    'install',
    '--requirement',
    REQUIREMENTS,
  ];
  await fetchFolder({
    folder,
    name: `Python ${version} packages`,
    from: 'PyPI',
    progress,
    commands: (unfinished) => [
      [python, '-m', 'venv', '--clear', unfinished],
      [join(unfinished, 'bin', 'python'), ...pip],
    ],
  });
  return join(folder, 'bin', 'python');
}

/** Python from the PATH; a MissingProgramError says what is wrong with it. */
export async function findPython(): Promise<{ readonly python: string; readonly version: string }> {
  const needed = `the examples need Python 3.${PYTHON_MINOR_MIN} or later`;
  const python = findOnPath('python3');
  if (python === undefined) throw new MissingProgramError(`${needed}, and there is no python3 on the PATH`);
  const version = await probe(python);
  if (version === undefined) {
    throw new MissingProgramError(
      `${needed} with venv, and ${python} has no venv, ensurepip or sqlite3 (on Debian: apt-get install python3-venv)`,
    );
  }
  const [major, minor] = version.split('.').map(Number);
  if (major !== 3 || (minor ?? 0) < PYTHON_MINOR_MIN) {
    throw new MissingProgramError(`${needed}, and ${python} is Python ${version}`);
  }
  return { python, version };
}

async function probe(python: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(python, ['-c', PROBE], { timeout: 20_000 });
    return stdout.trim();
  } catch {
    return undefined;
  }
}
