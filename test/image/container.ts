import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { DockerEngine } from '../../dev/docker-engine.ts';
import { freePort } from '../../dev/free-port.ts';
import { samplesIn } from '../../dev/prometheus-samples.ts';
import { isReady } from '../../dev/service.ts';
import { StartError } from '../../dev/start-error.ts';

/** The image as it is run where nobody trusts it. */
export interface Container {
  readonly port: number;
  readonly managementPort: number;
  /** Until the image's own HEALTHCHECK says so, and the service is ready. */
  untilHealthy(): Promise<void>;
  /** Process 1 of the container, as the kernel shows it. */
  processStatus(): Promise<ReadonlyMap<string, string>>;
  /** The words that process 1 was started with. */
  command(): Promise<readonly string[]>;
  /** Processes that process 1 has to wait for when they end, and that nothing else does. */
  children(): Promise<readonly string[]>;
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** Runs JavaScript in the container, and returns what it prints. */
  evaluate(script: string): Promise<string>;
  /** SIGTERM, and SIGKILL 30 s later; or another signal. Settles when it has ended. */
  stop(signal: string): Promise<void>;
  /** After the end. */
  exit(): Promise<{ readonly code: number; readonly wasOutOfMemory: boolean }>;
  log(): Promise<readonly LogLine[]>;
  remove(): Promise<void>;
}

export interface LogLine {
  readonly level: number;
  readonly time: number;
  readonly msg: string;
}

const HOST = '127.0.0.1';
const HEALTHY_TIMEOUT_MS = 60_000;
const STOP_GRACE_S = 30;

/** As strict as Kubernetes' restricted profile and compose are told to be. */
const STRICT = ['--read-only', '--cap-drop=ALL', '--security-opt=no-new-privileges:true', '--network=host'];

export async function runContainer(
  { docker }: DockerEngine,
  image: string,
  options: { readonly memory: string; readonly settings: Readonly<Record<string, string>> },
): Promise<Container> {
  const [port, managementPort] = [await freePort(), await freePort()];
  const name = `dual-stream-image-${process.pid}-${port}`;
  const settings = { HOST, PORT: `${port}`, MANAGEMENT_PORT: `${managementPort}`, ...options.settings };
  const variables = Object.entries(settings).map(([key, value]) => `--env=${key}=${value}`);
  const memory = [`--memory=${options.memory}`, `--memory-swap=${options.memory}`];
  const remove = async () => {
    await docker(['rm', '--force', name]);
  };
  const inspect = async (what: string) =>
    JSON.parse(await docker(['inspect', `--format={{json ${what}}}`, name]));
  // The image asks every ten seconds; here nobody wants to wait for it.
  const flags = [...STRICT, ...memory, '--health-interval=1s', ...variables];
  try {
    await docker(['run', '--detach', `--name=${name}`, ...flags, image]);
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
  return {
    port,
    managementPort,
    untilHealthy: async () => {
      const giveUpAt = performance.now() + HEALTHY_TIMEOUT_MS;
      while (
        (await inspect('.State.Health.Status')) !== 'healthy' ||
        !(await isReady(`http://${HOST}:${managementPort}`))
      ) {
        const hasEnded = !(await inspect('.State.Running'));
        if (hasEnded || performance.now() > giveUpAt) {
          const said = (await docker(['logs', '--tail=20', name])).trim();
          const probes = JSON.stringify(await inspect('.State.Health.Log'));
          throw new StartError(
            `the container ${hasEnded ? 'has ended' : 'is not healthy'}: ${said} ${probes}`,
          );
        }
        await delay(200);
      }
    },
    processStatus: async () => {
      const status = readFileSync(`/proc/${await inspect('.State.Pid')}/status`, 'utf8');
      return new Map(status.split('\n').map((line) => line.split(/:\s*/, 2) as [string, string]));
    },
    command: async () =>
      readFileSync(`/proc/${await inspect('.State.Pid')}/cmdline`, 'utf8')
        .split('\0')
        .slice(0, -1),
    children: async () => {
      const pid = await inspect('.State.Pid');
      return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    },
    metrics: async () => samplesIn(await (await fetch(`http://${HOST}:${managementPort}/metrics`)).text()),
    evaluate: async (script) => (await docker(['exec', name, 'node', '-e', script])).trim(),
    stop: async (signal) => {
      if (signal === 'TERM') await docker(['stop', '-t', String(STOP_GRACE_S), name]);
      else await docker(['kill', '-s', signal, name]);
      await docker(['wait', name]);
    },
    exit: async () => {
      const { ExitCode, OOMKilled } = await inspect('.State');
      return { code: ExitCode, wasOutOfMemory: OOMKilled };
    },
    log: async () => {
      const lines = (await docker(['logs', name])).split('\n').filter((line) => line.startsWith('{'));
      return lines.map((line) => JSON.parse(line));
    },
    remove,
  };
}
