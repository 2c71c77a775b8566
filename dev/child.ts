import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';

/**
 * A child process that Ctrl-C does not reach and that never outlives this one.
 *
 * It gets a session of its own, so the terminal's signals pass it by: we stop our children in an order. A session of
 * its own would also let it live on when we are killed with SIGKILL. So a small shell, the watchdog, reads from
 * a pipe that only we hold; when we end, however we end, it reads the end of file and kills the child's process group.
 *
 * The child itself begins as a shell that waits for a line before it becomes the program. The line is sent when the
 * watchdog stands. If we die in between, both shells read the end of file, and the program has never run.
 */

const WAIT_THEN_BECOME = 'read -r go && exec "$@" </dev/null';
const WATCH = 'read -r end; kill -s KILL -- "-$1" 2>/dev/null; shift; if [ $# -gt 0 ]; then exec "$@"; fi';

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A file that output is appended to, or 'pipe' to read it from `stdout` and `stderr`. */
  readonly output: { readonly logFile: string } | 'pipe';
  /** Whom the program runs as, if this process is root; the watchdog stays root. */
  readonly user?: ProgramUser | undefined;
  /** What asks the program to end; left out, SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** What the watchdog runs after the kill, for a child that leads something outside its process group. */
  readonly whenOrphaned?: readonly string[];
}

/** By their numbers, without any further groups. */
export interface ProgramUser {
  readonly uid: number;
  readonly gid: number;
}

/** How a child ended: with an exit code or by a signal. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  /** The process id of the program itself, which is also its process group. */
  readonly pid: number;
  /** Settles when the program has ended, and never rejects. */
  readonly exit: Promise<ChildExit>;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  hasEnded(): boolean;
  /** SIGSTOP: the program keeps its connections and answers nothing. */
  pause(): void;
  resume(): void;
  /** SIGKILL for the program and whatever it started. */
  kill(): Promise<ChildExit>;
  /** The stop signal, and SIGKILL if it has not ended within the grace period. */
  stop(graceMs: number): Promise<ChildExit>;
}

export function startChild(options: ChildOptions): Child {
  const program = spawnProgram(options);
  const { pid } = program;
  const { stopSignal = 'SIGTERM' } = options;
  if (pid === undefined) throw new Error(`No shell to start ${options.command} with`);
  const watchdog = spawn('sh', ['-c', WATCH, 'watchdog', String(pid), ...(options.whenOrphaned ?? [])], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog.unref();
  program.stdin?.end('go\n');

  let ended = false;
  const exit = new Promise<ChildExit>((resolve) => {
    program.once('exit', (code, signal) => {
      ended = true;
      watchdog.kill('SIGKILL');
      signalGroup(pid);
      resolve({ code, signal });
    });
  });
  const signal = (name: NodeJS.Signals) => {
    // program.kill() knows that an ended process has no id any more; process.kill() would hit whoever got it next.
    if (!ended) program.kill(name);
  };
  const kill = () => {
    signal('SIGKILL');
    return exit;
  };
  return {
    pid,
    exit,
    stdout: program.stdout,
    stderr: program.stderr,
    hasEnded: () => ended,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    kill,
    stop: async (graceMs) => {
      signal(stopSignal);
      // A paused program notices it only when it goes on.
      signal('SIGCONT');
      const deadline = setTimeout(kill, graceMs);
      const how = await exit;
      clearTimeout(deadline);
      return how;
    },
  };
}

/** For a line on the terminal: `exit code 1`, `SIGKILL`. */
export function describeExit({ code, signal }: ChildExit): string {
  return signal ?? `exit code ${code}`;
}

function spawnProgram({ command, args, cwd, env, user, output }: ChildOptions): ChildProcess {
  const log = output === 'pipe' ? 'pipe' : openSync(output.logFile, 'a');
  try {
    return spawn('sh', ['-c', WAIT_THEN_BECOME, command, command, ...args], {
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
      ...user,
      detached: true,
      stdio: ['pipe', log, log],
    });
  } finally {
    if (typeof log === 'number') closeSync(log);
  }
}

/** Ends what the program may have left in its group. The group's id is not given away while it has members. */
function signalGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // No such group: the program left nothing.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
