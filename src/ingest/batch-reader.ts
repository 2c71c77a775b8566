import type { PublishableEvent } from './dual-publisher.ts';
import { isPlainUtf8, readEvent } from './event-reader.ts';
import { afterSpace, elementsOf } from './json-scan.ts';
import type { Problem } from './problem.ts';

/** How the events of a batch are put together. */
export type BatchFormat = 'json' | 'ndjson';

export interface BatchLimits {
  readonly eventBytesMax: number;
  readonly eventsMax: number;
}

const LINE_FEED = 0x0a;
/** How long batches may hold up everything else before others have their turn. */
const TURN_MS = 5;
/** The clock is not asked for each event. */
const EVENTS_PER_LOOK = 16;

/** Batches that are being read. Only one goes on in each turn of the event loop: the turns of thirty would add up. */
const waiting: (() => void)[] = [];

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
  if (waiting.length > 0) await nextTurn();
  if (afterSpace(body, 0) === body.length) return { code: 'empty-body' };
  if (format === 'json' && !isPlainUtf8(body)) return { code: 'invalid-utf8' };
  const slices = format === 'json' ? elementsOf(body, eventsMax) : linesOf(body, eventsMax);
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
    await nextTurn();
    turnEndsAt = performance.now() + TURN_MS;
  }
  return items;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(letOneGoOn);
  });
}

function letOneGoOn(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(letOneGoOn);
}

/**
 * The lines of NDJSON that hold something, without the space before it; of more than `max` one too many. Each is an
 * object of a hundred bytes, and 10 MiB can hold five million: they would take 700 MB and seconds.
 */
function linesOf(body: Buffer, max: number): readonly Buffer[] {
  const lines: Buffer[] = [];
  for (let start = afterSpace(body, 0); start < body.length && lines.length <= max; ) {
    const found = body.indexOf(LINE_FEED, start);
    const end = found < 0 ? body.length : found;
    lines.push(body.subarray(start, end));
    start = afterSpace(body, end);
  }
  return lines;
}
