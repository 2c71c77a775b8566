import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { faultEvent } from './fault-event.ts';
import type { Ledger } from './ledger.ts';
import { PUBLISH_TIMEOUT_MS, type Subject } from './subject.ts';

export interface LoadOptions {
  readonly subject: Subject;
  readonly ledger: Ledger;
  /** Half of them single, half in requests of 10 to 50. */
  readonly eventsPerSecond: number;
  /** So few that each has several requests in flight, and its order can break. */
  readonly sources: number;
  /** The subject has so many, and source n has number n modulo that: the sources of a request share one. */
  readonly connections?: number;
  readonly random: () => number;
}

export interface Load {
  /** Stops offering and waits for the last answer, or until it is certain that none comes any more. */
  stop(): Promise<void>;
  /** How late the load itself was, at worst: answer times are no truer than this. Milliseconds. */
  readonly lateMsMax: () => number;
  readonly loopDelayMsMax: () => number;
}

const TICK_MS = 5;
const REQUEST_EVENTS_MIN = 10;
const REQUEST_EVENTS_MAX = 50;

/** Offers events by the clock, and not by the answers: what is slow is not spared. */
export function startLoad(options: LoadOptions): Load {
  const { subject, ledger, eventsPerSecond, sources, connections = 1, random } = options;
  const startedAt = performance.now();
  const loopDelay = monitorEventLoopDelay({ resolution: 5 });
  loopDelay.enable();
  let singles = 0;
  let batched = 0;
  let lastTickAt = startedAt;
  let lateMsMax = 0;

  const offer = (count: number) => {
    const now = performance.now();
    const connection = Math.floor(random() * Math.min(connections, sources));
    const ofConnection = Math.ceil((sources - connection) / connections);
    const events = Array.from({ length: count }, () => {
      const source = connection + connections * Math.floor(random() * ofConnection);
      return faultEvent(ledger.offer(source, now, PUBLISH_TIMEOUT_MS, count), source);
    });
    subject.publish(events, (outcomes) => {
      const answeredAt = performance.now();
      if (outcomes.length !== count) throw new Error(`${outcomes.length} outcomes for ${count} events`);
      outcomes.forEach((outcome, index) => {
        ledger.answered(events[index]?.number ?? -1, outcome, answeredAt);
      });
    });
  };
  const timer = setInterval(() => {
    const now = performance.now();
    lateMsMax = Math.max(lateMsMax, now - lastTickAt - TICK_MS);
    lastTickAt = now;
    const due = ((now - startedAt) / 1_000) * (eventsPerSecond / 2);
    while (singles < due || batched < due) {
      if (singles < due) {
        offer(1);
        singles += 1;
      }
      if (batched < due) {
        const count =
          REQUEST_EVENTS_MIN + Math.floor(random() * (REQUEST_EVENTS_MAX - REQUEST_EVENTS_MIN + 1));
        offer(count);
        batched += count;
      }
    }
  }, TICK_MS);

  return {
    stop: async () => {
      clearInterval(timer);
      const giveUpAt = performance.now() + PUBLISH_TIMEOUT_MS + 5_000;
      while (ledger.unanswered > 0 && performance.now() < giveUpAt) await delay(20);
      loopDelay.disable();
    },
    lateMsMax: () => lateMsMax,
    loopDelayMsMax: () => loopDelay.max / 1e6,
  };
}
