import { join } from 'node:path';
import { parseArgs } from 'node:util';

export const RESULTS_FOLDER = join(import.meta.dirname, 'results');

/** The groups of figures that `--only` chooses from; without it all but capacity, which takes as long as the rest. */
export const GROUPS = [
  'cpu',
  'settings',
  'latency',
  'kafka',
  'notifications',
  'largest',
  'memory',
  'capacity',
] as const;
export type Group = (typeof GROUPS)[number];

export interface Options {
  readonly groups: ReadonlySet<Group>;
  readonly rounds: number;
  /** Of one measured window; warm-ups are in proportion to it. */
  readonly windowMs: number;
  /** Requests of 10 MB in a round. */
  readonly largestBatches: number;
  readonly jsonFile: string;
}

export class OptionError extends Error {
  override name = 'OptionError';
}

/**
 * The options of the command line.
 * @throws OptionError with a line for the person who typed them.
 */
export function readOptions(args: readonly string[], now = new Date()): Options {
  const values = parsed(args);
  const isSmoke = values.smoke === true;
  const groups = values.only?.split(',') ?? GROUPS.filter((group) => group !== 'capacity');
  for (const group of groups) {
    if (!GROUPS.includes(group as Group))
      throw new OptionError(`--only takes ${GROUPS.join(', ')}; not ${group}`);
  }
  const name = `${now.toISOString().replaceAll(':', '-').slice(0, 19)}.json`;
  return {
    groups: new Set(groups as Group[]),
    rounds: positive('--rounds', values.rounds ?? (isSmoke ? '1' : '5'), Number.isInteger),
    windowMs: positive('--seconds', values.seconds ?? (isSmoke ? '0.2' : '5'), Number.isFinite) * 1_000,
    largestBatches: isSmoke ? 4 : 100,
    jsonFile: values.json ?? join(RESULTS_FOLDER, name),
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        json: { type: 'string' },
        smoke: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new OptionError((error as Error).message, { cause: error });
  }
}

function positive(name: string, text: string, isFit: (value: number) => boolean): number {
  const value = Number(text);
  if (!isFit(value) || value <= 0) throw new OptionError(`${name} takes a number above 0; not ${text}`);
  return value;
}
