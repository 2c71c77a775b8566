import type { Look, Seen } from './event-queries.ts';

/** Which of the events that were seen make a page, and where the lists before and after it begin. */
export interface Page {
  readonly seqs: readonly bigint[];
  readonly bytes: number;
  /** `undefined`: there are no older ones. */
  readonly before: bigint | undefined;
  readonly after: bigint;
}

/**
 * Cuts what was seen to as many bytes as a page may have, or one event if that alone has more. What was cut off, or not
 * looked at, is on the next page in the same direction.
 */
export function pageOf({ way, from, limit }: Look, seen: Seen, bytesMax: number): Page {
  const { events, newest, oldest } = seen;
  const seqs: bigint[] = [];
  let bytes = 0;
  for (const event of events) {
    if (seqs.length > 0 && bytes + event.bytes > bytesMax) break;
    seqs.push(event.seq);
    bytes += event.bytes;
  }
  // Where the limit was reached, others that fit may have been looked at behind the last one.
  const isCut = seqs.length < events.length || seqs.length === limit;
  if (way === 'newer') {
    const start = from ?? 0n;
    const reached = (isCut ? seqs.at(-1) : newest) ?? start;
    return { seqs, bytes, before: seen.hasOlder ? start + 1n : undefined, after: reached };
  }
  const reached = isCut ? seqs.at(-1) : oldest;
  const hasOlder = seen.hasOlder || reached !== oldest;
  return {
    seqs,
    bytes,
    before: hasOlder ? (reached ?? from) : undefined,
    // From the newest event on: behind the newest of the source, whatever its type. From elsewhere: where it began.
    after: from === undefined ? (newest ?? 0n) : from > 0n ? from - 1n : 0n,
  };
}
