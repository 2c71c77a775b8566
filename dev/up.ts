import { join } from 'node:path';
import { preferredPort } from './free-port.ts';
import { tryLock } from './lock.ts';
import { type Service, startProcessor, startQuery, startService } from './service.ts';
import {
  prepareStack,
  type StackPart,
  startKafkaPart,
  startPostgresPart,
  startRedisPart,
  UP_FOLDER,
} from './stack.ts';
import { StartError } from './start-error.ts';

/**
 * `npm run up`: a real Kafka, a real Redis and the service; a real PostgreSQL, the event processor and the query API, unless
 * `-- --ingest-only` is given. All from one command. KAFKA_BROKERS, REDIS_URL and POSTGRES_URL, when set, win. Ctrl-C stops
 * the programs first, then what was started here, and nothing else.
 */

/** Two signals closer than this are one: a terminal's Ctrl-C reaches us twice through npm. */
const REPEATED_SIGNAL_MS = 1000;
const EXIT_INTERRUPTED = 130;
const PROCESSOR_PORT = 9_091;
const QUERY_PORT = 8_081;

const { env } = process;
const isIngestOnly = process.argv.includes('--ingest-only');
const parts: StackPart[] = [];
let service: Service | undefined;
/** Around the event store. The service goes on without them. */
const readers: Service[] = [];
let isReady = false;
let stoppingAt: number | undefined;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    const now = performance.now();
    if (stoppingAt === undefined) void stop(isReady ? 0 : EXIT_INTERRUPTED);
    // Whatever still runs ends with us: see child.ts.
    else if (now - stoppingAt >= REPEATED_SIGNAL_MS) process.exit(EXIT_INTERRUPTED);
  });
}

try {
  await up();
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`up: ${error.message}\n`);
  await stop(1);
}

async function up(): Promise<void> {
  const brokers = env.KAFKA_BROKERS;
  const hasRedis = env.REDIS_URL || env.REDIS_URL_FILE || env.REDIS_MODE === 'off';
  const hasStore = isIngestOnly || env.POSTGRES_URL || env.POSTGRES_URL_FILE;
  if (!brokers || !hasRedis || !hasStore) {
    const unlock = tryLock(join(UP_FOLDER, 'lock'));
    if (unlock === undefined)
      throw new StartError('another `npm run up` is running in this clone; stop that one first');
    const stack = await prepareStack(say);
    await Promise.all([
      brokers ? undefined : startKafkaPart(stack).then(keep),
      hasRedis ? undefined : startRedisPart(stack).then(keep),
      hasStore ? undefined : startPostgresPart(stack).then(keep).catch(goOnWithoutStore),
    ]);
  }
  if (stoppingAt !== undefined) return;

  const kafkaAddress = addressOf('Kafka') ?? brokers ?? '';
  const redisAddress = addressOf('Redis') ?? env.REDIS_URL;
  say('starting the service');
  service = await startService({
    ...env,
    AUTH_MODE: env.AUTH_MODE || 'none',
    KAFKA_BROKERS: kafkaAddress,
    KAFKA_TOPIC_CREATE: env.KAFKA_TOPIC_CREATE || 'true',
    ...(redisAddress ? { REDIS_URL: redisAddress } : {}),
  });
  void service.exit.then((how) => {
    if (isReady && stoppingAt === undefined)
      process.stderr.write(`up: the service has ended by itself (${how})\n`);
    void stop(1);
  });
  const outcome = await service.untilReady(say);
  if (outcome === 'late')
    throw new StartError(`the service is not ready after 60 s; ${service.url}/readyz says why`);
  if (outcome === 'ended' || stoppingAt !== undefined) return;
  isReady = true;
  const query = await startReaders(kafkaAddress);
  if (stoppingAt !== undefined) return;
  const isNotifying = env.REDIS_MODE !== 'off';
  printAddresses({
    url: service.url,
    kafka: kafkaAddress,
    redis: isNotifying ? withoutPassword(redisAddress ?? '$REDIS_URL') : undefined,
    query: query?.url,
  });
}

/** The event processor and the query API, if there is a store for them. Returns the latter. */
async function startReaders(kafkaAddress: string): Promise<Service | undefined> {
  const storeAddress = addressOf('PostgreSQL') ?? env.POSTGRES_URL;
  if (isIngestOnly || (storeAddress === undefined && !env.POSTGRES_URL_FILE)) return undefined;
  say('starting the processor and the query API');
  const shared: NodeJS.ProcessEnv = {
    ...env,
    AUTH_MODE: env.AUTH_MODE || 'none',
    KAFKA_BROKERS: kafkaAddress,
    KAFKA_TOPIC_CREATE: env.KAFKA_TOPIC_CREATE || 'true',
    ...(storeAddress ? { POSTGRES_URL: storeAddress } : {}),
  };
  const ofQuery: NodeJS.ProcessEnv = { ...shared };
  delete ofQuery.MANAGEMENT_PORT; // that of the service
  const processor = await startProcessor({
    ...shared,
    MANAGEMENT_PORT: String(await preferredPort(PROCESSOR_PORT)),
  });
  const query = await startQuery({ ...ofQuery, PORT: String(await preferredPort(QUERY_PORT)) });
  readers.push(processor, query);
  for (const [name, reader] of Object.entries({ processor, query })) {
    void reader.exit.then((how) => {
      if (stoppingAt === undefined) say(`the ${name} has ended by itself (${how}); the service goes on`);
    });
  }
  const outcomes = await Promise.all(readers.map((reader) => reader.untilReady(say)));
  if (stoppingAt === undefined && outcomes.includes('late'))
    say(`the event store is not ready after 60 s; ${processor.url}/readyz and ${query.url}/readyz say why`);
  return query;
}

function goOnWithoutStore(error: unknown): void {
  if (!(error instanceof StartError)) throw error;
  say(`${error.message}; there is no event store, and the service does without`);
}

/** Stops the service, then what it needs, and exits. Does nothing when that is under way. */
async function stop(exitCode: number): Promise<void> {
  if (stoppingAt !== undefined) return;
  stoppingAt = performance.now();
  await service?.stop();
  await service?.exit;
  await Promise.all(readers.map((reader) => reader.stop()));
  await Promise.all(readers.map((reader) => reader.exit));
  if (parts.length > 0) say(`stopping ${parts.map(({ name }) => name).join(' and ')}`);
  await Promise.all(parts.map((part) => part.stop()));
  process.exit(exitCode);
}

function keep(part: StackPart): void {
  parts.push(part);
  say(`${part.name} is ready at ${part.address} (${part.how})`);
  void part.exit.then(() => {
    if (stoppingAt === undefined) say(`${part.name} has ended by itself; the service goes on without it`);
  });
}

function addressOf(name: StackPart['name']): string | undefined {
  return parts.find((part) => part.name === name)?.address;
}

function printAddresses(at: {
  readonly url: string;
  readonly kafka: string;
  readonly redis: string | undefined;
  readonly query: string | undefined;
}): void {
  const { url, kafka, redis, query } = at;
  const topic = env.KAFKA_TOPIC || 'events';
  const isOpen = !env.AUTH_MODE || env.AUTH_MODE === 'none';
  const credentials = isOpen ? '' : ' -H "authorization: Bearer $CREDENTIAL"';
  const lines = [
    '',
    `  Service   ${url}`,
    `  API       ${url}/docs`,
    ...(query === undefined ? [] : [`  Reading   ${query}, ${query}/docs`]),
    `  Kafka     ${kafka}, topic ${topic}`,
    `  Redis     ${redis ? `${redis}, channels events:{source_type}:{source_id}` : 'off: nobody is notified'}`,
    '',
    'Send an event:',
    '',
    `  curl -i ${url}/v1/events${credentials} -H 'content-type: application/json' -d '{"type":"push","source_type":"user","source_id":"octocat","data":{"hello":"world"}}'`,
    '',
    `See it arrive in ${redis ? 'both streams' : 'Kafka'}, in another terminal:`,
    '',
    `  ${listenSettings(kafka, topic, redis)}npm run listen`,
    '',
    ...(query === undefined
      ? []
      : ['Read it back:', '', `  curl -i ${query}/v1/sources/user/octocat/events${credentials}`, '']),
    'Ctrl-C stops it.',
    '',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** What `npm run listen` has to be told, as far as it differs from what that takes for granted. */
function listenSettings(kafka: string, topic: string, redis: string | undefined): string {
  const settings = [
    ...(kafka === '127.0.0.1:29092' ? [] : [`KAFKA_BROKERS=${kafka}`]),
    ...(topic === 'events' ? [] : [`KAFKA_TOPIC=${topic}`]),
    ...(redis === undefined ? ['REDIS_MODE=off'] : []),
    ...(redis === undefined || redis === 'redis://127.0.0.1:26379' ? [] : [`REDIS_URL=${redis}`]),
  ];
  return settings.map((setting) => `${setting} `).join('');
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}

function say(line: string): void {
  process.stdout.write(`up: ${line}\n`);
}
