// Runs before the npm scripts, in whatever Node the machine has: plain JavaScript, nothing but Node's own modules.
// Installs what package-lock.json lists when it is not there, so that a fresh clone needs one command only. The pinned
// Node is among it, and is what the script that follows finds first.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CLONE_FOLDER = fileURLToPath(new URL('..', import.meta.url));
const MODULES_FOLDER = join(CLONE_FOLDER, 'node_modules');
const NODE_VERSION_MIN = 24;

const wantedText = readFileSync(join(CLONE_FOLDER, 'package-lock.json'), 'utf8');
const recordText = readIfThere(join(MODULES_FOLDER, '.package-lock.json'));
if (!isInstalled(wantedText, recordText)) install();

const hasPinnedNode = existsSync(join(MODULES_FOLDER, '.bin', 'node'));
if (!hasPinnedNode && Number.parseInt(process.versions.node, 10) < NODE_VERSION_MIN) {
  fail(
    `no Node is pinned for ${process.platform}-${process.arch}: install Node ${NODE_VERSION_MIN} or later`,
  );
}

/**
 * Whether npm's record of what it installed fits package-lock.json. Contents are compared, because a checkout changes
 * times without changing versions. Optional packages may be missing: most are for other systems.
 *
 * @param {string} lockText package-lock.json
 * @param {string | undefined} installedText node_modules/.package-lock.json, which npm writes last
 */
function isInstalled(lockText, installedText) {
  if (installedText === undefined) return false;
  const wanted = packagesOf(lockText);
  const installed = packagesOf(installedText);
  if (wanted === undefined || installed === undefined) return false;
  const isThere = ([path, { version, integrity, optional }]) => {
    const found = installed[path];
    if (found === undefined) return optional === true;
    return found.version === version && found.integrity === integrity;
  };
  const isWanted = (path) => wanted[path] !== undefined;
  // The package with the empty path is the project itself.
  const needed = Object.entries(wanted).filter(([path]) => path !== '');
  return needed.every(isThere) && Object.keys(installed).every(isWanted);
}

function packagesOf(text) {
  try {
    return JSON.parse(text).packages;
  } catch {
    return undefined;
  }
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

function install() {
  console.log('Installing the packages of package-lock.json (npm ci)');
  // The Node in node_modules is about to be deleted: npm runs on the machine's.
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.endsWith(join('node_modules', '.bin')));
  const { error, status } = spawnSync(
    'npm',
    // By name, because NODE_ENV=production would leave out what the scripts are made of.
    ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--include=dev', '--include=optional'],
    { cwd: CLONE_FOLDER, stdio: 'inherit', env: { ...process.env, PATH: path.join(delimiter) } },
  );
  if (status === 0) return;
  fail(`npm ci failed (${error?.message ?? `exit code ${status}`}): what it said is above`);
}

function fail(reason) {
  console.error(`install: ${reason}`);
  process.exit(1);
}
