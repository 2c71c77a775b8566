import type { ErrorCode } from '../errors.ts';

/**
 * What each error that Kafka answers for a partition of a Produce request means for its events (promise P4).
 *
 * `appended: 'no'` is an allow-list: only where the broker refuses before it writes to its log. Every code that is
 * not here, and every one marked `'maybe'`, makes the events of the batch ambiguous for good.
 * Codes and names: https://kafka.apache.org/protocol#protocol_error_codes
 */
export interface ProduceErrorRow {
  readonly name: string;
  readonly appended: 'no' | 'maybe';
  /** `again`: until the deadline. `split`: the batch in halves, a lone event not at all. `never`: it cannot help. */
  readonly retry: 'again' | 'split' | 'never';
  /** The code of the answer, when this is how it ends and nothing was appended. */
  readonly code: ErrorCode;
  readonly reason: string;
}

const row = (
  name: string,
  appended: 'no' | 'maybe',
  retry: 'again' | 'split' | 'never',
  code: ErrorCode,
  reason: string,
): ProduceErrorRow => ({ name, appended, retry, code, reason });

const rows: Readonly<Record<number, ProduceErrorRow>> = {
  2: row('CORRUPT_MESSAGE', 'no', 'again', 'kafka-unavailable', 'the checksum is verified before the append'),
  3: row(
    'UNKNOWN_TOPIC_OR_PARTITION',
    'maybe',
    'again',
    'topic-missing',
    'also answered when a replica is removed while its append waits for replication',
  ),
  5: row('LEADER_NOT_AVAILABLE', 'maybe', 'again', 'kafka-unavailable', 'no stated order with the append'),
  6: row(
    'NOT_LEADER_OR_FOLLOWER',
    'maybe',
    'again',
    'kafka-unavailable',
    'also answered when the leader appended and then lost its leadership',
  ),
  7: row(
    'REQUEST_TIMED_OUT',
    'maybe',
    'again',
    'kafka-unavailable',
    'appended; the in-sync replicas did not follow in time',
  ),
  10: row('MESSAGE_TOO_LARGE', 'no', 'split', 'event-too-large', 'sizes are validated before the append'),
  13: row('NETWORK_EXCEPTION', 'maybe', 'again', 'kafka-unavailable', 'no stated order with the append'),
  17: row(
    'INVALID_TOPIC_EXCEPTION',
    'no',
    'never',
    'kafka-refused',
    'the topic is checked before the append',
  ),
  18: row(
    'RECORD_LIST_TOO_LARGE',
    'no',
    'split',
    'event-too-large',
    'the batch is larger than a log segment, checked before the append',
  ),
  19: row(
    'NOT_ENOUGH_REPLICAS',
    'no',
    'again',
    'kafka-unavailable',
    'the in-sync set is checked before the append',
  ),
  20: row(
    'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    'maybe',
    'again',
    'kafka-unavailable',
    'appended, as the name says',
  ),
  21: row('INVALID_REQUIRED_ACKS', 'no', 'never', 'kafka-refused', 'acks are checked before the append'),
  29: row('TOPIC_AUTHORIZATION_FAILED', 'no', 'never', 'topic-forbidden', 'authorized before the append'),
  31: row('CLUSTER_AUTHORIZATION_FAILED', 'no', 'never', 'topic-forbidden', 'authorized before the append'),
  32: row('INVALID_TIMESTAMP', 'no', 'never', 'kafka-refused', 'timestamps are validated before the append'),
  35: row('UNSUPPORTED_VERSION', 'no', 'never', 'kafka-refused', 'the request is not read'),
  43: row(
    'UNSUPPORTED_FOR_MESSAGE_FORMAT',
    'no',
    'never',
    'kafka-refused',
    'the format is checked before the append',
  ),
  44: row('POLICY_VIOLATION', 'no', 'never', 'kafka-refused', 'policies are applied before the append'),
  56: row(
    'KAFKA_STORAGE_ERROR',
    'maybe',
    'again',
    'kafka-unavailable',
    'the disk failed in or after the append',
  ),
  74: row('FENCED_LEADER_EPOCH', 'maybe', 'again', 'kafka-unavailable', 'no stated order with the append'),
  76: row(
    'UNSUPPORTED_COMPRESSION_TYPE',
    'no',
    'never',
    'kafka-refused',
    'the codec is checked before the append',
  ),
  87: row('INVALID_RECORD', 'no', 'never', 'kafka-refused', 'records are validated before the append'),
};

const UNKNOWN = row(
  'UNKNOWN_SERVER_ERROR',
  'maybe',
  'again',
  'kafka-unavailable',
  'not on the allow-list, so nothing is known of the append',
);

/** Every code that has a row. */
export const produceErrorCodes: readonly number[] = Object.keys(rows).map(Number);

/** The row of an error code other than 0. */
export function produceError(errorCode: number): ProduceErrorRow {
  return rows[errorCode] ?? UNKNOWN;
}
