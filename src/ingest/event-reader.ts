import { isUtf8 } from 'node:buffer';
import { DATA_DEPTH_MAX, type EventInput, eventFaults, isEventId, isEventInput } from '../event.ts';
import type { PublishableEvent } from './dual-publisher.ts';
import { isSpace, scanJson } from './json-scan.ts';
import type { Problem } from './problem.ts';
import { assignId } from './uuid-v7.ts';

const OPENING_BRACE = 0x7b;
const OPENING_BRACKET = 0x5b;
/** The event is an object around `data`. */
const EVENT_DEPTH_MAX = 1 + DATA_DEPTH_MAX;
const FORBIDDEN_KEY = '__proto__';
/** A count that stays what it is, whatever is added to it. */
const FORBIDDEN = Number.NEGATIVE_INFINITY;

/**
 * Reads one event, without changing it: the record's value is the sender's bytes, with the members that the service
 * assigns spliced in after the opening brace. JSON.parse judges the syntax and shows the members; what it makes of
 * numbers and strings is never stored.
 *
 * Otherwise returns why it is refused, with the id if it could be read and is valid. The first rule that is broken
 * decides; size and depth come before anything whose cost they bound.
 * Never throws.
 */
export function readEvent(
  body: Buffer,
  receivedAtMs: number,
  eventBytesMax: number,
): PublishableEvent | Problem {
  const bytes = withoutSpaceAround(body);
  if (bytes.length === 0) return { code: 'empty-body' };
  if (bytes.length > eventBytesMax) return { code: 'event-too-large' };
  if (!isPlainUtf8(bytes)) return { code: 'invalid-utf8' };

  let members = 0;
  if (bytes[0] === OPENING_BRACE || bytes[0] === OPENING_BRACKET) {
    const scan = scanJson(bytes, 0);
    if (scan.depth > EVENT_DEPTH_MAX) return { code: 'json-too-deep' };
    if (scan.end < bytes.length) return { code: 'malformed-json' };
    members = scan.members;
  }

  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
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
  const tail = bytes.subarray(1);
  if (head.length + tail.length > eventBytesMax) return { code: 'event-too-large', ...readableId(value) };
  return { id, type: value.type, sourceType: value.source_type, sourceId: value.source_id, head, tail };
}

/** The beginning of the record's value. What is spliced in is always followed by a member, as `type` is required. */
function assignedMembers(value: EventInput, id: string, receivedAtMs: number): string {
  const idMember = value.id === undefined ? `"id":"${id}",` : '';
  const timeMember = value.time === undefined ? `"time":"${isoTime(receivedAtMs)}",` : '';
  return `{${idMember}${timeMember}`;
}

let isoTimeMs = Number.NaN;
let isoTimeText = '';

/** RFC 3339 with milliseconds; many events are received in one millisecond. */
function isoTime(ms: number): string {
  if (ms !== isoTimeMs) {
    isoTimeMs = ms;
    isoTimeText = new Date(ms).toISOString();
  }
  return isoTimeText;
}

/** Counts the keys of all objects in a value; `FORBIDDEN` as soon as one of them must not be there. */
function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += countKeys(item);
    return count;
  }
  for (const key of Object.keys(value)) {
    if (key === FORBIDDEN_KEY) return FORBIDDEN;
    count += 1 + countKeys((value as Record<string, unknown>)[key]);
  }
  return count;
}

function readableId(value: unknown): { id?: string } {
  const id = (value as { id?: unknown } | null)?.id;
  return isEventId(id) ? { id } : {};
}

/** Without the white space of JSON at both ends. */
function withoutSpaceAround(bytes: Buffer): Buffer {
  let start = 0;
  let end = bytes.length;
  while (start < end && isSpace(bytes[start] as number)) start += 1;
  while (end > start && isSpace(bytes[end - 1] as number)) end -= 1;
  return end - start === bytes.length ? bytes : bytes.subarray(start, end);
}

/** UTF-8 without a byte order mark. */
export function isPlainUtf8(bytes: Buffer): boolean {
  const startsWithMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return isUtf8(bytes) && !startsWithMark;
}
