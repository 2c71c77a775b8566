import type { Redis } from 'ioredis';

/**
 * Publishes channel and message pairs through one connection with as few commands as it allows. A script call that
 * publishes many costs us a fifth of what one command each does, since ioredis's work is per command.
 */

/** Short enough that Redis serves others in between. */
const PAIRS_PER_SCRIPT = 64;

/**
 * ARGV: an instant on Redis's own clock, in milliseconds, or 0; then channel, message, channel, message, ...
 * Publishes the pairs in order. Answers nothing, or the first error followed by the positions (from 0) of the pairs
 * that were refused; a refused pair does not keep the others back. After the instant it publishes nothing: a flush
 * that waited in the socket of a stopped Redis was counted as failed long ago, and must not follow newer ones.
 * Sent as EVAL, not EVALSHA: its text is small beside 64 pairs, and then no SCRIPT FLUSH, restart or failover can
 * make a call fail with NOSCRIPT, whose repetition could overtake a later call.
 */
const SCRIPT =
  "local n=tonumber(ARGV[1]) if n>0 then local t=redis.call('TIME') " +
  "if t[1]*1000+t[2]/1000>n then return redis.error_reply('LATE not published') end end " +
  "local f={} for i=2,#ARGV,2 do local r=redis.pcall('PUBLISH',ARGV[i],ARGV[i+1]) " +
  "if type(r)=='table' and r.err then if #f==0 then f[1]=r.err end f[#f+1]=(i-2)/2 end end return f";

/** Asks whether scripts are allowed, by a call that publishes nothing. */
export const SCRIPT_PROBE: readonly string[] = ['EVAL', SCRIPT, '0', '0'];

/**
 * How a connection publishes: by scripts where they are allowed, else by a command for each pair, and then a stopped
 * Redis that goes on does publish the one flush that lay in its socket.
 */
export type PublishBy =
  /** Not after an instant on Redis's clock, see the script; 0: whenever. */
  { readonly name: 'script'; readonly notAfter: number } | { readonly name: 'PUBLISH' | 'SPUBLISH' };

/** What was refused or not answered: positions of pairs, and the reason of the first. */
export interface Unpublished {
  readonly positions: readonly number[];
  readonly reason: string;
}

export const NOTHING_UNPUBLISHED: Unpublished = { positions: [], reason: '' };

/** Every one of `count` pairs, for one reason. */
export function allUnpublished(count: number, reason: string): Unpublished {
  return { positions: Array.from({ length: count }, (_, position) => position), reason };
}

/** Error or answer of each command of a pipeline, as ioredis gives them. */
export type Reply = [error: Error | null, answer: unknown];

/**
 * Publishes `pairs` (channel, message, channel, message, ...) in order. Settles when Redis has answered, or the
 * connection is closed; rejects if the answer makes no sense. The caller keeps the time.
 */
export async function publishPairs(
  client: Redis,
  pairs: readonly string[],
  by: PublishBy,
): Promise<Unpublished> {
  const count = pairs.length / 2;
  const perCommand = by.name === 'script' ? PAIRS_PER_SCRIPT : 1;
  const start = by.name === 'script' ? ['EVAL', SCRIPT, '0', String(by.notAfter)] : [by.name];
  const commands: string[][] = [];
  for (let at = 0; at < count; at += perCommand) {
    commands.push([...start, ...pairs.slice(at * 2, (at + perCommand) * 2)]);
  }
  const replies = await send(client, commands);
  const positions: number[] = [];
  let reason = '';
  for (const [index, [error, answer]] of replies.entries()) {
    if (error === null && by.name !== 'script') continue;
    const from = index * perCommand;
    const sharing = Math.min(perCommand, count - from);
    const refused =
      error === null ? refusedByScript(answer, sharing) : allUnpublished(sharing, error.message);
    reason ||= refused.reason;
    for (const position of refused.positions) positions.push(from + position);
  }
  return positions.length === 0 ? NOTHING_UNPUBLISHED : { positions, reason };
}

/** Sends commands in one write. Never rejects: a lost connection is the error of every command. */
export async function send(client: Redis, commands: readonly (readonly string[])[]): Promise<Reply[]> {
  try {
    if (commands.length === 1) return [await sendOne(client, commands[0] as readonly string[])];
    const pipeline = client.pipeline();
    for (const [name, ...args] of commands) pipeline.call(name as string, args);
    const replies = await pipeline.exec();
    if (replies === null) throw new Error('the pipeline was discarded');
    return replies;
  } catch (error) {
    const lost = error instanceof Error ? error : new Error(String(error));
    return commands.map(() => [lost, undefined]);
  }
}

/** Without the objects of a pipeline, which cost as much again as the command. */
async function sendOne(client: Redis, [name, ...args]: readonly string[]): Promise<Reply> {
  return [null, await client.call(name as string, args)];
}

/** Reads the script's answer. Throws at any other: whoever answers is no Redis, or answers something else. */
function refusedByScript(answer: unknown, pairs: number): Unpublished {
  if (!Array.isArray(answer)) throw new Error('the answer is not that of the script');
  if (answer.length === 0) return NOTHING_UNPUBLISHED;
  const [reason, ...positions] = answer as readonly unknown[];
  const isPosition = (value: unknown): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < pairs;
  if (!positions.every(isPosition)) throw new Error('the answer is not that of the script');
  return { positions, reason: String(reason) };
}
