import { readFileSync } from 'node:fs';

/** What Linux counts for a process, read from outside (proc(5)). */

const TICKS_PER_SECOND = 100;

/** Resident memory now, and the most it has been since the process started. Bytes. */
export interface ProcessMemory {
  readonly residentBytes: number;
  readonly residentBytesMax: number;
}

export function memoryOf(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytesOf = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { residentBytes: bytesOf('VmRSS'), residentBytesMax: bytesOf('VmHWM') };
}

/** User and system time that the process has used, all its threads together. Seconds, in steps of a hundredth. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold spaces; utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
