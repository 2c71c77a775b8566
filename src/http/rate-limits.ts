import type { Clock } from '../clock.ts';

/** So many seconds' worth a client may use at once, and then as much as comes in. */
export const WINDOW_S = 10;
/** Clients that are kept count of. Beyond that the one that was not seen for longest is forgotten, and begins anew. */
const CLIENTS_MAX = 10_000;
const SWEEP_MS = 60_000;

export interface RateLimits {
  /** `undefined`: as many as they like. */
  readonly requestsPerSecond: number | undefined;
  readonly bytesPerSecond: number | undefined;
}

/** What a client has to be told. */
export interface Share {
  /** Seconds after which there is some of everything again. 0: there is now, and the request was counted. */
  readonly retryAfterS: number;
  /** The header fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10). */
  readonly policy: string;
  readonly remaining: string;
}

interface Quota {
  readonly name: 'requests' | 'bytes';
  readonly perSecond: number;
}

/** What is left of each quota, at an instant. */
interface Left {
  readonly amounts: number[];
  at: number;
}

/**
 * Limits by client, in the memory of this process: what two instances take together is twice as much. How many bytes a
 * request has is known when it has arrived, so what is left of them may be less than nothing, and the client waits.
 */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #quotas: readonly Quota[];
  readonly #policy: string;
  readonly #byClient = new Map<string, Left>();
  readonly #stopSweeping: () => void;

  constructor({ requestsPerSecond, bytesPerSecond }: RateLimits, clock: Clock) {
    this.#clock = clock;
    this.#quotas = [
      ...(requestsPerSecond === undefined
        ? []
        : [{ name: 'requests', perSecond: requestsPerSecond } as const]),
      ...(bytesPerSecond === undefined ? [] : [{ name: 'bytes', perSecond: bytesPerSecond } as const]),
    ];
    this.#policy = this.#quotas
      .map(({ name, perSecond }) => `"${name}";q=${perSecond * WINDOW_S};w=${WINDOW_S}`)
      .join(', ');
    this.#stopSweeping = clock.every(SWEEP_MS, () => this.#sweep());
  }

  /** Counts a request, if there is some left of everything. */
  request(client: string): Share {
    const { amounts } = this.#leftTo(client);
    const waits = this.#quotas.map(({ perSecond }, index) => (1 - (amounts[index] as number)) / perSecond);
    const retryAfterS = Math.ceil(Math.max(0, ...waits));
    if (retryAfterS === 0) this.#use(amounts, 'requests', 1);
    return { retryAfterS, policy: this.#policy, remaining: this.#told(amounts) };
  }

  /** Counts what has arrived of a request. */
  received(client: string, bytes: number): void {
    this.#use(this.#leftTo(client).amounts, 'bytes', bytes);
  }

  close(): void {
    this.#stopSweeping();
  }

  #use(amounts: number[], what: Quota['name'], count: number): void {
    this.#quotas.forEach(({ name }, index) => {
      if (name === what) amounts[index] = (amounts[index] as number) - count;
    });
  }

  #told(amounts: readonly number[]): string {
    const items = this.#quotas.map(({ name, perSecond }, index) => {
      const amount = amounts[index] as number;
      const fullInS = Math.ceil((perSecond * WINDOW_S - amount) / perSecond);
      return `"${name}";r=${Math.max(0, Math.floor(amount))};t=${fullInS}`;
    });
    return items.join(', ');
  }

  #leftTo(client: string): Left {
    const now = this.#clock.now();
    const known = this.#byClient.get(client);
    if (known !== undefined) {
      this.#byClient.delete(client); // and to the end, as the latest
      this.#byClient.set(client, known);
      this.#fill(known, now);
      return known;
    }
    if (this.#byClient.size >= CLIENTS_MAX) {
      const [first] = this.#byClient.keys();
      if (first !== undefined) this.#byClient.delete(first);
    }
    const left = { amounts: this.#quotas.map(({ perSecond }) => perSecond * WINDOW_S), at: now };
    this.#byClient.set(client, left);
    return left;
  }

  #fill(left: Left, now: number): void {
    const seconds = (now - left.at) / 1_000;
    this.#quotas.forEach(({ perSecond }, index) => {
      const amount = (left.amounts[index] as number) + seconds * perSecond;
      left.amounts[index] = Math.min(perSecond * WINDOW_S, amount);
    });
    left.at = now;
  }

  /** Whoever has everything left is as good as unknown. */
  #sweep(): void {
    const now = this.#clock.now();
    for (const [client, left] of this.#byClient) {
      this.#fill(left, now);
      if (this.#quotas.every(({ perSecond }, index) => left.amounts[index] === perSecond * WINDOW_S))
        this.#byClient.delete(client);
    }
  }
}
