import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from '../../dev/folders.ts';
import { tryLock } from '../../dev/lock.ts';

const folder = temporaryFolder('lock-test');

describe('lock', () => {
  it('is held by one, until it is given back', () => {
    const file = join(folder, 'given-back');
    const unlock = tryLock(file);
    assert.ok(unlock);
    assert.equal(tryLock(file), undefined);
    unlock();
    tryLock(file)?.();
  });

  it('does not survive its owner', async () => {
    const file = join(folder, 'orphaned');
    const script = `
      import { tryLock } from ${JSON.stringify(join(import.meta.dirname, '..', '..', 'dev', 'lock.ts'))};
      console.log(tryLock(${JSON.stringify(file)}) !== undefined);
      setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = await once(owner.stdout, 'data');
    assert.equal(String(said), 'true\n');
    assert.equal(tryLock(file), undefined);
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    const unlock = tryLock(file);
    assert.ok(unlock);
    unlock();
  });
});
