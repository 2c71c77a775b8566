import { execFile } from 'node:child_process';
import { chmodSync, globSync, lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { ProgramUser } from './child.ts';
import { type Command, fetchFolder } from './fetched-folder.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { findOnPath, isExecutable } from './on-path.ts';
import type { Progress } from './progress.ts';
import { MissingProgramError, StartError } from './start-error.ts';

const POM = join(import.meta.dirname, 'postgres', 'pom.xml');

/** What the pom's version of the carrier holds. */
const POSTGRES_VERSION = '17.5';

/** An older one that is installed is passed by. */
const MAJOR_VERSION_MIN = 14;

/** The carrier's names by Node's names for system and processor. */
const PLATFORMS: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-amd64',
  'linux-arm64': 'linux-arm64v8',
  'darwin-x64': 'darwin-amd64',
  'darwin-arm64': 'darwin-arm64v8',
};

/** What `tar -xJ` does where there is no xz: Python brings its own. All belongs to whoever unpacks it. */
const UNPACK_BY_PYTHON = `
import glob, sys, tarfile
with tarfile.open(glob.glob(sys.argv[1] + '/*.txz')[0]) as archive:
    for member in archive:
        member.uid = member.gid = 0
        member.uname = member.gname = ''
        archive.extract(member, sys.argv[1])
`;

/** PostgreSQL refuses to run as root: then it runs as nobody. */
export const POSTGRES_USER: ProgramUser | undefined =
  process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

/**
 * What PostgreSQL reads or keeps, in a place that its user can reach. Nobody cannot reach a clone below /root, and what
 * root runs has to lie where nobody else could have put it.
 */
export function postgresPlace(): string {
  if (POSTGRES_USER === undefined) return LOCAL_FOLDER;
  const place = '/var/lib/dual-stream';
  mkdirSync(place, { recursive: true, mode: 0o755 });
  refuseOthers(place);
  chmodSync(place, 0o755);
  return place;
}

/** As root, trusts only a folder in which nobody but root could have prepared something. */
export function refuseOthers(folder: string): void {
  if (POSTGRES_USER === undefined) return;
  const stats = lstatSync(folder);
  if (stats.isDirectory() && stats.uid === 0 && (stats.mode & 0o022) === 0) return;
  throw new StartError(
    `${folder} has to be a folder that belongs to root and that nobody else writes to: remove it`,
  );
}

/**
 * The folder with `postgres` and `initdb`: those of this machine, or those that a jar on Maven Central carries, fetched
 * once in a clone, or as root once on a machine.
 */
export async function postgresBinaries(progress: Progress, { installed = true } = {}): Promise<string> {
  const found = installed ? await installedBinaries() : undefined;
  if (found !== undefined) return found;
  const platform = PLATFORMS[`${process.platform}-${process.arch}`];
  if (platform === undefined) {
    throw new MissingProgramError(
      `There is no PostgreSQL ${MAJOR_VERSION_MIN} or later on this machine: install it`,
    );
  }
  const folder = join(postgresPlace(), `postgres-${POSTGRES_VERSION}`);
  await fetchFolder({
    folder,
    name: `PostgreSQL ${POSTGRES_VERSION}`,
    from: 'Maven Central',
    progress,
    commands: (output) => [
      fetch(platform, output),
      unpack(output),
      // The archive leaves the modes of some folders to the umask.
      ['sh', '-c', 'rm -r "$1"/markers "$1"/*.txz && chmod -R go=rX "$1"', 'sh', output],
    ],
  });
  refuseOthers(folder);
  return join(folder, 'bin');
}

/** From the PATH, or the newest from where Debian keeps them, which is not on the PATH. */
async function installedBinaries(): Promise<string | undefined> {
  const onPath = findOnPath('postgres');
  const ofDebian = globSync('/usr/lib/postgresql/*/bin/postgres').toSorted((a, b) =>
    b.localeCompare(a, 'en', { numeric: true }),
  );
  for (const postgres of onPath === undefined ? ofDebian : [onPath, ...ofDebian]) {
    // The PATH may hold a link to it, without its companions.
    const folder = dirname(realpathSync(postgres));
    if (!isExecutable(join(folder, 'initdb'))) continue;
    if ((await majorVersion(postgres)) >= MAJOR_VERSION_MIN) return folder;
  }
  return undefined;
}

/** Zero when it does not run, which includes that PostgreSQL's user cannot reach it. */
async function majorVersion(postgres: string): Promise<number> {
  try {
    const { stdout } = await promisify(execFile)(postgres, ['--version'], {
      timeout: 10_000,
      cwd: '/',
      ...POSTGRES_USER,
    });
    return Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function fetch(platform: string, output: string): Command {
  const maven = findOnPath('mvn');
  if (maven === undefined) {
    throw new MissingProgramError(
      `There is no PostgreSQL ${MAJOR_VERSION_MIN} or later on this machine, and no Maven (mvn) to fetch one with: install either`,
    );
  }
  return [
    maven,
    '-q',
    '-B',
    '-f',
    POM,
    `-Dplatform=${platform}`,
    'dependency:unpack-dependencies',
    '-DexcludeTransitive=true',
    '-Dmdep.unpack.includes=*.txz',
    `-DoutputDirectory=${output}`,
  ];
}

/** The name of the archive differs from one carrier to the next. */
function unpack(output: string): Command {
  // On macOS, tar reads it by itself.
  if (process.platform === 'darwin' || findOnPath('xz') !== undefined)
    return ['sh', '-c', 'tar -xJ --no-same-owner -C "$1" -f "$1"/*.txz', 'sh', output];
  const python = findOnPath('python3');
  if (python === undefined) {
    throw new MissingProgramError(
      `PostgreSQL ${POSTGRES_VERSION} has to be unpacked, which takes xz or python3: install either`,
    );
  }
  return [python, '-c', UNPACK_BY_PYTHON, output];
}
