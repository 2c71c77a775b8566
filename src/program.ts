import { setTimeout as delay } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { ConfigError, unknownSettings } from './settings.ts';
import { ALL_SCHEMAS } from './store-config.ts';

/** What runs, once it has been started. */
export interface Running {
  /** Not ready any more, but serving on: load balancers are given time to notice. */
  leave?(): void;
  /** Resolves with what is left undone, for the log; `undefined`: nothing is. */
  close(): Promise<Readonly<Record<string, unknown>> | undefined>;
}

/** The settings that every program has. */
interface ProgramConfig {
  readonly HOST: string;
  readonly LOG_LEVEL: string;
  readonly SHUTDOWN_DELAY_MS?: number;
}

/** Two signals closer than this are one: a terminal's Ctrl-C reaches us twice through npm. */
const REPEATED_SIGNAL_MS = 1_000;

/**
 * Runs a program: settings from the environment, signals, and an exit code that tells how it went. 0 if everything is
 * done, 1 if something is left undone or it could not start.
 */
export async function runProgram<Config extends ProgramConfig>(options: {
  /** As it names itself where it cannot start. */
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly read: (env: NodeJS.ProcessEnv) => Config;
  readonly start: (config: Config, log: Logger) => Promise<Running>;
}): Promise<void> {
  const { name, env, read, start } = options;
  /** Says why, a line each, where a person looks, and ends. */
  const exitWith = (...reasons: readonly string[]): never => {
    for (const reason of reasons) process.stderr.write(`${name}: ${reason}\n`);
    process.exit(1);
  };
  let config: Config;
  try {
    config = read(env);
  } catch (error) {
    if (error instanceof ConfigError) return exitWith(...error.problems);
    throw error;
  }
  const log = pino({ level: config.LOG_LEVEL });
  process.on('uncaughtException', (error, origin) => {
    log.fatal({ err: error, origin }, 'a fault in this program; it stops');
    process.exit(1);
  });
  const unknown = unknownSettings(env, ...ALL_SCHEMAS);
  if (unknown.length > 0) log.warn({ unknown }, 'these look like settings, but are not');

  const running = await start(config, log).catch((error: NodeJS.ErrnoException & { port?: number }) => {
    if (error instanceof ConfigError) return exitWith(...error.problems);
    const why = error.code === 'EADDRINUSE' ? `port ${error.port} is in use` : error.message;
    return exitWith(`cannot listen on ${config.HOST}: ${why}`);
  });

  let signalledAt: number | undefined;
  const stop = async (signal: string) => {
    const now = performance.now();
    if (signalledAt !== undefined) {
      if (now - signalledAt >= REPEATED_SIGNAL_MS) process.exit(1);
      return;
    }
    signalledAt = now;
    const delayMs = config.SHUTDOWN_DELAY_MS ?? 0;
    log.info({ signal, delayMs }, 'stopping');
    running.leave?.();
    await delay(delayMs);
    const left = await running.close();
    if (left === undefined) log.info('stopped; everything that was accepted is settled');
    else log.error(left, 'stopped; some of what was accepted is not settled');
    process.exit(left === undefined ? 0 : 1);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
}
