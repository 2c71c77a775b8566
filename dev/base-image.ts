import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { aptInstall } from './apt-install.ts';
import type { DockerEngine } from './docker-engine.ts';
import { fetchFolder } from './fetched-folder.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { findOnPath } from './on-path.ts';
import type { Progress } from './progress.ts';
import { MissingProgramError } from './start-error.ts';

const DOCKERFILE = join(import.meta.dirname, '..', 'Dockerfile');
const PULL_TIMEOUT_MS = 5 * 60_000;
const IMPORT_TIMEOUT_MS = 2 * 60_000;
const STAND_IN = 'dual-stream-base:stand-in';

/** Where Debian keeps the authorities, and what makes Node read them. A proxy that signs has its own among them. */
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';
const CHANGES = [
  'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  `ENV NODE_EXTRA_CA_CERTS=${AUTHORITIES}`,
];

/**
 * Debian of the same release, without what the official one leaves out, with npm where the official image has it.
 * Arguments: folder, Node, npm, authorities.
 */
const MAKE_STAND_IN = `
set -eu
root="$1/root"
debootstrap --variant=minbase --include=libatomic1 bookworm "$root"
for left_out in var/cache/apt var/lib/apt/lists usr/share/doc usr/share/man usr/share/locale usr/share/info; do
  rm -rf "\${root:?}/$left_out"
done
mkdir -p "$root/usr/local/lib/node_modules" "$root/etc/ssl/certs"
cp -L "$2" "$root/usr/local/bin/node"
cp -RL "$3" "$root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
[ ! -f "$4" ] || cp -L "$4" "$root$4"
tar -C "$root" -cf "$1/base.tar" .
rm -rf "$root"
`;

export interface BaseImage {
  readonly name: string;
  readonly isStandIn: boolean;
}

/** The image that the Dockerfile names, or, where it cannot be had, one as like it as can be made on this machine. */
export async function baseImage({ docker }: DockerEngine, progress: Progress): Promise<BaseImage> {
  const name = /^ARG NODE_IMAGE=(\S+)$/m.exec(readFileSync(DOCKERFILE, 'utf8'))?.[1] ?? '';
  try {
    await docker(['image', 'inspect', name]).catch(() => docker(['pull', '--quiet', name], PULL_TIMEOUT_MS));
    return { name, isStandIn: false };
  } catch (error) {
    progress(`Docker: ${(error as Error).message.split('\n').at(-1)}`);
  }
  const tar = await standInTar(progress);
  await docker(
    ['import', ...CHANGES.flatMap((change) => ['--change', change]), tar, STAND_IN],
    IMPORT_TIMEOUT_MS,
  );
  progress(
    `Docker: ${name} cannot be had; building on a stand-in: Debian, and Node ${process.versions.node}`,
  );
  return { name: STAND_IN, isStandIn: true };
}

async function standInTar(progress: Progress): Promise<string> {
  const npm = findOnPath('npm');
  if (npm === undefined) throw new MissingProgramError('a stand-in of the base image needs npm on the PATH');
  if (findOnPath('debootstrap') === undefined) await aptInstall(['debootstrap'], progress);
  // bin/npm-cli.js of the package itself.
  const npmFolder = dirname(dirname(realpathSync(npm)));
  const parts = [MAKE_STAND_IN, process.version, readFileSync(join(npmFolder, 'package.json'))];
  if (existsSync(AUTHORITIES)) parts.push(readFileSync(AUTHORITIES));
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  const folder = join(LOCAL_FOLDER, `base-image-${hash.digest('hex').slice(0, 12)}`);
  await fetchFolder({
    folder,
    name: 'stand-in of the base image',
    from: 'the Debian archive',
    progress,
    commands: (unfinished) => [
      ['sh', '-c', MAKE_STAND_IN, 'make', unfinished, process.execPath, npmFolder, AUTHORITIES],
    ],
  });
  return join(folder, 'base.tar');
}
