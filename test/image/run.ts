import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type DockerEngine, dockerEngine } from '../../dev/docker-engine.ts';
import { type BuiltImage, buildImage } from '../../dev/image.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { startRedis } from '../../dev/local-redis.ts';
import { StartError } from '../../dev/start-error.ts';
import { readTopic } from '../integration/topic-reader.ts';
import { Claims } from './claims.ts';
import { type Container, runContainer } from './container.ts';
import { Load } from './load.ts';

/**
 * `npm run test:image [-- --signal KILL]`: builds the image, runs it as strictly as a cluster does, on a real Kafka and a
 * real Redis, stops it in the middle of a load, and holds every answer against the topic. Another signal than TERM shows
 * that the checks notice what a lost answer looks like.
 */

const TOPIC = 'events';
const COMPRESSED_BYTES_MAX = 200e6;
const MiB = 1024 * 1024;
const LOAD_MS = 4_000;
const STORED_MIN = 1_000;
/** Kafka is held still around the signal, so that every sender waits for its answer when it comes. */
const HELD_MS = 500;
const IDLE_STOP_MS_MAX = 5_000;
const EXIT_INTERRUPTED = 130;
const SETTLED = 'stopped; everything that was accepted is settled';

const print = (line: string) => process.stdout.write(`${line}\n`);
const { values: args } = parseArgs({ options: { signal: { type: 'string', default: 'TERM' } } });
const claims = new Claims(print);
const undo: (() => Promise<unknown>)[] = [];
let cleaning: Promise<void> | undefined;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void cleanUp().finally(() => process.exit(EXIT_INTERRUPTED)));
}

try {
  await main();
  await cleanUp();
  process.exitCode = claims.summary();
} catch (error) {
  // What fails because everything is being stopped is no failure.
  if (cleaning === undefined) {
    if (!(error instanceof StartError)) throw error;
    process.stderr.write(`image: ${error.message}\n`);
    process.exitCode = 1;
  }
} finally {
  await cleanUp();
}

/** Once, in the reverse order, whatever fails. */
function cleanUp(): Promise<void> {
  cleaning ??= (async () => {
    for (const each of undo.toReversed()) await each().catch((error) => print(`image: ${error.message}`));
  })();
  return cleaning;
}

async function main(): Promise<void> {
  if (process.platform !== 'linux')
    throw new StartError('this test needs Linux: containers share its network');
  const engine = await dockerEngine(print);
  undo.push(engine.stop);
  const image = await buildImage(engine, print);
  undo.push(image.remove);
  claimsAboutImage(image);
  const [kafka, redis] = await Promise.all([
    startKafka({ progress: print }),
    startRedis({ progress: print }),
  ]);
  undo.push(() => Promise.all([kafka.stop(), redis.stop()]));
  const settings = {
    AUTH_MODE: 'none',
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_TOPIC: TOPIC,
    KAFKA_TOPIC_CREATE: 'true',
    REDIS_URL: redis.url,
  };
  await underLoad(await run(engine, image, '512m', settings), kafka);
  await idle(await run(engine, image, '192m', settings));
}

async function run(
  engine: DockerEngine,
  { name }: BuiltImage,
  memory: string,
  settings: Readonly<Record<string, string>>,
): Promise<Container> {
  const startedAt = performance.now();
  const container = await runContainer(engine, name, { memory, settings });
  undo.push(container.remove);
  await container.untilHealthy();
  print(`healthy with ${memory} of memory after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  return container;
}

function claimsAboutImage({ bytes, compressedBytes, labels }: BuiltImage): void {
  const megabytes = `${(bytes / 1e6).toFixed(0)} MB, ${(compressedBytes / 1e6).toFixed(0)} MB compressed`;
  claims.add(`the image is small: ${megabytes}`, compressedBytes < COMPRESSED_BYTES_MAX);
  const wanted = ['title', 'description', 'licenses', 'version', 'revision', 'source', 'base.name'];
  const missing = wanted.filter((name) => labels[`org.opencontainers.image.${name}`] === undefined);
  claims.add(`the image has its labels${missing.map((name) => ` but ${name}`)}`, missing.length === 0);
}

async function underLoad(container: Container, kafka: LocalKafka): Promise<void> {
  await claimsAboutProcess(container);
  await claimsAboutFiles(container);
  await claimBufferLimit(container, 64 * MiB);
  const load = new Load(container.port);
  await delay(LOAD_MS);
  const before = load.stored;
  claims.add(`it stores events under load: ${before} in ${LOAD_MS / 1_000} s`, before >= STORED_MIN);
  kafka.pause();
  await delay(HELD_MS);
  print(`stopping it, ${load.waiting} events waiting for Kafka`);
  const stopped = container.stop(args.signal);
  await delay(HELD_MS);
  kafka.resume();
  await stopped;
  await load.ended();
  const log = await container.log();
  const heardAt = log.find(({ msg }) => msg === 'stopping')?.time ?? Number.POSITIVE_INFINITY;
  const late = load.storedSince(heardAt);
  claims.add(`it settles what it had accepted: ${late} stored after SIGTERM`, late > 0);
  await claimSettled(container);

  const verdict = load.heldAgainst(await readTopic(kafka.brokers, TOPIC));
  const { stored, refused, unknown, unanswered, misplaced, phantom, silent } = verdict;
  print(`${stored} stored, ${refused} refused, ${unknown} unknown, ${unanswered} without an answer`);
  claims.add(`no sender is left without an answer: ${unanswered} are`, unanswered === 0);
  claims.add(
    `every stored event is where its answer says, once and as sent: ${misplaced} are not`,
    misplaced === 0,
  );
  claims.add(
    `refusals were among the answers, and none is in the topic: ${phantom} are`,
    refused > 0 && phantom === 0,
  );
  claims.add(`nothing is in the topic that nobody was told of: ${silent} are`, silent === 0);
  claims.add(
    `every answer is one that the service gives${load.surprises.slice(0, 3)}`,
    load.surprises.length === 0,
  );
}

async function idle(container: Container): Promise<void> {
  await claimBufferLimit(container, 32 * MiB);
  const startedAt = performance.now();
  await container.stop('TERM');
  const tookMs = performance.now() - startedAt;
  claims.add(`idle, it stops at once: ${Math.round(tookMs)} ms`, tookMs < IDLE_STOP_MS_MAX);
  await claimSettled(container);
}

async function claimsAboutProcess(container: Container): Promise<void> {
  const status = await container.processStatus();
  const [uid] = status.get('Uid')?.split('\t') ?? [];
  claims.add(`it is not root: user ${uid}`, uid !== undefined && Number(uid) > 0);
  claims.add('it is process 1 itself', status.get('NSpid')?.split('\t').at(-1) === '1');
  const mayNothing = ['CapEff', 'CapPrm', 'CapBnd'].every((name) => Number(`0x${status.get(name)}`) === 0);
  claims.add('it has no capability, and can get none', mayNothing && status.get('NoNewPrivs') === '1');
}

async function claimsAboutFiles(container: Container): Promise<void> {
  const write = "try{fs.writeFileSync('/tmp/x','');console.log('written')}catch(e){console.log(e.code)}";
  claims.add('its root is read-only', (await container.evaluate(write)) === 'EROFS');
  const npm =
    "console.log(fs.existsSync('/usr/local/lib/node_modules')||fs.existsSync('/app/node_modules/typescript'))";
  claims.add(
    'neither npm nor a development dependency is in it',
    (await container.evaluate(npm)) === 'false',
  );
  const page = await fetch(`http://127.0.0.1:${container.managementPort}/docs/static/swagger-ui-bundle.js`);
  const size = (await page.bytes()).length;
  claims.add(`it serves the API's documentation: ${page.status}, ${size} bytes`, page.ok && size > 100_000);
}

/** A sixth of the memory, and 64 MiB at most. */
async function claimBufferLimit(container: Container, wanted: number): Promise<void> {
  const limit = (await container.metrics()).get('dual_stream_buffer_bytes_limit');
  claims.add(`its buffer follows the memory limit: ${(limit ?? 0) / MiB} MiB`, limit === wanted);
}

async function claimSettled(container: Container): Promise<void> {
  const { code, wasOutOfMemory } = await container.exit();
  claims.add(`it ends with exit code 0: ${code}`, code === 0 && !wasOutOfMemory);
  const log = await container.log();
  claims.add('its last words are that all is settled', log.at(-1)?.msg === SETTLED);
}
