const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 1_000;

/** How long to wait after so many consecutive failures: doubled each time up to a second, the upper half at random. */
export function backoffMs(failures: number, random: () => number): number {
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (failures - 1));
  return full * (0.5 + random() / 2);
}
