import { setTimeout as delay } from 'node:timers/promises';
import { cpuSecondsOf } from '../dev/process-counters.ts';
import type { LoadResult, LoadSpec, Percentiles } from './load.ts';
import { LoadConnection } from './load-connection.ts';
import { NotificationClock } from './notification-clock.ts';
import { OpenLoopSchedule } from './open-loop.ts';
import { PreparedRequest, preparedGet } from './prepared-request.ts';
import { ascending, percentile } from './statistics.ts';

const FIRST_ANSWER_MS_MAX = 20_000;
/** After the window, for answers that are still to come. What takes longer counts as failed, with the time it took so far. */
const ANSWERED_MS_MAX = 5_000;
const NOTIFIED_MS_MAX = 1_000;
const POLL_MS = 5;

/**
 * Puts one server under load and measures a window of it. One thread; a request costs it a write of bytes that are
 * ready, and an answer the search for its end.
 */
class LoadGenerator {
  readonly #spec: LoadSpec;
  readonly #requestsMax: number;
  readonly #connections: readonly LoadConnection[];
  readonly #notifications: NotificationClock | undefined;
  /** Taken from the front and put back at the end, so that all have their turn. */
  readonly #free: LoadConnection[];
  readonly #underWay = new Set<LoadConnection>();
  readonly #latenciesMs: number[] = [];
  readonly #latesMs: number[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #schedule: OpenLoopSchedule | undefined;
  #sent = 0;
  #numbered = 0;
  #requests = 0;
  #events = 0;
  #failed = 0;
  #heldUp = 0;
  /** Requests before this one were due when no connection was free. */
  #heldUpTo = 0;
  #isSending = false;
  #windowFrom = Number.POSITIVE_INFINITY;
  #windowUntil = Number.POSITIVE_INFINITY;

  constructor(spec: LoadSpec) {
    const { port, request: asked, pace, redisPort } = spec;
    this.#spec = spec;
    this.#requestsMax = (pace.kind === 'closed' ? pace.requestsMax : undefined) ?? Number.POSITIVE_INFINITY;
    this.#notifications = redisPort === undefined ? undefined : new NotificationClock(redisPort);
    this.#connections = Array.from({ length: spec.connections }, (_, index) => {
      const request = 'path' in asked ? preparedGet(asked.path) : new PreparedRequest(asked, index);
      return new LoadConnection({
        port,
        request,
        answered: (connection, status) => this.#answered(connection, status),
      });
    });
    this.#free = [...this.#connections];
  }

  /** Ends the window, or lets it be empty if it has not begun. */
  end(): void {
    this.#ended.resolve();
  }

  async run(): Promise<LoadResult> {
    const { pace, warmUpMs, windowMs } = this.#spec;
    await Promise.all([
      this.#notifications?.subscribe(),
      ...this.#connections.map((connection) => connection.open()),
    ]);
    await this.#firstAnswer();
    if (pace.kind === 'open') {
      const { requestsPerSecond } = pace;
      const startAt = performance.now();
      this.#schedule = new OpenLoopSchedule({ startAt, requestsPerSecond, durationMs: warmUpMs + windowMs });
    }
    this.#isSending = true;
    // Answers come far more often than this under load, and each is an occasion to send what is due.
    const timer = setInterval(() => this.#sendDue(), 1);
    if (warmUpMs > 0) {
      this.#sendDue();
      await delay(warmUpMs);
    }
    const before = this.#counters();
    this.#windowFrom = before.at;
    this.#sendDue();
    await Promise.race([this.#ended.promise, delay(windowMs, undefined, { ref: false })]);
    const after = this.#counters();
    this.#windowUntil = after.at;
    await this.#settle();
    clearInterval(timer);
    for (const connection of this.#connections) connection.close();
    this.#notifications?.close();
    return this.#result(before, after);
  }

  /** One request, so that the warm-up is not spent on waiting for a server that has never answered. */
  async #firstAnswer(): Promise<void> {
    const connection = this.#free.shift();
    if (connection !== undefined) this.#send(connection, performance.now());
    await untilOrGivenUp(() => this.#underWay.size === 0, FIRST_ANSWER_MS_MAX);
    this.#sent = 0;
  }

  #sendDue(): void {
    const now = performance.now();
    const dueCount = this.#dueCount(now);
    while (this.#isSending && this.#sent < dueCount) {
      const connection = this.#free.shift();
      if (connection === undefined) {
        this.#heldUpTo = dueCount;
        break;
      }
      const intendedAt = this.#schedule?.intendedAt(this.#sent) ?? now;
      if (this.#schedule !== undefined && intendedAt >= this.#windowFrom) {
        if (this.#sent < this.#heldUpTo) this.#heldUp += 1;
        else this.#latesMs.push(now - intendedAt);
      }
      this.#send(connection, intendedAt);
    }
    if (this.#isSending && this.#sent >= this.#requestsMax && this.#underWay.size === 0) this.end();
  }

  /** Closed loop: whoever is free sends. Open loop: what is due by the clock, up to the end of the window. */
  #dueCount(now: number): number {
    return this.#schedule?.dueAt(Math.min(now, this.#windowUntil)) ?? this.#requestsMax;
  }

  #send(connection: LoadConnection, intendedAt: number): void {
    connection.intendedAt = intendedAt;
    connection.number = this.#numbered;
    connection.request.number(this.#numbered);
    this.#sent += 1;
    this.#numbered += connection.request.events;
    this.#underWay.add(connection);
    connection.send();
  }

  #answered(connection: LoadConnection, status: number | 'lost'): void {
    const now = performance.now();
    const { events } = connection.request;
    const isSuccess = status !== 'lost' && status >= 200 && status < 300;
    this.#underWay.delete(connection);
    this.#free.push(connection);
    if (now >= this.#windowFrom && now <= this.#windowUntil) {
      this.#requests += 1;
      if (isSuccess) this.#events += events;
    }
    if (this.#isOfWindow(connection.intendedAt)) {
      this.#latenciesMs.push(now - connection.intendedAt);
      if (!isSuccess) this.#failed += 1;
      else {
        for (let index = 0; index < events; index += 1) {
          this.#notifications?.answered(connection.number + index, now);
        }
      }
    }
    this.#sendDue();
  }

  #isOfWindow(intendedAt: number): boolean {
    return intendedAt >= this.#windowFrom && intendedAt < this.#windowUntil;
  }

  /**
   * Waits for what belongs to the window. A request that was due in it and found no connection is still sent, and one
   * without an answer counts with the time it has taken: to leave them out would flatter the server.
   */
  async #settle(): Promise<void> {
    const isOpenLoop = this.#schedule !== undefined;
    if (!isOpenLoop) this.#isSending = false;
    const hasUnsent = () => isOpenLoop && this.#sent < this.#dueCount(performance.now());
    await untilOrGivenUp(() => this.#underWay.size === 0 && !hasUnsent(), ANSWERED_MS_MAX);
    this.#isSending = false;

    const now = performance.now();
    const unanswered = [...this.#underWay].map(({ intendedAt }) => intendedAt);
    while (hasUnsent()) {
      unanswered.push(this.#schedule?.intendedAt(this.#sent) ?? now);
      this.#sent += 1;
    }
    for (const intendedAt of unanswered.filter((at) => this.#isOfWindow(at))) {
      this.#failed += 1;
      this.#latenciesMs.push(now - intendedAt);
    }
    await untilOrGivenUp(() => (this.#notifications?.missing ?? 0) === 0, NOTIFIED_MS_MAX);
  }

  #counters(): Counters {
    const { user, system } = process.cpuUsage();
    const cpuSeconds = Object.fromEntries(
      Object.entries(this.#spec.processes).map(([name, pid]) => [name, cpuSecondsOf(pid)]),
    );
    return {
      at: performance.now(),
      ownCpuMs: (user + system) / 1_000,
      cpuSeconds,
      requests: this.#requests,
      events: this.#events,
    };
  }

  #result(before: Counters, after: Counters): LoadResult {
    const windowMs = after.at - before.at;
    const spent = Object.entries(after.cpuSeconds).map(([name, seconds]) => [
      name,
      seconds - (before.cpuSeconds[name] ?? 0),
    ]);
    return {
      windowMs,
      requests: after.requests,
      events: after.events,
      failed: this.#failed,
      cpuSeconds: Object.fromEntries(spent),
      ownShare: (after.ownCpuMs - before.ownCpuMs) / windowMs,
      latencyMs: percentilesOf(this.#latenciesMs),
      lateMs: percentilesOf(this.#latesMs),
      heldUp: this.#heldUp,
      ...(this.#notifications === undefined
        ? {}
        : {
            notificationMs: percentilesOf(this.#notifications.delaysMs),
            unnotified: this.#notifications.missing,
          }),
    };
  }
}

/** Read at both ends of the window. */
interface Counters {
  readonly at: number;
  readonly ownCpuMs: number;
  readonly cpuSeconds: Readonly<Record<string, number>>;
  readonly requests: number;
  readonly events: number;
}

async function untilOrGivenUp(isSo: () => boolean, timeoutMs: number): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!isSo() && performance.now() < giveUpAt) await delay(POLL_MS);
}

function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = ascending(values);
  return {
    count: sorted.length,
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    p999: percentile(sorted, 0.999),
    max: percentile(sorted, 1),
  };
}

// `node bench/load-generator.ts <LoadSpec as JSON>` prints a LoadResult. SIGTERM ends the window early.
const generator = new LoadGenerator(JSON.parse(process.argv[2] ?? '') as LoadSpec);
process.on('SIGTERM', () => generator.end());
process.stdout.write(JSON.stringify(await generator.run()));
