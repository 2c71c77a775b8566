import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Child, describeExit, startChild } from '../../dev/child.ts';
import { temporaryFolder } from '../../dev/folders.ts';
import { findOnPath } from '../../dev/on-path.ts';
import { MissingProgramError } from '../../dev/start-error.ts';

/**
 * The programs that documents show, run from exactly their text. A fence names the file behind the language:
 * ```` ```python send.py ````.
 */

const ROOT = join(import.meta.dirname, '..', '..');
const FENCE = /^```\w+ (\S+)\n([\s\S]*?)^```$/gm;

/** Writes the named programs of a document to a folder of their own, with our packages to import, and returns it. */
export function unpackExamples(...documents: readonly string[]): string {
  const folder = temporaryFolder('examples');
  // Where a user would have run `npm install`.
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const document of documents) {
    const programs = [...readFileSync(join(ROOT, document), 'utf8').matchAll(FENCE)];
    assert.ok(programs.length > 0, `${document} shows no program`);
    for (const [, name = '', text = ''] of programs) writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Has TypeScript judge a JavaScript example by the types in its comments. */
export function checkTypes(folder: string, ...files: readonly string[]): void {
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
  const options = ['--noEmit', '--allowJs', '--checkJs', '--strict', '--skipLibCheck', '--types', 'node'];
  const language = ['--target', 'es2024', '--lib', 'es2024', '--module', 'nodenext', '--ignoreConfig'];
  const { status, stdout } = spawnSync(tsc, [...options, ...language, ...files], {
    cwd: folder,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout);
}

/** A program that the examples need and that we do not fetch. */
export function needProgram(name: string, debianPackage: string): string {
  const program = findOnPath(name);
  if (program !== undefined) return program;
  throw new MissingProgramError(
    `the examples need ${name}, and it is not on the PATH (on Debian: apt-get install ${debianPackage})`,
  );
}

/** An example that runs. */
export interface RunningExample {
  /** What it has printed so far. */
  readonly lines: readonly string[];
  /** How it ended (`exit code 0`), and all that it said on stderr; when both outputs are read to their end. */
  readonly ended: Promise<{ readonly how: string; readonly complaints: string }>;
  /** SIGTERM, as whoever runs it would. */
  stop(): Promise<unknown>;
}

const STOP_GRACE_MS = 10_000;

export function runExample(
  folder: string,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): RunningExample {
  const [program = '', ...args] = command;
  const child = startChild({
    command: program,
    args,
    cwd: folder,
    env: { ...process.env, no_proxy: '127.0.0.1', ...env },
    output: 'pipe',
  });
  const lines: string[] = [];
  const complaints: string[] = [];
  const printed = [eachLine(child, 'stdout', lines), eachLine(child, 'stderr', complaints)];
  return {
    lines,
    ended: Promise.all([child.exit, ...printed]).then(([exit]) => ({
      how: describeExit(exit),
      complaints: complaints.join('\n'),
    })),
    stop: () => child.stop(STOP_GRACE_MS),
  };
}

async function eachLine(child: Child, output: 'stdout' | 'stderr', into: string[]): Promise<void> {
  const stream = child[output];
  if (stream === null) throw new Error(`The example has no ${output}`);
  for await (const line of createInterface({ input: stream })) into.push(line);
}
