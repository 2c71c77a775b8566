import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the local stack fetches and keeps between runs; not in git. */
export const LOCAL_FOLDER = join(import.meta.dirname, '..', '.local');

const temporary: string[] = [];

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
  if (temporary.length === 0) process.once('exit', removeAll);
  temporary.push(folder);
  return folder;
}

function removeAll(): void {
  for (const folder of temporary) rmSync(folder, { recursive: true, force: true });
}
