import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fetchFolder } from './fetched-folder.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { findOnPath } from './on-path.ts';
import type { Progress } from './progress.ts';
import { MissingProgramError } from './start-error.ts';

const HELM_VERSION = '3.22.0';
const GO_VERSION = '1.26';

/** Helm of one version, whatever is installed: built from its module once in a clone, which takes minutes. */
export async function helmBinary(progress: Progress): Promise<string> {
  const folder = join(LOCAL_FOLDER, `helm-${HELM_VERSION}`);
  const go = findOnPath('go');
  if (go === undefined && !existsSync(folder)) {
    throw new MissingProgramError(
      `Helm is built from its module, and there is no go on the PATH: install Go ${GO_VERSION}`,
    );
  }
  await fetchFolder({
    folder,
    name: `Helm ${HELM_VERSION}`,
    from: 'the Go module proxy',
    progress,
    commands: (unfinished) => [
      ['env', `GOBIN=${unfinished}`, go ?? 'go', 'install', `helm.sh/helm/v3/cmd/helm@v${HELM_VERSION}`],
    ],
  });
  return join(folder, 'helm');
}
