import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { temporaryFolder } from '../../dev/folders.ts';

const clone = join(temporaryFolder('install-test'), 'clone');
const modules = join(clone, 'node_modules');
const npmCall = join(clone, 'npm-call');

const wanted = {
  '': { name: 'dual-stream' },
  'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
  'node_modules/for-another-system': { version: '1.0.0', integrity: 'sha512-b', optional: true },
};
const installed = { 'node_modules/a': wanted['node_modules/a'] };

describe('install', () => {
  beforeEach(() => {
    rmSync(clone, { recursive: true, force: true });
    mkdirSync(join(modules, '.bin'), { recursive: true });
    symlinkSync(process.execPath, join(modules, '.bin', 'node'));
    mkdirSync(join(clone, 'dev'));
    copyFileSync(
      join(import.meta.dirname, '..', '..', 'dev', 'install.mjs'),
      join(clone, 'dev', 'install.mjs'),
    );
    writePackages(join(clone, 'package-lock.json'), wanted);
  });

  it('does nothing when what is installed fits package-lock.json', () => {
    writePackages(join(modules, '.package-lock.json'), installed);
    assert.deepEqual(install(), { status: 0, installs: false });
  });

  it('installs when nothing is installed', () => {
    rmSync(modules, { recursive: true });
    assert.equal(install().installs, true);
  });

  it('installs when an installation was interrupted, another version is there, or a package too many', () => {
    assert.equal(install().installs, true);
    const other = { 'node_modules/a': { version: '1.0.1', integrity: 'sha512-c' } };
    const more = { ...installed, 'node_modules/removed': { version: '1.0.0' } };
    for (const packages of [other, more, {}]) {
      writePackages(join(modules, '.package-lock.json'), packages);
      assert.equal(install().installs, true, JSON.stringify(packages));
    }
  });

  it('fails when npm does', () => {
    assert.deepEqual(install('exit 3'), { status: 1, installs: true });
  });
});

function writePackages(file: string, packages: object): void {
  writeFileSync(file, JSON.stringify({ lockfileVersion: 3, packages }));
}

/** Runs the script with an npm that leaves a file behind instead of installing. */
function install(ending = 'exit 0') {
  rmSync(npmCall, { force: true });
  const path = join(clone, 'path');
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'npm'), `#!/bin/sh\n: > '${npmCall}'\n${ending}\n`);
  chmodSync(join(path, 'npm'), 0o755);
  const env = { ...process.env, PATH: [path, process.env.PATH].join(delimiter) };
  const { status } = spawnSync(process.execPath, [join(clone, 'dev', 'install.mjs')], { env });
  return { status, installs: existsSync(npmCall) };
}
