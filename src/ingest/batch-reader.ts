import type { Problem } from '../http/problem.ts';
import type { PublishableEvent } from './dual-publisher.ts';
import { encodingOf, type ReadOptions, readElement, readEvent, startsWithMark } from './event-reader.ts';
import { JsonElements, someSpaceEnd } from './json-scan.ts';
import type { RecordTrace } from './trace-context.ts';

/** How the events of a batch are put together. */
export type BatchFormat = 'json' | 'ndjson';

export interface BatchLimits {
  readonly eventBytesMax: number;
  readonly eventsMax: number;
}

/** What holds for all events of a batch besides. */
export interface BatchOptions extends BatchLimits {
  /** That their records belong to; `undefined`: none. */
  readonly trace?: RecordTrace | undefined;
}

/** How long batches may hold up everything else before others have their turn. */
const TURN_MS = 5;
/** The clock is asked after so many bytes; an event counts as what it costs beside its bytes. */
const BYTES_PER_LOOK = 16 * 1024;
const EVENT_COST_BYTES = 256;
const LINE_FEED = 0x0a;

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
  { eventBytesMax, eventsMax, trace }: BatchOptions,
): Promise<readonly (PublishableEvent | Problem)[] | Problem> {
  if (waiting.length > 0) await nextTurn();
  const encoding = encodingOf(body);
  const options = { receivedAtMs: Date.now(), eventBytesMax, encoding, trace };
  if (format === 'json' && (encoding === undefined || startsWithMark(body, 0)))
    return { code: 'invalid-utf8' };
  const events = format === 'json' ? new ArrayEvents(body, options) : new LineEvents(body, options);

  const items: (PublishableEvent | Problem)[] = [];
  let lookAt = BYTES_PER_LOOK;
  let turnEndsAt = performance.now() + TURN_MS;
  for (;;) {
    const item = events.next();
    if (item === 'end') break;
    if (item !== 'more') {
      if (items.length === eventsMax) return { code: 'batch-too-large' };
      if (format === 'json' && 'code' in item && item.code === 'malformed-json') return item;
      items.push(item);
    }
    const cost = events.position + items.length * EVENT_COST_BYTES;
    if (cost < lookAt) continue;
    lookAt = cost + BYTES_PER_LOOK;
    if (performance.now() < turnEndsAt) continue;
    // oxlint-disable-next-line no-await-in-loop -- to let others have their turn is what it is for
    await nextTurn();
    turnEndsAt = performance.now() + TURN_MS;
  }
  if (items.length > 0) return items;
  return { code: events.isBlank ? 'empty-body' : 'batch-empty' };
}

/** Events one after the other. */
interface Events {
  /** How far they are read. */
  readonly position: number;
  /** Whether there was nothing but white space. */
  readonly isBlank: boolean;
  /** The next one, or why it is refused. `more`: it was not reached yet. */
  next(): PublishableEvent | Problem | 'more' | 'end';
}

class ArrayEvents implements Events {
  readonly #body: Buffer;
  readonly #options: ReadOptions;
  readonly #elements: JsonElements;

  constructor(body: Buffer, options: ReadOptions) {
    this.#body = body;
    this.#options = options;
    this.#elements = new JsonElements(body);
  }

  get position(): number {
    return this.#elements.position;
  }

  get isBlank(): boolean {
    return this.#elements.isBlank;
  }

  next(): PublishableEvent | Problem | 'more' | 'end' {
    const elements = this.#elements;
    const found = elements.next();
    if (found === 'element') return readElement(this.#body, elements.start, elements.scan, this.#options);
    return found === 'malformed' ? { code: 'malformed-json' } : found;
  }
}

/** Lines of NDJSON; those that are blank are none. */
class LineEvents implements Events {
  readonly #body: Buffer;
  readonly #options: ReadOptions;
  position = 0;
  isBlank = true;

  constructor(body: Buffer, options: ReadOptions) {
    this.#body = body;
    this.#options = options;
  }

  next(): PublishableEvent | Problem | 'more' | 'end' {
    const body = this.#body;
    const { end: start, isWhole } = someSpaceEnd(body, this.position);
    this.position = start;
    if (!isWhole) return 'more';
    if (start === body.length) return 'end';
    const found = body.indexOf(LINE_FEED, start);
    this.position = found < 0 ? body.length : found;
    this.isBlank = false;
    return readEvent(body, start, this.position, this.#options);
  }
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
