import type { Clock } from '../clock.ts';
import type { StoreIdentity } from './cursor.ts';
import { faultKind } from './store-fault.ts';

/** `no-tables`: there are none yet, or those of another version of this program. */
export type StoreState = 'connecting' | 'up' | 'down' | 'no-tables';

const INTERVAL_MS = 1_000;
/** A store that takes longer to say which one it is counts as down. */
const PATIENCE_MS = 2_500;

export interface StoreWatchOptions {
  readonly clock: Clock;
  /** Asks the store which one it is. Rejects when it does not answer. */
  readonly look: () => Promise<StoreIdentity | 'no-tables'>;
  readonly onState: (state: StoreState, reason: string | undefined) => void;
  /** Told at first, and when it is another store than before. */
  readonly onStore: (store: StoreIdentity) => void;
}

/** Finds out once a second whether the store can be asked, one look at a time. */
export class StoreWatch {
  readonly #options: StoreWatchOptions;
  readonly #stop: () => void;
  #state: StoreState = 'connecting';
  #epoch: string | undefined;
  #lookingSince: number | undefined;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
    this.#stop = options.clock.every(INTERVAL_MS, () => this.#tick());
    this.#tick();
  }

  get state(): StoreState {
    return this.#state;
  }

  close(): void {
    this.#stop();
  }

  #tick(): void {
    const now = this.#options.clock.now();
    if (this.#lookingSince === undefined) {
      this.#lookingSince = now;
      void this.#look();
    } else if (now - this.#lookingSince >= PATIENCE_MS) {
      this.#become('down', 'timeout');
    }
  }

  async #look(): Promise<void> {
    try {
      const found = await this.#options.look();
      if (found === 'no-tables') return this.#become('no-tables');
      if (found.epoch !== this.#epoch) this.#options.onStore(found);
      this.#epoch = found.epoch;
      this.#become('up');
    } catch (error) {
      this.#become('down', faultKind(error));
    } finally {
      this.#lookingSince = undefined;
    }
  }

  #become(state: StoreState, reason?: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onState(state, reason);
  }
}
