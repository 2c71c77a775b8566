import { chmodSync, chownSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type ApiKey, ApiKeyFileError, makeApiKey, readApiKeys, writeApiKeys } from '../api-keys.ts';

/** `npm run keys`: makes, lists and revokes the API keys of a file, for AUTH_MODE api-key. */

const USAGE = `Usage:
  npm run keys -- make --client NAME --scope SCOPE [--scope SCOPE ...] [--days N] [--file FILE]
  npm run keys -- list [--file FILE]
  npm run keys -- revoke ID [--file FILE]

A scope is events:write, events:write:SOURCE_TYPE or events:write:PREFIX*, and events:read likewise.
FILE is keys.json unless given. A key without --days does not expire.
`;
const DAY_MS = 86_400_000;

/** What the person who typed the command has to be told. */
class UsageError extends Error {}

/** Runs one command. What it says is printed by `say`. @throws UsageError, ApiKeyFileError */
export function runKeys(args: readonly string[], say: (line: string) => void, now = new Date()): void {
  const { values, positionals } = parsed(args);
  const [command, id, ...more] = positionals;
  const { file = 'keys.json' } = values;
  if (more.length > 0 || (command !== 'revoke' && id !== undefined))
    throw new UsageError('too many arguments');
  switch (command) {
    case 'make': {
      const { client = '', scope: scopes = [], days } = values;
      const expires = days === undefined ? {} : { expires: inDays(days, now) };
      const { key, credential } = makeApiKey({ client, scopes, ...expires }, now);
      save(file, [...load(file, []), key]);
      say(`${key.id} for ${client} is in ${file}, as a hash. The key itself, shown this once:`);
      say(credential);
      return;
    }
    case 'list':
      for (const key of load(file)) say(described(key, now));
      return;
    case 'revoke': {
      const keys = load(file);
      const kept = keys.filter((key) => key.id !== id);
      if (kept.length === keys.length) throw new UsageError(`there is no key ${id ?? ''} in ${file}`);
      save(file, kept);
      say(`${id} is revoked: services that read ${file} take it no more within seconds`);
      return;
    }
    default:
      throw new UsageError(
        command === undefined ? 'what to do is missing' : `there is no command ${command}`,
      );
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        client: { type: 'string' },
        scope: { type: 'string', multiple: true },
        days: { type: 'string' },
        file: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function inDays(days: string, now: Date): string {
  if (!/^[1-9]\d{0,4}$/.test(days)) throw new UsageError(`--days takes a whole number from 1; not ${days}`);
  return new Date(now.getTime() + Number(days) * DAY_MS).toISOString();
}

function load(file: string, ifMissing?: readonly ApiKey[]): readonly ApiKey[] {
  try {
    return readApiKeys(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && ifMissing !== undefined) return ifMissing;
    if (code !== undefined) throw new UsageError(`${file} cannot be read (${code})`);
    throw error;
  }
}

/** In one step, so that no service reads half of it. A new file is for its owner only; another keeps who may read it. */
function save(file: string, keys: readonly ApiKey[]): void {
  const text = writeApiKeys(keys);
  readApiKeys(text); // what cannot be read again is not written
  const half = `${file}.${process.pid}.tmp`;
  const before = statSync(file, { throwIfNoEntry: false });
  writeFileSync(half, text, { mode: 0o600 });
  try {
    if (before !== undefined) {
      chownSync(half, before.uid, before.gid);
      chmodSync(half, before.mode);
    }
    renameSync(half, file);
  } catch (error) {
    rmSync(half);
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `${file} cannot be replaced by one of the same owner (${code}); nothing was changed`,
    );
  }
}

function described({ id, client, scopes, created, expires }: ApiKey, now: Date): string {
  const end =
    expires === undefined
      ? 'does not expire'
      : `${new Date(expires) <= now ? 'EXPIRED' : 'expires'} ${expires}`;
  return `${id}  ${client}  ${scopes.join(' ')}  made ${created}  ${end}`;
}

if (import.meta.main) {
  try {
    runKeys(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`));
  } catch (error) {
    const isUsage = error instanceof UsageError;
    if (!isUsage && !(error instanceof ApiKeyFileError)) throw error;
    process.stderr.write(`keys: ${error.message}\n${isUsage ? `\n${USAGE}` : ''}`);
    process.exitCode = 1;
  }
}
