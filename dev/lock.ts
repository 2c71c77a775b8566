import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

/** A lock whose connection is collected as garbage would be given back. */
const held = new Set<DatabaseSync>();

/** Gives the lock back. */
export type Unlock = () => void;

/**
 * Takes a lock between processes, or returns undefined when another one holds it.
 *
 * Node has no flock, and a file with a process id in it goes stale when its owner is killed and the id is given to
 * somebody else. An exclusive SQLite transaction is a lock of the operating system, which ends with its owner.
 */
export function tryLock(file: string): Unlock | undefined {
  mkdirSync(dirname(file), { recursive: true });
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
  held.add(database);
  return () => {
    if (held.delete(database)) database.close();
  };
}
