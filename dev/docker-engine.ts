import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { aptInstall } from './apt-install.ts';
import { startChild } from './child.ts';
import { dockerAnswers } from './docker.ts';
import { temporaryFolder } from './folders.ts';
import { findOnPath } from './on-path.ts';
import type { Progress } from './progress.ts';
import { untilReady } from './readiness.ts';
import { StartError } from './start-error.ts';

/** A Docker engine to build and run an image with. */
export interface DockerEngine {
  /** False: it was there before us and stays. */
  readonly isOurs: boolean;
  /** For programs that are not run by `docker`. */
  readonly env: NodeJS.ProcessEnv;
  /** What the client prints. Throws a StartError with the end of its complaint. */
  docker(args: readonly string[], timeoutMs?: number): Promise<string>;
  /** Leaves nothing of an engine of ours: no process, mount or folder. */
  stop(): Promise<void>;
}

const COMMAND_TIMEOUT_MS = 60_000;
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;
const READY_TIMEOUT_MS = 60_000;
const STOP_GRACE_MS = 30_000;

/** No bridge and no rules: it changes nothing in the network of the machine, and so has the host's network only. */
const NETWORK_FLAGS = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false'];

/**
 * Ends what an engine may have left under its folder: containers by the ids that it kept, what keeps them by the folder
 * in its command line, mounts and the folder itself. An engine that was stopped properly has left a mount at most.
 */
const SWEEP = `
for file in "$1"/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/*/init.pid; do
  [ -f "$file" ] && kill -s KILL "$(cat "$file")"
done
for process in /proc/[0-9]*; do
  tr '\\0' ' ' <"$process/cmdline" | grep -qF -- "$1/exec" && kill -s KILL "\${process#/proc/}"
done
sleep 0.5
awk -v under="$1/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
  umount -l "$mount"
done
rm -rf -- "$1"
`;

/** The engine that answers, or one of our own that ends with this process. */
export async function dockerEngine(progress: Progress): Promise<DockerEngine> {
  if (await dockerAnswers()) return foreignEngine();
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new StartError('no Docker engine answers, and one of our own needs Linux and root: start Docker');
  if (findOnPath('dockerd') === undefined || findOnPath('docker') === undefined) {
    await aptInstall(['docker.io'], progress);
    // Where the system starts what it installs, that one will do.
    if (await dockerAnswers()) return foreignEngine();
  }
  return startEngine(progress);
}

function foreignEngine(): DockerEngine {
  const { env } = process;
  return {
    isOurs: false,
    env,
    docker: (args, timeoutMs) => runDocker(env, args, timeoutMs),
    stop: async () => {},
  };
}

async function startEngine(progress: Progress): Promise<DockerEngine> {
  const folder = temporaryFolder('docker');
  const logFile = join(folder, 'dockerd.log');
  const host = `unix://${join(folder, 'docker.sock')}`;
  const child = startChild({
    command: 'dockerd',
    args: [
      ...NETWORK_FLAGS,
      `--host=${host}`,
      `--data-root=${join(folder, 'data')}`,
      `--exec-root=${join(folder, 'exec')}`,
      `--pidfile=${join(folder, 'dockerd.pid')}`,
    ],
    output: { logFile },
    whenOrphaned: ['sh', '-c', SWEEP, 'sweep', folder],
  });
  const env = { ...process.env, DOCKER_HOST: host };
  const docker: DockerEngine['docker'] = (args, timeoutMs) => runDocker(env, args, timeoutMs);
  const answers = () =>
    docker(['info']).then(
      () => true,
      () => false,
    );
  await untilReady({ name: 'Docker engine', child, logFile, timeoutMs: READY_TIMEOUT_MS, progress, answers });
  progress('Docker: no engine answered; started one, which ends with this run');
  return {
    isOurs: true,
    env,
    docker,
    stop: async () => {
      await child.stop(STOP_GRACE_MS);
      await startChild({ command: 'sh', args: ['-c', SWEEP, 'sweep', folder], output: 'pipe' }).exit;
      if (existsSync(folder)) throw new StartError(`the Docker engine has left something in ${folder}`);
    },
  };
}

async function runDocker(
  env: NodeJS.ProcessEnv,
  args: readonly string[],
  timeout = COMMAND_TIMEOUT_MS,
): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('docker', args, {
      env,
      timeout,
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    return stdout;
  } catch (error) {
    const { stderr = '', stdout = '', message } = error as Error & { stderr?: string; stdout?: string };
    const said = `${stdout}${stderr}`.trim() || message;
    throw new StartError(`docker ${args[0]} failed: ${said.slice(-2_000)}`);
  }
}
