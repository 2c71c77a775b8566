/** The arithmetic of the figures. */

/** The middle of what the rounds gave, and how far they lie apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The smallest value that at least `share` of all are no greater than (nearest rank). NaN where there are none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** In ascending order, as {@link percentile} wants them. */
export function ascending(values: Iterable<number>): Float64Array {
  return Float64Array.from(values).toSorted();
}

/** With an even number of values the mean of the two in the middle. NaN where there are none. */
export function median(values: readonly number[]): number {
  const sorted = ascending(values);
  const upper = Math.floor(sorted.length / 2);
  const lower = Math.ceil(sorted.length / 2) - 1;
  return ((sorted[lower] ?? Number.NaN) + (sorted[upper] ?? Number.NaN)) / 2;
}

/** @returns undefined where there are no values. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Round by round, so that what slows a whole round down cancels out. Both have a value for each round, or none at all. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  if (ours.length === 0 || theirs.length === 0) return [];
  if (ours.length !== theirs.length) throw new Error(`${ours.length} rounds against ${theirs.length}`);
  return ours.map((value, round) => value / (theirs[round] as number));
}
