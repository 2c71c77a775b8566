import { setTimeout as delay } from 'node:timers/promises';
import type { Ledger } from './ledger.ts';
import type { ServiceProcess } from './service-process.ts';

/** A span of time in the life of a service under load, as seen from outside. */
export interface Phase {
  readonly name: string;
  readonly from: number;
  readonly until: number;
  readonly offered: number;
  /** Answered so in it, whenever they were offered. */
  readonly stored: number;
  /** CPU time that the process used, by events stored. */
  readonly cpuUsPerEvent: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Resident memory each second. Bytes. */
  readonly residentBytes: readonly number[];
}

const SAMPLE_MS = 1_000;
/** For those answers of the phase that are still under way at its end. */
const ANSWERED_MS = 500;
/** In a long phase a line every ten seconds, in one of an hour every minute. */
const LINES_MAX = 60;
const LINE_MS_MIN = 10_000;

export async function observePhase(options: {
  readonly name: string;
  readonly ms: number;
  readonly service: ServiceProcess;
  readonly ledger: Ledger;
  readonly tell: (what: string) => void;
}): Promise<Phase> {
  const { name, ms, service, ledger, tell } = options;
  const from = performance.now();
  const cpuFrom = service.cpuSeconds();
  const residentBytes: number[] = [];
  const lineMs = Math.max(LINE_MS_MIN, ms / LINES_MAX);
  let toldAt = from;
  while (performance.now() - from < ms) {
    const now = performance.now();
    const { residentBytes: bytes } = service.memory();
    residentBytes.push(bytes);
    if (now - toldAt >= lineMs) {
      toldAt = now;
      tell(`${name}: ${mb(bytes)} resident`);
    }
    await delay(Math.max(0, Math.min(now + SAMPLE_MS, from + ms) - performance.now()));
  }
  const cpuSeconds = service.cpuSeconds() - cpuFrom;
  const until = performance.now();
  const stored = ledger.storedAnsweredBetween(from, until);
  await delay(ANSWERED_MS);
  const { p50Ms, p99Ms } = ledger.storedMs(from, until);
  await delay(ANSWERED_MS);
  const counts = ledger.outcomesBetween(from, until);
  const offered = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const phase = {
    name,
    from,
    until,
    offered,
    stored,
    cpuUsPerEvent: (cpuSeconds / stored) * 1e6,
    p50Ms,
    p99Ms,
    residentBytes,
  };
  tell(`${name}: ${described(phase)}`);
  return phase;
}

export function described({ stored, offered, cpuUsPerEvent, p50Ms, p99Ms, residentBytes }: Phase): string {
  const memory = `${mb(residentBytes[0])} to ${mb(residentBytes.at(-1))} resident, at most ${mb(Math.max(...residentBytes))}`;
  if (stored === 0) return `${offered} offered, none stored, ${memory}`;
  const times = `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;
  return `${offered} offered, ${stored} stored, ${cpuUsPerEvent.toFixed(0)} µs of CPU each, ${times}, ${memory}`;
}

export function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

export function mb(bytes = Number.NaN): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
