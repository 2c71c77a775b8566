import type { PublishableEvent } from './dual-publisher.ts';
import { isPlainUtf8, readEvent } from './event-reader.ts';
import { elementsOf, isSpace } from './json-scan.ts';
import type { Problem } from './problem.ts';

/** How the events of a batch are put together. */
export type BatchFormat = 'json' | 'ndjson';

export interface BatchLimits {
  readonly eventBytesMax: number;
  readonly eventsMax: number;
}

const LINE_FEED = 0x0a;
/** How long a batch may hold up everything else before others have their turn. */
const TURN_MS = 5;
/** The clock is not asked for each event. */
const EVENTS_PER_LOOK = 16;

/**
 * Reads the events of a batch, in order: each one, or why it is refused. A whole batch is refused when it cannot be
 * told where one event ends and the next begins, or when it holds none or too many.
 *
 * In a JSON array that takes an array that is JSON: a fault of syntax in one element refuses all. In NDJSON an
 * unreadable line spoils only itself; blank lines are none.
 */
export async function readBatch(
  body: Buffer,
  format: BatchFormat,
  { eventBytesMax, eventsMax }: BatchLimits,
): Promise<readonly (PublishableEvent | Problem)[] | Problem> {
  if (isBlank(body)) return { code: 'empty-body' };
  if (format === 'json' && !isPlainUtf8(body)) return { code: 'invalid-utf8' };
  const slices = format === 'json' ? elementsOf(body) : linesOf(body);
  if (slices === undefined) return { code: 'malformed-json' };
  if (slices.length === 0) return { code: 'batch-empty' };
  if (slices.length > eventsMax) return { code: 'batch-too-large' };

  const receivedAtMs = Date.now();
  const items: (PublishableEvent | Problem)[] = [];
  let turnEndsAt = performance.now() + TURN_MS;
  for (const slice of slices) {
    const item = readEvent(slice, receivedAtMs, eventBytesMax);
    if (format === 'json' && 'code' in item && item.code === 'malformed-json') return item;
    items.push(item);
    if (items.length % EVENTS_PER_LOOK > 0 || performance.now() < turnEndsAt) continue;
    // oxlint-disable-next-line no-await-in-loop -- to let others have their turn is what it is for
    await new Promise(setImmediate);
    turnEndsAt = performance.now() + TURN_MS;
  }
  return items;
}

/** The lines of NDJSON that hold something. */
function linesOf(body: Buffer): readonly Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < body.length; ) {
    const found = body.indexOf(LINE_FEED, start);
    const end = found < 0 ? body.length : found;
    const line = body.subarray(start, end);
    if (!isBlank(line)) lines.push(line);
    start = end + 1;
  }
  return lines;
}

/** Nothing but the white space of JSON. */
function isBlank(bytes: Buffer): boolean {
  return bytes.every(isSpace);
}
