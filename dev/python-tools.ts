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

const PYTHON_VERSION_MIN = '3.10';

/**
 * A Python that has the packages of a file of requirements, each pinned: `python -m program` runs one of their programs.
 * They are fetched into an environment of their own on the first call in a clone, and again when the file or the
 * machine's Python is another.
 */
export async function pythonTools(
  requirementsFile: string,
  { name, progress }: { readonly name: string; readonly progress: Progress },
): Promise<{ readonly python: string }> {
  const { python, version } = await findPython(name);
  const wanted = createHash('sha256').update(version).update(readFileSync(requirementsFile)).digest('hex');
  const folder = join(LOCAL_FOLDER, `python-${name.toLowerCase()}-${wanted.slice(0, 12)}`);
  await fetchFolder({
    folder,
    name,
    from: 'PyPI',
    progress,
    // Python finds the packages beside itself, so the folder can be renamed; only its scripts could not be run then.
    commands: (unfinished) => [
      [python, '-m', 'venv', unfinished],
      [
        join(unfinished, 'bin', 'python'),
        '-m',
        'pip',
        'install',
        '--quiet',
        '--no-input',
        '--disable-pip-version-check',
        '--only-binary=:all:',
        `--requirement=${requirementsFile}`,
      ],
    ],
  });
  return { python: join(folder, 'bin', 'python') };
}

/** What the Python programs of the documents run on. Returns its path. */
export async function pythonOfExamples(progress: Progress): Promise<string> {
  const requirements = join(import.meta.dirname, 'python', 'requirements.txt');
  return (await pythonTools(requirements, { name: 'confluent-kafka', progress })).python;
}

/** Python 3 from the PATH, if it can make environments; a MissingProgramError says what is wrong with it. */
async function findPython(name: string): Promise<{ python: string; version: string }> {
  const needed = `${name} needs Python ${PYTHON_VERSION_MIN} or later`;
  const python = findOnPath('python3');
  if (python === undefined) throw new MissingProgramError(`${needed}, and there is no python3 on the PATH`);
  const version = await output(python, 'import platform; print(platform.python_version())');
  if (version === undefined) throw new MissingProgramError(`${needed}, and ${python} does not run`);
  if (isOlder(version)) throw new MissingProgramError(`${needed}, and ${python} is Python ${version}`);
  // Debian has them in a package of their own.
  if ((await output(python, 'import ensurepip, venv')) === undefined) {
    throw new MissingProgramError(
      `${name} needs Python's modules venv and ensurepip (on Debian: apt-get install python3-venv)`,
    );
  }
  return { python, version };
}

function isOlder(version: string): boolean {
  return version.localeCompare(PYTHON_VERSION_MIN, 'en', { numeric: true }) < 0;
}

/** What a program of one line prints; `undefined` if it fails. */
async function output(python: string, program: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(python, ['-c', program], { timeout: 10_000 });
    return stdout.trim();
  } catch {
    return undefined;
  }
}
