import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ChildExit, startChild } from './child.ts';
import { KAFKA_VERSION } from './kafka-jars.ts';
import { answersAs } from './kafka-node.ts';
import { clusterProperties, nodeProperties } from './kafka-properties.ts';
import { keptClusterId } from './local-kafka.ts';
import { askRedis } from './local-redis.ts';
import { findOnPath } from './on-path.ts';
import { type Progress, reportElapsed } from './progress.ts';
import { untilReady } from './readiness.ts';

/**
 * Kafka and Redis as containers, for `npm run up` only: a test wants to stop a server in the middle of a word, which
 * it can do to a process of its own and not to somebody else's engine.
 */

const KAFKA_IMAGE = `apache/kafka:${KAFKA_VERSION}`;
const REDIS_IMAGE = 'redis:7.4.2-alpine';

/** Only reachable inside the container. */
const CONTROLLER_PORT = 9093;
const REDIS_PORT = 6379;
const DATA_FOLDER = '/var/lib/kafka/data';

const ENGINE_TIMEOUT_MS = 3000;
const COMMAND_TIMEOUT_MS = 10_000;
const READY_TIMEOUT_MS = 60_000;
const STOP_GRACE_S = 10;

/** Marks the containers of this clone. */
const LABEL = `dual-stream.clone=${createHash('sha256')
  .update(import.meta.dirname)
  .digest('hex')
  .slice(0, 16)}`;

export interface ContainerOptions {
  /** For logs, and the id of the cluster whose data a volume of the engine keeps. */
  readonly folder: string;
  readonly port: number;
  readonly progress: Progress;
}

export interface Container {
  readonly name: string;
  readonly port: number;
  readonly exit: Promise<ChildExit>;
  stop(): Promise<unknown>;
}

/** Whether there is an engine to talk to. */
export async function dockerAnswers(): Promise<boolean> {
  if (findOnPath('docker') === undefined) return false;
  return (await docker(['info', '--format', '{{.ID}}'], ENGINE_TIMEOUT_MS)) !== undefined;
}

/** A ready Kafka, or undefined when its image cannot be had. */
export async function startKafkaContainer(options: ContainerOptions): Promise<Container | undefined> {
  const { folder, port } = options;
  if (!(await hasImage(KAFKA_IMAGE, options))) return undefined;
  const clusterId = keptClusterId(folder);
  const place = { nodeId: 1, port, controllerPort: CONTROLLER_PORT };
  const properties: Record<string, string> = {
    ...clusterProperties(1, [place]),
    ...nodeProperties(place),
    // The engine forwards from outside, so 127.0.0.1 of the container is not enough.
    listeners: `PLAINTEXT://0.0.0.0:${port},CONTROLLER://127.0.0.1:${CONTROLLER_PORT}`,
    'log.dirs': DATA_FOLDER,
  };
  const env = {
    ...Object.fromEntries(Object.entries(properties).map(([name, value]) => [imageVariable(name), value])),
    CLUSTER_ID: clusterId,
    KAFKA_HEAP_OPTS: '-Xms128m -Xmx256m',
  };
  // A volume belongs to one cluster: Kafka refuses the data of another id.
  const volume = `dual-stream-kafka-${clusterId}:${DATA_FOLDER}`;
  const variables = Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  return runContainer('kafka', options, {
    flags: ['--publish', `127.0.0.1:${port}:${port}`, '--volume', volume, ...variables],
    image: KAFKA_IMAGE,
    command: [],
    answers: () => answersAs(`127.0.0.1:${port}`, clusterId),
  });
}

/** A ready Redis, or undefined when its image cannot be had. */
export async function startRedisContainer(options: ContainerOptions): Promise<Container | undefined> {
  const { port } = options;
  if (!(await hasImage(REDIS_IMAGE, options))) return undefined;
  return runContainer('redis', options, {
    flags: ['--publish', `127.0.0.1:${port}:${REDIS_PORT}`],
    image: REDIS_IMAGE,
    // Only this machine reaches the published port; to the server in the container that looks like from elsewhere.
    command: ['redis-server', '--save', '', '--appendonly', 'no', '--protected-mode', 'no'],
    answers: async (containerName) => {
      // Each run of a server has an id. Seen from inside and through the port it must be the same.
      const inside = await docker(['exec', containerName, 'redis-cli', 'info', 'server']);
      const runId = /^run_id:(\w+)/m.exec(inside ?? '')?.[1];
      return runId !== undefined && (await askRedis(port, 'run_id')) === runId;
    },
  });
}

/** Removes what a killed run has left. Only containers of this clone, and only while no other `up` runs in it. */
export async function removeLeftContainers(): Promise<void> {
  const ids = await docker(['ps', '--all', '--quiet', '--filter', `label=${LABEL}`]);
  const left = (ids ?? '').split('\n').filter((id) => id !== '');
  if (left.length > 0) await docker(['rm', '--force', ...left]);
}

interface ContainerRun {
  readonly flags: readonly string[];
  readonly image: string;
  readonly command: readonly string[];
  /** Whether the server in the container answers through the published port. */
  readonly answers: (containerName: string) => Promise<boolean>;
}

async function runContainer(
  what: 'kafka' | 'redis',
  { folder, port, progress }: ContainerOptions,
  run: ContainerRun,
): Promise<Container> {
  const name = `dual-stream-${what}-${process.pid}`;
  const logFile = join(folder, 'container.log');
  rmSync(logFile, { force: true });
  const remove = `docker rm --force ${name}`;
  const child = startChild({
    command: 'docker',
    args: ['run', '--rm', '--pull', 'never', '--name', name, '--label', LABEL]
      .concat(run.flags)
      .concat(run.image, run.command),
    output: { logFile },
    // Killing the client leaves the container. The second time is for one that was just being made.
    whenOrphaned: ['sh', '-c', `${remove}; sleep 2; ${remove}`],
  });
  try {
    await untilReady({
      name: what === 'kafka' ? 'Kafka in Docker' : 'Redis in Docker',
      child,
      logFile,
      timeoutMs: READY_TIMEOUT_MS,
      progress,
      answers: () => run.answers(name),
    });
  } catch (error) {
    await docker(['rm', '--force', name]);
    throw error;
  }
  return {
    name,
    port,
    exit: child.exit,
    stop: async () => {
      await docker(['stop', '--time', String(STOP_GRACE_S), name], (STOP_GRACE_S + 5) * 1000);
      await child.stop(1000);
    },
  };
}

/** Whether the image is here, after pulling it if it was not. */
async function hasImage(image: string, { folder, progress }: ContainerOptions): Promise<boolean> {
  mkdirSync(folder, { recursive: true });
  if ((await docker(['image', 'inspect', '--format', '{{.Id}}', image])) !== undefined) return true;
  const logFile = join(folder, 'pull.log');
  rmSync(logFile, { force: true });
  progress(`Docker: pulling ${image}`);
  const stopReporting = reportElapsed(progress, `Docker: pulling ${image}`);
  const { code } = await startChild({
    command: 'docker',
    args: ['pull', '--quiet', image],
    output: { logFile },
  }).exit;
  stopReporting();
  if (code === 0) return true;
  const why = readFileSync(logFile, 'utf8').trim().split('\n').at(-1) ?? '';
  progress(`Docker: ${image} cannot be had (${why.slice(0, 200)}); doing without Docker`);
  return false;
}

/** As the image wants a property to be named: log.dirs is KAFKA_LOG_DIRS. */
function imageVariable(property: string): string {
  return `KAFKA_${property.replaceAll('-', '___').replaceAll('.', '_').toUpperCase()}`;
}

/** What the command prints, or undefined when it fails. */
async function docker(args: readonly string[], timeoutMs = COMMAND_TIMEOUT_MS): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('docker', args, { timeout: timeoutMs });
    return stdout;
  } catch {
    return undefined;
  }
}
