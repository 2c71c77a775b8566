import type { StoredRecord } from '../integration/topic-reader.ts';

const STATUSES = ['stored', 'not_stored', 'refused', 'unknown'] as const;
type Status = (typeof STATUSES)[number];

/** What the answer says of one event. */
export interface Result {
  readonly status: string | number;
  readonly partition?: number;
  readonly offset?: number;
}

/** What became of one event, as its sender knows it. */
export interface Sent {
  readonly source: string;
  readonly value: string;
  /** `sent`: no answer came. */
  status: Status | 'sent';
  partition?: number;
  offset?: number;
  answeredAt?: number;
}

/** The answers held against the topic. Counts of events. */
export interface Verdict {
  readonly stored: number;
  readonly refused: number;
  readonly unknown: number;
  readonly unanswered: number;
  /** Stored by the answer, and not exactly once and as sent at the place that it names. */
  readonly misplaced: number;
  /** In the topic, and answered as not in it, or not sent. */
  readonly phantom: number;
  /** In the topic, and nobody was told. */
  readonly silent: number;
}

/** One event in so many lacks its type, so that there are refusals to be held against the topic. */
const REFUSED_EACH = 25;

/** What the status of an answer says of a single event that is not stored, which has a problem for an answer. */
const PROBLEMS: Readonly<Record<number, Status>> = { 422: 'refused', 503: 'not_stored', 504: 'unknown' };

/** Every event that was sent, with its answer, to be held against what a reader finds. */
export class SentEvents {
  readonly #sent = new Map<string, Sent>();
  /** What is none of the answers that the service gives. */
  readonly surprises: string[] = [];

  get stored(): number {
    return this.storedSince(0);
  }

  get unanswered(): number {
    return this.#count(({ status }) => status === 'sent');
  }

  /** Answered as stored since then, by the clock of the machine. */
  storedSince(time: number): number {
    return this.#count(({ status, answeredAt = 0 }) => status === 'stored' && answeredAt >= time);
  }

  /** A new one, about to be sent. */
  add(id: string, source: string): Sent {
    const type = this.#sent.size % REFUSED_EACH === 0 ? undefined : 'tried';
    const value = JSON.stringify({
      id,
      type,
      source_type: 'image',
      source_id: source,
      data: { text: 'x'.repeat(200) },
    });
    const sent: Sent = { source, value, status: 'sent' };
    this.#sent.set(id, sent);
    return sent;
  }

  /** It has not been sent after all. */
  forget(id: string): void {
    this.#sent.delete(id);
  }

  answered(sent: Sent, httpStatus: number, result: Result | undefined): void {
    const status = STATUSES.find((each) => each === result?.status) ?? PROBLEMS[httpStatus];
    if (status === undefined) this.surprises.push(`${httpStatus} ${JSON.stringify(result)}`);
    else Object.assign(sent, { ...result, status, answeredAt: Date.now() });
  }

  heldAgainst(records: readonly StoredRecord[]): Verdict {
    const found = new Map<string, StoredRecord[]>();
    for (const record of records) {
      const id = String(JSON.parse(record.value).id);
      found.set(id, [...(found.get(id) ?? []), record]);
    }
    const isThere = (id: string) => found.has(id);
    const isAsAnswered = (id: string, { source, value, partition, offset }: Sent) => {
      const [record, ...copies] = found.get(id) ?? [];
      const isPlace = record?.partition === partition && record?.offset === offset;
      return isPlace && record?.key === source && isSame(record.value, value) && copies.length === 0;
    };
    return {
      stored: this.stored,
      refused: this.#count(({ status }) => status === 'refused'),
      unknown: this.#count(({ status }) => status === 'unknown'),
      unanswered: this.unanswered,
      misplaced: this.#count((sent, id) => sent.status === 'stored' && !isAsAnswered(id, sent)),
      phantom:
        this.#count(({ status }, id) => (status === 'refused' || status === 'not_stored') && isThere(id)) +
        [...found.keys()].filter((id) => !this.#sent.has(id)).length,
      silent: this.#count(({ status }, id) => status === 'sent' && isThere(id)),
    };
  }

  #count(holds: (sent: Sent, id: string) => boolean): number {
    let count = 0;
    for (const [id, sent] of this.#sent) if (holds(sent, id)) count += 1;
    return count;
  }
}

/** The service adds the time, and leaves everything else as it was sent. */
function isSame(stored: string, sent: string): boolean {
  const { time: _, ...rest } = JSON.parse(stored);
  const wanted = JSON.parse(sent);
  return Object.keys(wanted).every((name) => JSON.stringify(rest[name]) === JSON.stringify(wanted[name]));
}
