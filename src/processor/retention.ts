import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Store } from '../store/postgres.ts';

export interface RetentionOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, 'transaction'>;
  readonly hours: number;
  readonly log: Logger;
  readonly onRemoved: (count: number) => void;
}

const EVERY_MS = 60_000;
/** Few enough that nobody waits for it, and many enough to keep up: 5,000 in each transaction. */
const REMOVED_AT_ONCE = 5_000;
/** Held by the one processor that removes. An arbitrary number, of this purpose alone. */
const RETENTION_LOCK = 7_262_315_403;

const REMOVE = `
  with removed as (
    delete from dual_stream.events
     where ctid = any (array(
       select ctid from dual_stream.events
        where recorded_at < now() - make_interval(hours => $1)
        order by recorded_at limit ${REMOVED_AT_ONCE}
     ))
    returning 1
  )
  select count(*)::integer as count from removed`;

/** Removes old events from the store, every minute, until it is closed. */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #stop: () => void;
  #isRemoving = false;
  #isClosed = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#stop = options.clock.every(EVERY_MS, () => void this.remove());
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  /** Removes all that are too old now. Never rejects: it is tried again in a minute. */
  async remove(): Promise<void> {
    if (this.#isRemoving) return;
    this.#isRemoving = true;
    try {
      while (!this.#isClosed && (await this.#removeSome()) === REMOVED_AT_ONCE);
    } catch (error) {
      this.#options.log.warn({ reason: (error as Error).message }, 'old events cannot be removed now');
    } finally {
      this.#isRemoving = false;
    }
  }

  async #removeSome(): Promise<number> {
    const { store, hours, onRemoved } = this.#options;
    const count = await store.transaction(async (query) => {
      const [lock] = await query<{ is_ours: boolean }>('select pg_try_advisory_xact_lock($1) as is_ours', [
        RETENTION_LOCK,
      ]);
      if (!lock?.is_ours) return 0;
      const [removed] = await query<{ count: number }>(REMOVE, [hours]);
      return removed?.count ?? 0;
    });
    if (count > 0) onRemoved(count);
    return count;
  }
}
