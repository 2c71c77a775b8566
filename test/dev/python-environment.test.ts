import assert from 'node:assert/strict';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { temporaryFolder } from '../../dev/folders.ts';
import { findPython } from '../../dev/python-environment.ts';

const folder = temporaryFolder('python-test');
const python = join(folder, 'python3');
const path = process.env.PATH;

describe('Python for the examples', () => {
  beforeEach(() => {
    process.env.PATH = folder;
    rmSync(python, { force: true });
  });
  afterEach(() => {
    process.env.PATH = path;
  });

  it('is found on the PATH, with its version', async () => {
    pretend('echo 3.11');
    assert.deepEqual(await findPython(), { python, version: '3.11' });
  });

  it('is said to be missing when it is', async () => {
    await assert.rejects(findPython(), { name: 'MissingProgramError', message: /no python3 on the PATH/ });
  });

  it('is refused without venv, with the name of the package that has it', async () => {
    pretend('exit 1');
    await assert.rejects(findPython(), {
      name: 'MissingProgramError',
      message: /no venv.*apt-get install python3-venv/,
    });
  });

  it('is refused when it is too old', async () => {
    pretend('echo 3.8');
    await assert.rejects(findPython(), {
      name: 'MissingProgramError',
      message: /3\.9 or later.*is Python 3\.8/,
    });
  });
});

function pretend(script: string): void {
  writeFileSync(python, `#!/bin/sh\n${script}\n`);
  chmodSync(python, 0o755);
}
