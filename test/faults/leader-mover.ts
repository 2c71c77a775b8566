import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { javaCommand } from './java.ts';

/** Moves the leadership of partitions while every broker runs. One call at a time; each returns what went wrong. */
export interface LeaderMover {
  /** Puts the partition on these brokers; the first becomes the preferred one, and nothing is elected yet. */
  place(partition: number, nodeIds: readonly number[]): Promise<string | undefined>;
  /** Has the preferred broker elected. */
  elect(partition: number): Promise<string | undefined>;
  close(): Promise<void>;
}

/** It ends by itself when its input does, so it cannot outlive us. */
export async function startLeaderMover(address: string, topic: string): Promise<LeaderMover> {
  const { command, args } = await javaCommand('LeaderMover.java', [address, topic]);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (line: string) => {
    child.stdin.write(`${line}\n`);
    const { value, done } = await answers.next();
    if (done) return 'the mover has ended';
    return value === 'ok' ? undefined : value;
  };
  return {
    place: (partition, nodeIds) => ask(`place ${partition} ${nodeIds.join(',')}`),
    elect: (partition) => ask(`elect ${partition}`),
    close: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
