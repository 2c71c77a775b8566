/** Kinds are few; should they not be, what is kept of them still has a bound. */
const KINDS_MAX = 100;

/**
 * For what is logged at most once in a while of each kind. The function that it returns is told of each occurrence, and says how
 * many of the kind were left out since the last line, if there may be one now; otherwise `undefined`.
 */
export function seldom<Kind>(
  intervalMs: number,
  nowMs: () => number = () => performance.now(),
): (kind: Kind) => number | undefined {
  const quiet = new Map<Kind, { untilMs: number; leftOut: number }>();
  return (kind) => {
    const now = nowMs();
    const last = quiet.get(kind);
    if (last !== undefined && now < last.untilMs) {
      last.leftOut += 1;
      return undefined;
    }
    if (quiet.size >= KINDS_MAX) quiet.clear();
    quiet.set(kind, { untilMs: now + intervalMs, leftOut: 0 });
    return last?.leftOut ?? 0;
  };
}
