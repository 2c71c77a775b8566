import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { prettyFactory } from 'pino-pretty';
import { type Child, describeExit, startChild } from './child.ts';
import { somebodyAnswers } from './free-port.ts';
import { type Progress, reportElapsed } from './progress.ts';
import { pollUntil } from './readiness.ts';

const CLONE_FOLDER = join(import.meta.dirname, '..');
const READY_TIMEOUT_MS = 60_000;
/** More than the service takes to settle what it accepted. */
const STOP_GRACE_MS = 25_000;

export interface Service {
  /** Where it is reached from here. */
  readonly url: string;
  /** How it ended, when all that it had to say has been printed. */
  readonly exit: Promise<string>;
  /** Whether it came to be ready; otherwise it has ended, or the time was up. */
  untilReady(progress: Progress): Promise<'ready' | 'ended' | 'late'>;
  stop(): Promise<unknown>;
}

/** Starts the service from its sources, with readable logs. It speaks for itself, also about why it cannot start. */
export function startService(env: NodeJS.ProcessEnv): Promise<Service> {
  return startProgram({ name: 'the service', folder: 'ingest', flags: SERVICE_FLAGS, env });
}

/** The event processor, likewise. Its one port is MANAGEMENT_PORT. */
export function startProcessor(env: NodeJS.ProcessEnv & { MANAGEMENT_PORT: string }): Promise<Service> {
  return startProgram({ name: 'the processor', folder: 'processor', flags: FLAGS, env, label: 'processor' });
}

/** The query API, likewise. */
export function startQuery(env: NodeJS.ProcessEnv & { PORT: string }): Promise<Service> {
  return startProgram({ name: 'the query API', folder: 'query', flags: FLAGS, env, label: 'query' });
}

async function startProgram(program: {
  /** For the terminal. */
  readonly name: string;
  readonly folder: string;
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Before each line of its log. */
  readonly label?: string;
}): Promise<Service> {
  const { name, folder, flags, env, label } = program;
  const host = reachableHost(env.HOST);
  const hasApi = folder !== 'processor';
  const port = (hasApi ? env.PORT : env.MANAGEMENT_PORT) || '8080';
  const named = host.includes(':') ? `[${host}]` : host;
  const url = `${hasApi && env.TLS_CERT_FILE ? 'https' : 'http'}://${named}:${port}`;
  // The management port is HTTP, and asks nobody for a certificate.
  const askedUrl = env.MANAGEMENT_PORT ? `http://${named}:${env.MANAGEMENT_PORT}` : url;
  // Whoever answers there now could be taken for the program, in the moment before it finds its port in use.
  const portNumber = Number(port);
  const isTaken = portNumber > 0 && portNumber < 65_536 && (await somebodyAnswers(portNumber, host));
  const child = startChild({
    command: process.execPath,
    args: [...flags, join('src', folder, 'server.ts')],
    cwd: CLONE_FOLDER,
    env,
    output: 'pipe',
  });
  const printed = printOutput(child, label === undefined ? '' : `${label}: `);
  return {
    url,
    exit: Promise.all([child.exit, printed]).then(([exit]) => describeExit(exit)),
    untilReady: async (progress) => {
      const stopReporting = reportElapsed(progress, `waiting for ${name} to be ready`);
      const outcome = await pollUntil(
        async () => !isTaken && (await isReady(askedUrl)),
        child,
        READY_TIMEOUT_MS,
      );
      stopReporting();
      return outcome;
    },
    stop: () => child.stop(STOP_GRACE_MS),
  };
}

/** Node's own flags for the other programs. kafkajs computes a negative timer, which newer Nodes mention; it is harmless. */
const FLAGS = ['--disable-warning=TimeoutNegativeWarning'] as const;

/**
 * Node's own flags for the service; the image and `npm start` have the same. V8's young generation counts against the memory that promise P3 allows,
 * and would grow to 67 MB. Left to its own, V8 comes to allocate requests among its old objects,
 * because under load they live for some milliseconds, and then has to mark and sweep them there (both: docs/decisions).
 */
export const SERVICE_FLAGS: readonly string[] = [
  ...FLAGS,
  '--max-semi-space-size=16',
  '--no-allocation-site-pretenuring',
];

/** Log lines are made readable; what is none is printed as it is. */
async function printOutput({ stdout, stderr }: Child, label: string): Promise<void> {
  if (stdout === null || stderr === null) throw new Error('The service has no output');
  stderr.pipe(process.stderr, { end: false });
  const complained = finished(stderr);
  const readable = prettyFactory({
    colorize: process.stdout.isTTY && !process.env.NO_COLOR,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    singleLine: true,
  });
  for await (const line of createInterface({ input: stdout })) {
    process.stdout.write(`${label}${readable(line) ?? ''}`);
  }
  await complained;
}

/**
 * Whether the service at this address says that it is ready; one that does not listen yet is not. It is our own child on
 * this machine, so that whose certificate it shows does not matter.
 */
export async function isReady(url: string): Promise<boolean> {
  const { get } = url.startsWith('https:') ? https : http;
  const asked = get(`${url}/readyz`, { rejectUnauthorized: false, timeout: 1_000, agent: false });
  asked.on('timeout', () => asked.destroy());
  try {
    const [answer] = (await once(asked, 'response')) as [http.IncomingMessage];
    answer.resume();
    return answer.statusCode === 200;
  } catch {
    // It does not listen yet.
    return false;
  }
}

function reachableHost(host: string | undefined): string {
  if (!host || host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
