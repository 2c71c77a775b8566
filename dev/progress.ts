/** Receives one line at a time about a step that takes long. */
export type Progress = (line: string) => void;

const LINE_INTERVAL_MS = 5000;

/** Says every five seconds how long a step has taken, until the returned function is called. */
export function reportElapsed(progress: Progress, step: string): () => void {
  const startedAt = performance.now();
  const timer = setInterval(() => progress(`${step} (${secondsSince(startedAt)} s)`), LINE_INTERVAL_MS);
  return () => clearInterval(timer);
}

export function secondsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) / 1000);
}
