import http from 'node:http';
import type { StoredRecord } from '../integration/topic-reader.ts';

/** What became of one event, as its sender knows it. */
interface Sent {
  readonly source: string;
  readonly value: string;
  /** `sent`: no answer came. */
  status: 'sent' | 'stored' | 'not_stored' | 'refused' | 'unknown';
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

interface Answer {
  readonly status: number;
  readonly results: readonly { readonly status: string; partition?: number; offset?: number }[];
}

const SINGLES = 16;
const BATCHES = 4;
const BATCH_EVENTS = 20;
/** One event in so many lacks its type, so that there are refusals to be held against the topic. */
const REFUSED_EACH = 25;

/** Senders that each wait for their answer before they send again, until the service takes no connection any more. */
export class Load {
  readonly #port: number;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: SINGLES + BATCHES });
  readonly #sent = new Map<string, Sent>();
  readonly #lanes: Promise<void>[];
  /** What is none of the answers that the service gives. */
  readonly surprises: string[] = [];

  constructor(port: number) {
    this.#port = port;
    this.#lanes = Array.from({ length: SINGLES + BATCHES }, (_, lane) => this.#run(lane));
  }

  get stored(): number {
    return this.storedSince(0);
  }

  /** Waiting for their answer now. */
  get waiting(): number {
    return this.#count(({ status }) => status === 'sent');
  }

  /** Answered as stored since then, by the clock of the machine. */
  storedSince(time: number): number {
    return this.#count(({ status, answeredAt = 0 }) => status === 'stored' && answeredAt >= time);
  }

  /** Settles when no sender is left. */
  async ended(): Promise<void> {
    await Promise.all(this.#lanes);
    this.#agent.destroy();
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
      unanswered: this.waiting,
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

  async #run(lane: number): Promise<void> {
    const isBatch = lane >= SINGLES;
    for (let round = 0; ; round += 1) {
      const events = Array.from(
        { length: isBatch ? BATCH_EVENTS : 1 },
        (_, index) => `${lane}-${round}-${index}`,
      );
      const sent = events.map((id) => this.#offer(id, `lane-${lane}`));
      const values = sent.map(({ value }) => value);
      const answer = await this.#post(
        isBatch ? '/v1/events/batch' : '/v1/events',
        isBatch ? `[${values.join()}]` : values.join(),
      );
      if (answer === 'lost') return;
      if (answer === 'not sent') {
        for (const id of events) this.#sent.delete(id);
        return;
      }
      for (const [index, event] of sent.entries()) this.#answered(event, answer, answer.results[index]);
    }
  }

  #offer(id: string, source: string): Sent {
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

  #answered(sent: Sent, { status }: Answer, result: Answer['results'][number] | undefined): void {
    sent.answeredAt = Date.now();
    const known = (['stored', 'not_stored', 'refused', 'unknown'] as const).find(
      (each) => each === result?.status,
    );
    if (known !== undefined && result !== undefined) Object.assign(sent, { ...result, status: known });
    // A single one that is not stored has a problem for an answer.
    else if (status === 503) sent.status = 'not_stored';
    else if (status === 504) sent.status = 'unknown';
    else if (status === 422) sent.status = 'refused';
    else this.surprises.push(`${status} ${JSON.stringify(result)}`);
  }

  #post(path: string, body: string): Promise<Answer | 'lost' | 'not sent'> {
    return new Promise((resolve) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const options = {
        host: '127.0.0.1',
        port: this.#port,
        path,
        method: 'POST',
        headers,
        agent: this.#agent,
      };
      const request = http.request(options, async (response) => {
        try {
          const answer = JSON.parse((await response.setEncoding('utf8').toArray()).join(''));
          resolve({ status: response.statusCode ?? 0, results: answer.results ?? [answer] });
        } catch {
          resolve('lost');
        }
      });
      // Nobody listens any more: nothing has been sent.
      request.on('error', ({ code }: NodeJS.ErrnoException) =>
        resolve(code === 'ECONNREFUSED' ? 'not sent' : 'lost'),
      );
      request.end(body);
    });
  }
}

/** The service adds the time, and leaves everything else as it was sent. */
function isSame(stored: string, sent: string): boolean {
  const { time: _, ...rest } = JSON.parse(stored);
  const wanted = JSON.parse(sent);
  return Object.keys(wanted).every((name) => JSON.stringify(rest[name]) === JSON.stringify(wanted[name]));
}
