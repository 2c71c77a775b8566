import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { pythonTools } from '../../dev/python-tools.ts';

const path = process.env.PATH;
const folder = mkdtempSync(join(tmpdir(), 'python-tools-'));
const requirements = join(folder, 'requirements.txt');
writeFileSync(requirements, 'some-tool==1.2.3\n');

/** A python3 that does no more than what it is called for here. */
function fakePython({ version = '3.12.1', hasVenv = true, installs = true } = {}): void {
  const bin = mkdtempSync(join(folder, 'bin-'));
  const script = `#!/bin/sh
case "$*" in
  *platform*) echo ${version} ;;
  *ensurepip*) exit ${hasVenv ? 0 : 1} ;;
  '-m venv '*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  '-m pip '*) ${installs ? 'true' : 'echo no such version; exit 1'} ;;
esac
`;
  writeFileSync(join(bin, 'python3'), script);
  chmodSync(join(bin, 'python3'), 0o755);
  process.env.PATH = [bin, '/usr/bin', '/bin'].join(delimiter);
}

const said: string[] = [];
const fetched: string[] = [];
async function tools() {
  const { python } = await pythonTools(requirements, {
    name: 'Fake',
    progress: (line) => void said.push(line),
  });
  fetched.push(dirname(dirname(python)));
  return python;
}

describe('tools in Python', () => {
  afterEach(() => {
    process.env.PATH = path;
    said.length = 0;
  });
  after(() => {
    for (const each of fetched) rmSync(`${each}.lock`, { force: true });
    for (const each of [folder, ...fetched]) rmSync(each, { recursive: true, force: true });
  });

  it('are fetched once, as they are pinned, into an environment of their own', async () => {
    fakePython({ version: '3.12.1' });
    const first = await tools();
    assert.match(first, /\.local\/python-fake-[0-9a-f]{12}\/bin\/python$/);
    assert.match(said[0] ?? '', /^Fake: fetching from PyPI/);
    said.length = 0;
    assert.equal(await tools(), first);
    assert.deepEqual(said, []);
  });

  it('are fetched again for another Python', async () => {
    fakePython({ version: '3.12.1' });
    const first = await tools();
    fakePython({ version: '3.13.0' });
    assert.notEqual(await tools(), first);
  });

  it('cannot be had without a Python that can make environments, which is said', async () => {
    fakePython({ version: '3.9.18' });
    await assert.rejects(tools(), /Fake needs Python 3\.10 or later, and .*python3 is Python 3\.9\.18/);
    fakePython({ hasVenv: false });
    await assert.rejects(
      tools(),
      /Fake needs Python's modules venv and ensurepip \(on Debian: apt-get install python3-venv\)/,
    );
    process.env.PATH = mkdirSync(join(folder, 'empty'), { recursive: true });
    await assert.rejects(tools(), /Fake needs Python 3\.10 or later, and there is no python3 on the PATH/);
  });

  it('that could not be fetched are not taken for complete', async () => {
    fakePython({ version: '3.14.0', installs: false });
    await assert.rejects(tools(), /Fake could not be fetched from PyPI; what python said: .*\.fetch\.log/);
    fakePython({ version: '3.14.0' });
    await tools();
  });
});
