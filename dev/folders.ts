import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the local stack fetches and keeps between runs; not in git. */
export const LOCAL_FOLDER = join(import.meta.dirname, '..', '.local');

/**
 * A new folder that is removed when this process ends. Not earlier, because what was stopped can be started again on
 * its data. After a SIGKILL a shell removes it that reads the end of a pipe only we hold; it waits a second
 * for the processes that write there, which end the same way.
 */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `dual-stream-${name}-`));
  const remover = spawn('sh', ['-c', 'read -r end; sleep 1; rm -rf -- "$1"', 'remover', folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  remover.unref();
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
