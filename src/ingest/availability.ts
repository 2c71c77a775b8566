/**
 * Whether Kafka can take events, judged by acknowledgements and not by open connections.
 *
 *     connecting ── metadata with a usable leader ─► available
 *     available ── events waited one publish timeout, no ack ─► unavailable
 *     unavailable ── usable metadata ─► trial ── ack ─► available
 *
 * On trial one request a second is let through. Brokers go on answering metadata, from memory, when their controllers
 * are lost or their replicas stall; without the trial, every event would wait out its time-out then.
 */
export type KafkaState = 'connecting' | 'available' | 'unavailable' | 'trial';

/** As others are told: `degraded` while events are taken, but not by every partition, or on trial only. */
export type KafkaReadiness = Exclude<KafkaState, 'trial'> | 'degraded';

const TRIAL_INTERVAL_MS = 1_000;

export class Availability {
  readonly #publishTimeoutMs: number;
  readonly #onChange: (state: KafkaState) => void;
  #state: KafkaState = 'connecting';
  /** How long events have waited since the last ack, idle times left out. */
  #waitedMs = 0;
  #idleMs = 0;
  #triedAt = Number.NEGATIVE_INFINITY;

  constructor(publishTimeoutMs: number, onChange: (state: KafkaState) => void) {
    this.#publishTimeoutMs = publishTimeoutMs;
    this.#onChange = onChange;
  }

  get state(): KafkaState {
    return this.#state;
  }

  /** Whether a request may come in now. On trial, asking is taking the turn. */
  admits(now: number): boolean {
    if (this.#state !== 'trial') return this.#state === 'available';
    if (now - this.#triedAt < TRIAL_INTERVAL_MS) return false;
    this.#triedAt = now;
    return true;
  }

  acknowledged(): void {
    this.#waitedMs = 0;
    this.#become('available');
  }

  /** Metadata came in; `isUsable`: some partition has a leader and enough in-sync replicas. */
  metadata(isUsable: boolean): void {
    if (isUsable && this.#state === 'connecting') this.#become('available');
    else if (isUsable && this.#state === 'unavailable') this.#become('trial');
    else if (!isUsable && this.#state === 'trial') this.#become('unavailable');
  }

  /** Time went by, with or without events waiting. An old wait is forgotten after as long a rest. */
  passed(elapsedMs: number, isWaiting: boolean): void {
    if (isWaiting) {
      this.#idleMs = 0;
      this.#waitedMs += elapsedMs;
    } else {
      this.#idleMs += elapsedMs;
      if (this.#idleMs >= this.#publishTimeoutMs) this.#waitedMs = 0;
    }
    if (this.#state === 'available' && this.#waitedMs >= this.#publishTimeoutMs) this.#become('unavailable');
  }

  #become(state: KafkaState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#onChange(state);
  }
}
