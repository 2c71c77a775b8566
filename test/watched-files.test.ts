import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WatchedFiles } from '../src/watched-files.ts';

let folder: string;
let path: string;
let said: string[];
let file: WatchedFiles<number> | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'watched-'));
  path = join(folder, 'number');
  said = [];
});
afterEach(() => {
  file?.close();
  rmSync(folder, { recursive: true });
});

function watch(): WatchedFiles<number> {
  file = new WatchedFiles({
    paths: [path],
    parse: ([text = '']) => {
      if (!/^\d+$/.test(text)) throw new Error('no number');
      return Number(text);
    },
    onChange: (value) => said.push(`is ${value}`),
    onFault: (reason) => said.push(reason),
    intervalMs: 5,
  });
  return file;
}

/** At once, as whoever writes such a file should: a look in the middle of writing would find it broken. */
function write(text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

async function untilSaid(...lines: string[]): Promise<void> {
  const giveUpAt = performance.now() + 3_000;
  while (said.length < lines.length && performance.now() < giveUpAt) await delay(5);
  await delay(30); // and nothing more
  assert.deepEqual(said, lines);
}

describe('watched files', () => {
  it('is read again when it changes', async () => {
    write('1');
    const watched = watch();
    assert.equal(watched.value, 1);
    write('2');
    await untilSaid('is 2');
    assert.equal(watched.value, 2);
  });

  it('keeps its last good content, and says once what is wrong, and that it is over', async () => {
    write('1');
    const watched = watch();
    write('one');
    await untilSaid('no number');
    assert.equal(watched.value, 1);
    write('1');
    await untilSaid('no number', 'is 1');
    rmSync(path);
    await untilSaid('no number', 'is 1', 'it cannot be read (ENOENT)');
    assert.equal(watched.value, 1);
    write('1');
    await untilSaid('no number', 'is 1', 'it cannot be read (ENOENT)', 'is 1');
  });

  it('may be a link that moves on, as Kubernetes mounts secrets', async () => {
    for (const version of ['one', 'two']) mkdirSync(join(folder, version));
    writeFileSync(join(folder, 'one', 'number'), '1');
    writeFileSync(join(folder, 'two', 'number'), '2');
    symlinkSync('one', join(folder, '..data'));
    symlinkSync(join('..data', 'number'), path);
    const watched = watch();
    assert.equal(watched.value, 1);
    symlinkSync('two', join(folder, '..new'));
    renameSync(join(folder, '..new'), join(folder, '..data'));
    await untilSaid('is 2');
    assert.equal(watched.value, 2);
  });

  it('tells nothing after its end, nor what was being read then', async () => {
    writeFileSync(path, '1');
    for (let count = 0; count < 20; count += 1) {
      const watched = watch();
      await delay(count % 7);
      rmSync(path);
      watched.close();
      await delay(5);
      writeFileSync(path, '1');
    }
    assert.deepEqual(said, []);
  });

  it('has to be good to begin with', () => {
    assert.throws(watch, /ENOENT/);
    write('one');
    assert.throws(watch, /no number/);
  });
});
