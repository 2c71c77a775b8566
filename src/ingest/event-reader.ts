import { isAscii, isUtf8 } from 'node:buffer';
import { DATA_DEPTH_MAX, type EventInput, eventFaults, isEventId, isEventInput } from '../event.ts';
import type { Problem } from '../http/problem.ts';
import type { PublishableEvent } from './dual-publisher.ts';
import { afterSpace, isSpace, type JsonScan, scanJson } from './json-scan.ts';
import type { RecordTrace } from './trace-context.ts';
import { assignId } from './uuid-v7.ts';

/** The event is an object around `data`. */
const EVENT_DEPTH_MAX = 1 + DATA_DEPTH_MAX;
const FORBIDDEN_KEY = '__proto__';
/** A count that stays what it is, whatever is added to it. */
const FORBIDDEN = Number.NEGATIVE_INFINITY;

/** How bytes are decoded; as ASCII where that is what they are, as it is the fastest. */
export type TextEncoding = 'latin1' | 'utf8';

/** What holds for all events of a request. */
export interface ReadOptions {
  readonly receivedAtMs: number;
  readonly eventBytesMax: number;
  /** Of all the bytes of the request; `undefined`: somewhere in them there is something else than UTF-8. */
  readonly encoding: TextEncoding | undefined;
  /** That their records belong to; `undefined`: none. */
  readonly trace?: RecordTrace | undefined;
}

/**
 * Reads the one event that should be in `bytes[start, end)`, without changing it: the record's value is the sender's
 * bytes, with the members that the service assigns spliced in after the opening brace. JSON.parse judges the syntax and
 * shows the members; what it makes of numbers and strings is never stored.
 *
 * Otherwise returns why it is refused, with the id if it could be read and is valid. The first rule that is broken
 * decides; size and depth come before anything whose cost they bound.
 * Never throws.
 */
export function readEvent(
  bytes: Buffer,
  start: number,
  end: number,
  options: ReadOptions,
): PublishableEvent | Problem {
  const from = afterSpace(bytes, start, end);
  let to = end;
  while (to > from && isSpace(bytes[to - 1] as number)) to -= 1;
  if (from === to) return { code: 'empty-body' };
  if (to - from > options.eventBytesMax) return { code: 'event-too-large' };
  const encoding = options.encoding ?? encodingOf(bytes.subarray(from, to));
  if (encoding === undefined || startsWithMark(bytes, from)) return { code: 'invalid-utf8' };
  const scan = scanJson(bytes, from, to);
  if (scan.depth > EVENT_DEPTH_MAX) return { code: 'json-too-deep' };
  if (scan.end < to) return { code: 'malformed-json' };
  return readScanned(bytes, from, scan, encoding, options);
}

/** Reads an event that was scanned already and is known to be UTF-8; see {@link readEvent}. */
export function readElement(
  bytes: Buffer,
  start: number,
  scan: JsonScan,
  options: ReadOptions,
): PublishableEvent | Problem {
  if (scan.end - start > options.eventBytesMax) return { code: 'event-too-large' };
  if (scan.depth > EVENT_DEPTH_MAX) return { code: 'json-too-deep' };
  return readScanned(bytes, start, scan, options.encoding ?? 'utf8', options);
}

function readScanned(
  bytes: Buffer,
  start: number,
  { end, members }: JsonScan,
  encoding: TextEncoding,
  { receivedAtMs, eventBytesMax, trace }: ReadOptions,
): PublishableEvent | Problem {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString(encoding, start, end));
  } catch {
    return { code: 'malformed-json' }; // the error's message quotes the text
  }

  // As many keys as members were written, or a name was given twice and the last one took the place of the first.
  const keys = countKeys(value);
  if (keys === FORBIDDEN) return { code: 'forbidden-key' };
  if (keys !== members) return { code: 'duplicate-key' };
  if (!isEventInput(value))
    return { code: 'invalid-event', ...readableId(value), errors: eventFaults(value) };

  const id = value.id ?? assignId(receivedAtMs);
  const head = assignedMembers(value, id, receivedAtMs);
  const tail = bytes.subarray(start + 1, end);
  if (head.length + tail.length > eventBytesMax) return { code: 'event-too-large', ...readableId(value) };
  return {
    id,
    type: value.type,
    sourceType: value.source_type,
    sourceId: value.source_id,
    head,
    tail,
    headers: trace?.headers,
    span: trace?.span,
  };
}

/** The beginning of the record's value. What is spliced in is always followed by a member, as `type` is required. */
function assignedMembers(value: EventInput, id: string, receivedAtMs: number): string {
  const idMember = value.id === undefined ? `"id":"${id}",` : '';
  const timeMember = value.time === undefined ? timeMemberOf(receivedAtMs) : '';
  return `{${idMember}${timeMember}`;
}

let latestTimeMs = Number.NaN;
let latestTimeMember = '';

/** RFC 3339 with milliseconds; many events are received in one millisecond. */
function timeMemberOf(ms: number): string {
  if (ms !== latestTimeMs) {
    latestTimeMs = ms;
    latestTimeMember = `"time":"${new Date(ms).toISOString()}",`;
  }
  return latestTimeMember;
}

/** Counts the keys of all objects in a value; `FORBIDDEN` as soon as one of them must not be there. */
function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += countKeys(item);
    return count;
  }
  // What JSON.parse makes has no members but its own.
  for (const key in value) {
    if (key === FORBIDDEN_KEY) return FORBIDDEN;
    count += 1 + countKeys((value as Record<string, unknown>)[key]);
  }
  return count;
}

function readableId(value: unknown): { id?: string } {
  const id = (value as { id?: unknown } | null)?.id;
  return isEventId(id) ? { id } : {};
}

/** `undefined`: they are not UTF-8. */
export function encodingOf(bytes: Buffer): TextEncoding | undefined {
  if (isAscii(bytes)) return 'latin1';
  return isUtf8(bytes) ? 'utf8' : undefined;
}

/** Whether a byte order mark is there; JSON has none (RFC 8259, 8.1). */
export function startsWithMark(bytes: Buffer, at: number): boolean {
  return bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf;
}
