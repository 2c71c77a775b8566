/** Monotonic time in milliseconds, and the two ways to be called back. Replaced in tests and simulations. */
export interface Clock {
  now(): number;
  /** Calls back every `ms`; the returned function ends it. */
  every(ms: number, callback: () => void): () => void;
  /** Calls back after what is already due in this turn of the event loop. */
  soon(callback: () => void): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  every(ms, callback) {
    const timer = setInterval(callback, ms);
    return () => clearInterval(timer);
  },
  soon: (callback) => void setImmediate(callback),
};
