import http from 'node:http';
import { type Result, SentEvents } from './sent-events.ts';

interface Answer {
  readonly status: number;
  readonly results: readonly Result[];
}

const SINGLES = 16;
const BATCHES = 4;
const BATCH_EVENTS = 20;

/** Senders that each wait for their answer before they send again, until the service takes no connection any more. */
export class Load {
  readonly events = new SentEvents();
  readonly #port: number;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: SINGLES + BATCHES });
  readonly #lanes: Promise<void>[];

  constructor(port: number) {
    this.#port = port;
    this.#lanes = Array.from({ length: SINGLES + BATCHES }, (_, lane) => this.#run(lane));
  }

  /** Settles when no sender is left. */
  async ended(): Promise<void> {
    await Promise.all(this.#lanes);
    this.#agent.destroy();
  }

  async #run(lane: number): Promise<void> {
    const isBatch = lane >= SINGLES;
    for (let round = 0; ; round += 1) {
      const ids = Array.from(
        { length: isBatch ? BATCH_EVENTS : 1 },
        (_, index) => `${lane}-${round}-${index}`,
      );
      const sent = ids.map((id) => this.events.add(id, `lane-${lane}`));
      const values = sent.map(({ value }) => value);
      const answer = await this.#post(
        isBatch ? '/v1/events/batch' : '/v1/events',
        isBatch ? `[${values.join()}]` : values.join(),
      );
      if (answer === 'lost') return;
      if (answer === 'not sent') {
        for (const id of ids) this.events.forget(id);
        return;
      }
      for (const [index, event] of sent.entries())
        this.events.answered(event, answer.status, answer.results[index]);
    }
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
