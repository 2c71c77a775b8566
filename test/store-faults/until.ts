import { setTimeout as delay } from 'node:timers/promises';

export const POLL_MS = 50;

/** How long it took until it was so, in milliseconds; for ever, when it took longer than that. */
export async function until(timeoutMs: number, isSo: () => Promise<boolean>): Promise<number> {
  const from = performance.now();
  while (performance.now() - from < timeoutMs) {
    // PostgreSQL or Kafka may be away.
    if (await isSo().catch(() => false)) return performance.now() - from;
    await delay(POLL_MS);
  }
  return Number.POSITIVE_INFINITY;
}
