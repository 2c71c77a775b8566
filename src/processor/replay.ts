import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { Metrics } from '../metrics.ts';
import { ConfigError } from '../settings.ts';
import { type Log, movePositions, type Positions, readPositions } from '../store/positions.ts';
import type { Query } from '../store/postgres.ts';
import { type ProcessorConfig, readProcessorConfig } from '../store-config.ts';
import { openConnections } from './connections.ts';
import type { LogRange } from './event-processor.ts';
import { KafkaLog } from './kafka-log.ts';

/**
 * `npm run replay`: sets the positions of the store back, so that the processors read records again. What is stored
 * already stays as it is; what is missing comes back. Nobody is notified.
 */

const USAGE = `npm run replay -- --from-beginning
npm run replay -- --from-time 2026-11-01T00:00:00Z
npm run replay -- --from-offset 1200 --partition 3

--partition 3   that one only
--no-wait       do not wait until the processors have read it again

The settings are those of the processor: KAFKA_BROKERS, KAFKA_TOPIC, POSTGRES_URL and so on.`;

const PROGRESS_MS = 2_000;
/** Nothing moved for so long: nobody reads. */
const IDLE_MS = 30_000;
const MOVE_ATTEMPTS = 20;

type From =
  | { readonly kind: 'beginning' }
  | { readonly kind: 'time'; readonly timestampMs: number }
  | { readonly kind: 'offset'; readonly offset: number };

interface Wanted {
  readonly from: From;
  /** `undefined`: all of them. */
  readonly partition: number | undefined;
  readonly waits: boolean;
}

/** What the arguments ask for, or what is wrong with them. */
export function readArguments(args: readonly string[]): Wanted | string {
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        'from-beginning': { type: 'boolean' },
        'from-time': { type: 'string' },
        'from-offset': { type: 'string' },
        partition: { type: 'string' },
        wait: { type: 'boolean', default: true },
      },
    }));
  } catch (error) {
    return (error as Error).message;
  }
  const { 'from-beginning': beginning, 'from-time': time, 'from-offset': offset, partition, wait } = values;
  const whole = /^\d{1,15}$/;
  if ([beginning, time, offset].filter((given) => given !== undefined).length !== 1)
    return 'say from where: --from-beginning, --from-time or --from-offset';
  if (partition !== undefined && !whole.test(String(partition))) return '--partition is a number';
  if (offset !== undefined && (!whole.test(String(offset)) || partition === undefined))
    return '--from-offset is a number, of one --partition';
  const timestampMs = Date.parse(String(time));
  if (time !== undefined && Number.isNaN(timestampMs)) return '--from-time is an ISO 8601 time';
  return {
    from:
      time !== undefined
        ? { kind: 'time', timestampMs }
        : offset === undefined
          ? { kind: 'beginning' }
          : { kind: 'offset', offset: Number(offset) },
    partition: partition === undefined ? undefined : Number(partition),
    waits: wait === true,
  };
}

/** Sets back the positions that are ahead of where reading is to begin. Returns those that were, as they were. */
export async function setBack(
  query: Query,
  log: Log,
  targets: ReadonlyMap<number, number>,
): Promise<Positions> {
  const before = new Map<number, number>();
  for (const [partition, target] of targets) {
    for (let attempt = 1; ; attempt += 1) {
      const position = (await readPositions(query, log, partition)).get(partition);
      if (position === undefined || position <= target) break;
      const moved = await movePositions(query, log, [{ partition, from: position, next: target }]);
      if (moved.size > 0) {
        before.set(partition, position);
        break;
      }
      // A processor stored something just then.
      if (attempt === MOVE_ATTEMPTS)
        throw new Error(`the position of partition ${partition} does not hold still`);
    }
  }
  return before;
}

/** Where reading is to begin, by partition: within what Kafka still has. */
async function targetsOf(wanted: Wanted, topicLog: KafkaLog): Promise<ReadonlyMap<number, number>> {
  const { from, partition: only } = wanted;
  const ranges = await topicLog.ranges();
  const atTime = from.kind === 'time' ? await topicLog.offsetsAt(from.timestampMs) : undefined;
  const targetIn = (partition: number, { low, high }: LogRange) => {
    const offset = from.kind === 'offset' ? from.offset : (atTime?.get(partition) ?? low);
    return Math.min(high, Math.max(low, offset));
  };
  if (only !== undefined && !ranges.has(only)) throw new Error(`the topic has no partition ${only}`);
  return new Map(
    [...ranges]
      .filter(([partition]) => only === undefined || partition === only)
      .map(([partition, range]) => [partition, targetIn(partition, range)]),
  );
}

/** Tells how far the processors are, until they are where they were. `false`: nobody reads. */
async function untilReadAgain(
  query: Query,
  log: Log,
  { before, targets }: { readonly before: Positions; readonly targets: ReadonlyMap<number, number> },
): Promise<boolean> {
  const leftAt = (positions: Positions) =>
    [...before].reduce(
      (sum, [partition, was]) => sum + Math.max(0, was - (positions.get(partition) ?? was)),
      0,
    );
  const total = leftAt(targets);
  let idleSince = performance.now();
  let lastLeft = total;
  for (;;) {
    const left = leftAt(await readPositions(query, log));
    say(`${total - left} of ${total} records read again`);
    if (left === 0) return true;
    if (left !== lastLeft) idleSince = performance.now();
    lastLeft = left;
    if (performance.now() - idleSince > IDLE_MS) return false;
    await delay(PROGRESS_MS);
  }
}

async function replay(config: ProcessorConfig, wanted: Wanted): Promise<void> {
  const { kafka, store, close } = openConnections(config, {
    applicationName: 'dual-stream-replay',
    storeConnectionsMax: 1,
    log: pino({ level: 'silent' }),
    metrics: new Metrics(),
  });
  const topicLog = new KafkaLog(kafka, config.KAFKA_TOPIC);
  try {
    const of = { cluster: await topicLog.cluster(), topic: config.KAFKA_TOPIC };
    const targets = await targetsOf(wanted, topicLog);
    const before = await setBack(store.query, of, targets);
    if (before.size === 0) return say('nothing to do: the store is not ahead of that in any partition');
    for (const [partition, was] of before)
      say(`partition ${partition}: from ${was} back to ${targets.get(partition)}`);
    if (!wanted.waits) return;
    if (await untilReadAgain(store.query, of, { before, targets })) return say('done');
    throw new Error('no processor reads; it will be read again when one does');
  } finally {
    topicLog.close();
    await close();
  }
}

function say(line: string): void {
  process.stdout.write(`replay: ${line}\n`);
}

function exitWith(...reasons: readonly string[]): never {
  for (const reason of reasons) process.stderr.write(`replay: ${reason}\n`);
  process.exit(1);
}

if (import.meta.main) {
  const wanted = readArguments(process.argv.slice(2));
  if (typeof wanted === 'string') exitWith(wanted, '', ...USAGE.split('\n'));
  try {
    await replay(readProcessorConfig(process.env), wanted);
  } catch (error) {
    exitWith(...(error instanceof ConfigError ? error.problems : [(error as Error).message]));
  }
}
