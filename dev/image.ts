import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createGzip } from 'node:zlib';
import { baseImage } from './base-image.ts';
import type { DockerEngine } from './docker-engine.ts';
import { type Progress, reportElapsed, secondsSince } from './progress.ts';
import { StartError } from './start-error.ts';

const CLONE_FOLDER = join(import.meta.dirname, '..');
const BUILD_TIMEOUT_MS = 15 * 60_000;

/** Settings of this machine's network that a build needs as well. They are in no layer of the last stage. */
const PASSED_ON = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'NPM_CONFIG_REGISTRY'];

export interface BuiltImage {
  readonly name: string;
  /** Of the base as well. */
  readonly bytes: number;
  /** As `docker save | gzip` writes it. */
  readonly compressedBytes: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Nothing, on a machine whose engine goes with the run. */
  remove(): Promise<void>;
}

/** Builds the Dockerfile. */
export async function buildImage(engine: DockerEngine, progress: Progress): Promise<BuiltImage> {
  const { docker } = engine;
  const base = await baseImage(engine, progress);
  const name = `dual-stream:test-${process.pid}`;
  const settings = { NODE_IMAGE: base.name, VERSION: ownVersion(), REVISION: ownRevision(), ...passedOn() };
  const buildArgs = Object.entries(settings).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
  const startedAt = performance.now();
  const stopReporting = reportElapsed(progress, 'Docker: building');
  try {
    const args = ['build', '--network', 'host', '--tag', name, ...buildArgs, CLONE_FOLDER];
    await docker(args, BUILD_TIMEOUT_MS);
  } finally {
    stopReporting();
  }
  progress(`Docker: built in ${secondsSince(startedAt)} s`);
  const [image] = JSON.parse(await docker(['image', 'inspect', name]));
  return {
    name,
    bytes: image.Size,
    compressedBytes: await compressedBytesOf(name, engine),
    labels: image.Config.Labels,
    remove: async () => {
      if (engine.isOurs) return;
      await docker(['image', 'rm', name, ...(base.isStandIn ? [base.name] : [])]);
    },
  };
}

async function compressedBytesOf(name: string, { env }: DockerEngine): Promise<number> {
  const saving = spawn('docker', ['save', name], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(saving, 'exit');
  let bytes = 0;
  for await (const chunk of saving.stdout.pipe(createGzip())) bytes += chunk.length;
  const [code] = await ended;
  if (code !== 0) throw new StartError(`docker save failed: exit code ${code}`);
  return bytes;
}

function passedOn(): Record<string, string> {
  const names = PASSED_ON.flatMap((name) => [name, name.toLowerCase()]);
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] ? [[name.toUpperCase(), process.env[name]]] : [])),
  );
}

function ownVersion(): string {
  return JSON.parse(readFileSync(join(CLONE_FOLDER, 'package.json'), 'utf8')).version;
}

/** Empty where the sources are no clone. */
function ownRevision(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { cwd: CLONE_FOLDER, encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}
