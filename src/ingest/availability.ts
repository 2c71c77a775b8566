/**
 * Whether Kafka can take events, judged by acknowledgements and not by open connections.
 *
 *     connecting ── metadata with a usable leader ─► available
 *     available ── events waited one publish timeout, no ack ─► unavailable ── ack, or usable metadata ─► available
 */
export type KafkaState = 'connecting' | 'available' | 'unavailable';

export class Availability {
  readonly #publishTimeoutMs: number;
  readonly #onChange: (state: KafkaState) => void;
  #state: KafkaState = 'connecting';
  /** How long events have waited since the last ack, idle times left out. */
  #waitedMs = 0;
  #idleMs = 0;

  constructor(publishTimeoutMs: number, onChange: (state: KafkaState) => void) {
    this.#publishTimeoutMs = publishTimeoutMs;
    this.#onChange = onChange;
  }

  get state(): KafkaState {
    return this.#state;
  }

  acknowledged(): void {
    this.#waitedMs = 0;
    this.#become('available');
  }

  /** Metadata came in; `isUsable`: some partition has a leader and enough in-sync replicas. */
  metadata(isUsable: boolean): void {
    if (!isUsable || this.#state === 'available') return;
    this.#waitedMs = 0;
    this.#become('available');
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
