import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type Child, type ChildExit, startChild } from './child.ts';
import { temporaryFolder } from './folders.ts';
import { freePort } from './free-port.ts';
import { findOnPath } from './on-path.ts';
import { POSTGRES_USER, postgresBinaries, postgresPlace, refuseOthers } from './postgres-binaries.ts';
import type { Progress } from './progress.ts';
import { untilReady } from './readiness.ts';
import { MissingProgramError, StartError } from './start-error.ts';

const READY_TIMEOUT_MS = 30_000;
const STOP_GRACE_MS = 10_000;
const KILL_POLL_MS = 10;
const ANSWER_TIMEOUT_MS = 1000;

/** Of the database, and of its owner, who may do everything. */
const NAME = 'dual_stream';

const TRUST_THIS_MACHINE = ['host all all 127.0.0.1/32 trust'];

/** Without waiting for the disk: until it is complete, nobody relies on it. */
const INITIALISE = `"$1/initdb" -D "$2" -U ${NAME} -A trust --no-sync -E UTF8 --locale=C &&
  echo "CREATE DATABASE ${NAME}" | "$1/postgres" --single -F -D "$2" -c exit_on_error=on postgres`;

/**
 * Signals all processes of a cluster, and says which ones. The first process has the cluster's name among its arguments,
 * the others in their titles; no other command line has it in either form, not even that of grep.
 */
const SIGNAL_ALL = `ps -A -ww -o pid= -o args= | grep -E "(cluster_name=|postgres: )$2" |
  while read -r pid rest; do kill -s "$1" "$pid" 2>/dev/null && echo "$pid"; done`;

/** A killed server leaves a segment of shared memory, which its next start would find; macOS has room for 32. */
const REMOVE_SEGMENT = `ipcrm -m "$(sed -n '7s/.* //p' "$1/postmaster.pid")"`;

/** Kills all, and then runs a command if there were any: only who has the data for itself starts further processes. */
const END_ORPHANS = `[ -n "$(${SIGNAL_ALL})" ] && shift 2 && "$@"`;

export interface PostgresOptions {
  /** Keeps the data between runs; otherwise it is temporary and goes when this process ends. */
  readonly folder?: string;
  /** Left out: a free one. */
  readonly port?: number;
  readonly progress?: Progress;
  /** Arguments for postgres: `['-c', 'fsync=off']`. */
  readonly args?: readonly string[];
  /**
   * Lines of pg_hba.conf, instead of trusting whoever comes from this machine. The database `postgres` stays open:
   * there it is asked whether it is ready, and there a test can give `dual_stream` a password.
   */
  readonly hba?: readonly string[];
  /** False: PostgreSQL from Maven Central, whatever is installed. */
  readonly installed?: boolean;
}

/** A PostgreSQL of our own on 127.0.0.1, as durable as one in production. */
export interface LocalPostgres {
  /** Of a database that is there and empty at first: `postgres://dual_stream@127.0.0.1:20000/dual_stream`. */
  readonly url: string;
  readonly port: number;
  readonly logFile: string;
  /** The process that runs now or ran last. Its verbs are those below. */
  readonly child: Child;
  /** Starts a stopped or killed server again, on the same port and data. */
  start(): Promise<void>;
  /** SIGINT: it ends connections first, and leaves nothing to recover. */
  stop(): Promise<ChildExit>;
  /** SIGKILL for all of its processes, as if the machine had died. */
  kill(): Promise<ChildExit>;
  /** SIGSTOP for all of its processes: connections stay open and nothing is answered. */
  pause(): void;
  resume(): void;
}

/** Ready when this settles. */
export async function startPostgres(options: PostgresOptions = {}): Promise<LocalPostgres> {
  if (findOnPath('ps') === undefined)
    throw new MissingProgramError('PostgreSQL has several processes, and there is no ps to find them with');
  const { progress = () => {}, args = [], hba = TRUST_THIS_MACHINE, installed = true } = options;
  const binaries = await postgresBinaries(progress, { installed });
  const folder = reachableFolder(options.folder, progress);
  const port = options.port ?? (await freePort());
  const logFile = join(folder, 'postgres.log');
  const dataFolder = join(folder, 'data');
  const hbaFile = join(folder, 'pg_hba.conf');
  rmSync(logFile, { force: true });
  writeFileSync(hbaFile, `${[`host postgres ${NAME} 127.0.0.1/32 trust`, ...hba].join('\n')}\n`);
  chmodSync(hbaFile, 0o644);
  if (!existsSync(dataFolder)) await initialise(binaries, dataFolder, logFile);
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    `hba_file=${hbaFile}`,
    // No file in /dev/shm that kill -9 leaves behind.
    'dynamic_shared_memory_type=mmap',
  ];

  let child: Child | undefined;
  const current = () => {
    if (child === undefined) throw new Error('PostgreSQL has not been started');
    return child;
  };
  const postgres: LocalPostgres = {
    url: `postgres://${NAME}@127.0.0.1:${port}/${NAME}`,
    port,
    logFile,
    get child() {
      return current();
    },
    async start() {
      if (child !== undefined && !child.hasEnded()) return;
      // What is left of the last one would keep the next from starting.
      await child?.exit;
      const starting = startServer(join(binaries, 'postgres'), dataFolder, logFile, [
        ...args,
        ...settings.flatMap((setting) => ['-c', setting]),
      ]);
      child = starting;
      await untilReady({
        name: 'PostgreSQL',
        child: starting,
        logFile,
        timeoutMs: READY_TIMEOUT_MS,
        progress,
        answers: async () => (await askPostgres(port)) === String(starting.pid),
      });
    },
    stop: () => current().stop(STOP_GRACE_MS),
    kill: () => current().kill(),
    pause: () => current().pause(),
    resume: () => current().resume(),
  };
  await postgres.start();
  return postgres;
}

/**
 * The process id of the server that answers, or undefined when there is none. An open port proves nothing: somebody
 * else's PostgreSQL may listen there.
 */
export async function askPostgres(port: number): Promise<string | undefined> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: NAME,
    database: 'postgres',
    ssl: false,
    connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
  });
  // Said once more by the rejection of connect or query.
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ file: string }>(`SELECT pg_read_file('postmaster.pid') AS file`);
    return /^\d+/.exec(rows[0]?.file ?? '')?.[0];
  } catch {
    // Nobody listens, or whoever does is not ready or speaks something else.
    return undefined;
  } finally {
    await client.end();
  }
}

/** Under another name until it has its database: what was interrupted is done again from the beginning. */
async function initialise(binaries: string, dataFolder: string, logFile: string): Promise<void> {
  const unfinished = `${dataFolder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  if (POSTGRES_USER !== undefined) chownSync(unfinished, POSTGRES_USER.uid, POSTGRES_USER.gid);
  const { code } = await startChild({
    command: 'sh',
    args: ['-c', INITIALISE, 'sh', binaries, unfinished],
    cwd: '/',
    user: POSTGRES_USER,
    output: { logFile },
  }).exit;
  if (code !== 0)
    throw new StartError(`PostgreSQL's data folder could not be initialised; its log is ${logFile}`);
  renameSync(unfinished, dataFolder);
}

/**
 * PostgreSQL makes each of its processes the leader of a group of its own, where the signals of a child do not arrive.
 * So they go to all that bear the cluster's name, and the child has ended when none of them is left.
 */
function startServer(
  command: string,
  dataFolder: string,
  logFile: string,
  settings: readonly string[],
): Child {
  const cluster = `dual-stream-${randomBytes(8).toString('hex')}`;
  const child = startChild({
    command,
    args: ['-D', dataFolder, ...settings, '-c', `cluster_name=${cluster}`],
    cwd: '/',
    user: POSTGRES_USER,
    output: { logFile },
    // A fast shutdown. SIGTERM would wait until the last client has left.
    stopSignal: 'SIGINT',
    whenOrphaned: ['sh', '-c', END_ORPHANS, 'sh', 'KILL', cluster, ...removal(dataFolder)],
  });
  const signalAll = (name: 'KILL' | 'STOP' | 'CONT') =>
    execFileSync('sh', ['-c', SIGNAL_ALL, 'sh', name, cluster], { encoding: 'utf8' });
  const exit = child.exit.then(async (how) => {
    while (signalAll('KILL') !== '') await sleep(KILL_POLL_MS);
    removeSegment(dataFolder, child.pid);
    return how;
  });
  return {
    ...child,
    exit,
    pause() {
      // First the one that starts the others.
      child.pause();
      signalAll('STOP');
    },
    resume: () => void signalAll('CONT'),
    kill() {
      signalAll('KILL');
      return exit;
    },
    async stop(graceMs) {
      signalAll('CONT');
      await child.stop(graceMs);
      return exit;
    },
  };
}

/** For the watchdog, who is root if we are. It is PostgreSQL's user who says which segment: so he may remove only his. */
function removal(dataFolder: string): string[] {
  const remove = ['sh', '-c', REMOVE_SEGMENT, 'sh', dataFolder];
  if (POSTGRES_USER === undefined) return remove;
  const { uid, gid } = POSTGRES_USER;
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...remove];
}

/** For us, when the child has ended. */
function removeSegment(dataFolder: string, pid: number): void {
  try {
    const owner = readFileSync(join(dataFolder, 'postmaster.pid'), 'utf8').split('\n')[0];
    if (owner !== String(pid)) return;
    execFileSync('sh', ['-c', REMOVE_SEGMENT, 'sh', dataFolder], {
      cwd: '/',
      stdio: 'ignore',
      ...POSTGRES_USER,
    });
  } catch {
    // It was stopped, its folder is gone, or there is no ipcrm here: nothing is left, or 56 bytes are.
  }
}

/** A folder for all of one server, which its user can pass through. */
function reachableFolder(wanted: string | undefined, progress: Progress): string {
  const folder = wanted === undefined ? temporaryFolder('postgres') : resolve(wanted);
  if (openFolder(folder)) return folder;
  if (wanted === undefined) {
    throw new StartError(
      `As root, PostgreSQL is run as nobody, who cannot reach ${folder}: set TMPDIR to a folder that everybody can reach`,
    );
  }
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 12);
  const instead = join(postgresPlace(), `${basename(folder)}-${name}`);
  progress(`PostgreSQL: nobody, whom it is run as, cannot reach ${folder}: its data is in ${instead}`);
  openFolder(instead);
  return instead;
}

/** Makes the folder one that PostgreSQL's user can pass through; false if that takes more, above it. */
function openFolder(folder: string): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (POSTGRES_USER === undefined) return true;
  refuseOthers(folder);
  chmodSync(folder, 0o711);
  try {
    execFileSync('test', ['-x', folder], { cwd: '/', ...POSTGRES_USER });
    return true;
  } catch {
    return false;
  }
}
