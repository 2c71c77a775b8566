import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { type Child, type ChildOptions, describeExit, startChild } from '../../dev/child.ts';
import { temporaryFolder } from '../../dev/folders.ts';
import { isAlive, waitUntil } from './wait-until.ts';

const folder = temporaryFolder('child-test');
const logFile = join(folder, 'child.log');

describe('child', () => {
  it('is killed when its parent is killed, even while it is paused', async () => {
    const orphan = join(folder, 'orphaned');
    const parent = await startParent({
      command: 'sleep',
      args: ['60'],
      output: { logFile },
      whenOrphaned: ['touch', orphan],
    });
    const { childPid } = parent;
    assert.ok(isAlive(childPid));
    process.kill(childPid, 'SIGSTOP');
    parent.kill();
    await waitUntil(() => !isAlive(childPid), 'the child ends');
    await waitUntil(() => existsSync(orphan), 'its last command runs');
    await waitUntil(() => !existsSync(parent.folder), 'the temporary folder of its parent is gone');
  });

  it('is not reached by the signal of a terminal', async () => {
    const child = startChild({ command: 'sleep', args: ['60'], output: { logFile } });
    // A terminal signals the foreground process group, and this is the leader of another one.
    process.kill(-child.pid, 0);
    assert.notEqual(child.pid, process.pid);
    await child.kill();
  });

  it('reports how it ended, and logs what it said', async () => {
    const child = startChild({ command: 'sh', args: ['-c', 'echo said; exit 7'], output: { logFile } });
    assert.deepEqual(await child.exit, { code: 7, signal: null });
    assert.equal(child.hasEnded(), true);
    assert.match(readFileSync(logFile, 'utf8'), /said/);
    assert.equal(describeExit(await startSleep().kill()), 'SIGKILL');
  });

  it('takes along what it started', async () => {
    const child = startChild({ command: 'sh', args: ['-c', 'sleep 60 & echo $!; wait'], output: 'pipe' });
    const [grandchild] = await firstLines(child, 1);
    await child.kill();
    await waitUntil(() => !isAlive(Number(grandchild)), 'the grandchild ends');
  });

  it('ends on SIGTERM, also when it is paused, or by SIGKILL after the grace period', async () => {
    const paused = startSleep();
    paused.pause();
    assert.equal(describeExit(await paused.stop(5000)), 'SIGTERM');
    const deaf = startChild({
      command: 'sh',
      args: ['-c', 'trap "" TERM; echo deaf; sleep 60'],
      output: 'pipe',
    });
    await firstLines(deaf, 1);
    assert.equal(describeExit(await deaf.stop(50)), 'SIGKILL');
    assert.equal(describeExit(await deaf.stop(50)), 'SIGKILL', 'stopping twice does no harm');
  });

  it('can be asked to end by another signal', async () => {
    const child = startChild({
      command: 'sleep',
      args: ['60'],
      output: { logFile },
      stopSignal: 'SIGINT',
    });
    assert.equal(describeExit(await child.stop(5000)), 'SIGINT');
  });

  it('can be somebody else, who is killed like any other', { skip: process.getuid?.() !== 0 }, async () => {
    const parent = await startParent({
      command: 'sh',
      args: ['-c', 'id >&2; exec sleep 60'],
      cwd: '/',
      output: { logFile },
      user: { uid: 65_534, gid: 65_533 },
    });
    await waitUntil(() => /uid=65534.* gid=65533/.test(readFileSync(logFile, 'utf8')), 'it says who it is');
    assert.doesNotMatch(readFileSync(logFile, 'utf8'), /gid=65533.*\b0\(/, 'it is in no group of root');
    parent.kill();
    await waitUntil(() => !isAlive(parent.childPid), 'the child ends');
  });
});

function startSleep(): Child {
  return startChild({ command: 'sleep', args: ['60'], output: { logFile } });
}

/** A process of its own that starts a child and has a temporary folder. */
async function startParent(options: ChildOptions) {
  const dev = join(import.meta.dirname, '..', '..', 'dev');
  const script = `
    import { startChild } from ${JSON.stringify(join(dev, 'child.ts'))};
    import { temporaryFolder } from ${JSON.stringify(join(dev, 'folders.ts'))};
    console.log(startChild(${JSON.stringify(options)}).pid);
    console.log(temporaryFolder('orphan'));
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [childPid, parentFolder] = await firstLines(parent, 2);
  return { childPid: Number(childPid), folder: String(parentFolder), kill: () => parent.kill('SIGKILL') };
}

async function firstLines({ stdout }: Pick<Child, 'stdout'>, count: number): Promise<string[]> {
  assert.ok(stdout);
  const lines: string[] = [];
  for await (const line of createInterface({ input: stdout })) {
    lines.push(line);
    if (lines.length === count) return lines;
  }
  throw new Error(`ended after ${lines.length} lines`);
}
