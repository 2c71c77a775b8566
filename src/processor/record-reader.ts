import { isUtf8 } from 'node:buffer';
import { isStoredEvent } from '../event.ts';

/** A record of the topic, as far as it is used here. */
export interface TopicRecord {
  readonly partition: number;
  readonly offset: number;
  /** When Kafka took it, or its producer says that it was made, in milliseconds since 1970; -1: it has none. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** An event, with the record that holds it. */
export interface EventRecord {
  readonly sourceType: string;
  readonly sourceId: string;
  readonly id: string;
  readonly type: string;
  readonly partition: number;
  readonly offset: number;
  readonly recordedAtMs: number;
  /** The record's bytes, as they are. */
  readonly value: Buffer;
}

/** Why a record is no event. */
export type UnreadableReason = 'no-value' | 'invalid-utf8' | 'malformed-json' | 'invalid-event';

/** So far a clock may be ahead of ours. */
const AHEAD_MS_MAX = 86_400_000;

/** Reads a record. Those of the service are all events; others may write to the topic, too. */
export function readRecord(record: TopicRecord): EventRecord | UnreadableReason {
  const { partition, offset, timestampMs, value } = record;
  if (value === null || value.length === 0) return 'no-value';
  if (!isUtf8(value)) return 'invalid-utf8';
  let event: unknown;
  try {
    event = JSON.parse(value.toString());
  } catch {
    return 'malformed-json';
  }
  if (!isStoredEvent(event)) return 'invalid-event';
  const { source_type: sourceType, source_id: sourceId, id, type } = event;
  // A record without a time would be the oldest of all, and removed at once; a producer's clock may count in anything.
  const now = Date.now();
  const recordedAtMs = timestampMs >= 0 && timestampMs <= now + AHEAD_MS_MAX ? timestampMs : now;
  return { sourceType, sourceId, id, type, partition, offset, recordedAtMs, value };
}
