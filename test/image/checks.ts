import { setTimeout as delay } from 'node:timers/promises';
import type { BuiltImage } from '../../dev/image.ts';
import type { LocalKafka } from '../../dev/local-kafka.ts';
import { readTopic } from '../integration/topic-reader.ts';
import type { Claims } from './claims.ts';
import type { Container } from './container.ts';
import { Load } from './load.ts';

/** How a container is stopped under load. */
interface Stop {
  /** Held still around the signal, so that every sender waits for its answer when it comes. */
  readonly kafka: LocalKafka;
  readonly signal: string;
}

const COMPRESSED_BYTES_MAX = 200e6;
const MiB = 1024 * 1024;
const LOAD_MS = 4_000;
const STORED_MIN = 1_000;
const HELD_MS = 500;
const IDLE_STOP_MS_MAX = 5_000;
const ENTRY = 'dist/ingest/server.js';
const SETTLED = 'stopped; everything that was accepted is settled';

export function claimsAboutImage(claims: Claims, { bytes, compressedBytes, labels }: BuiltImage): void {
  const megabytes = `${(bytes / 1e6).toFixed(0)} MB, ${(compressedBytes / 1e6).toFixed(0)} MB compressed`;
  claims.add(`the image is small: ${megabytes}`, compressedBytes < COMPRESSED_BYTES_MAX);
  const wanted = ['title', 'description', 'licenses', 'version', 'revision', 'source', 'base.name'];
  const missing = wanted.filter((name) => labels[`org.opencontainers.image.${name}`] === undefined);
  claims.add(`the image has its labels${missing.map((name) => ` but ${name}`)}`, missing.length === 0);
}

/** Stops it in the middle of a load. */
export async function underLoad(
  claims: Claims,
  container: Container,
  { kafka, signal }: Stop,
): Promise<void> {
  await claimsAboutProcess(claims, container);
  await claimsAboutFiles(claims, container);
  await claimBufferLimit(claims, container, 64 * MiB);
  const load = new Load(container.port);
  await delay(LOAD_MS);
  const before = load.events.stored;
  claims.add(`it stores events under load: ${before} in ${LOAD_MS / 1_000} s`, before >= STORED_MIN);
  kafka.pause();
  await delay(HELD_MS);
  const waiting = load.events.unanswered;
  await Promise.all([container.stop(signal), delay(HELD_MS).then(() => kafka.resume())]);
  await load.ended();
  const log = await container.log();
  const heardAt = log.find(({ msg }) => msg === 'stopping')?.time ?? Number.POSITIVE_INFINITY;
  const late = load.events.storedSince(heardAt);
  claims.add(`it settles what it had accepted: ${late} of ${waiting} waiting stored after SIGTERM`, late > 0);
  await claimSettled(claims, container);

  const verdict = load.events.heldAgainst(await readTopic(kafka.brokers, 'events'));
  const { stored, refused, unknown, unanswered, misplaced, phantom, silent } = verdict;
  claims.add(
    `every sender has its answer: ${stored} stored, ${refused} refused, ${unknown} unknown, ${unanswered} without`,
    unanswered === 0,
  );
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
    `every answer is one that the service gives${load.events.surprises.slice(0, 3)}`,
    load.events.surprises.length === 0,
  );
}

/** Stops it when it has nothing to do. */
export async function idle(claims: Claims, container: Container): Promise<void> {
  await claimBufferLimit(claims, container, 32 * MiB);
  const startedAt = performance.now();
  await container.stop('TERM');
  const tookMs = performance.now() - startedAt;
  claims.add(`idle, it stops at once: ${Math.round(tookMs)} ms`, tookMs < IDLE_STOP_MS_MAX);
  await claimSettled(claims, container);
}

async function claimsAboutProcess(claims: Claims, container: Container): Promise<void> {
  const status = await container.processStatus();
  const [uid] = status.get('Uid')?.split('\t') ?? [];
  claims.add(`it is not root: user ${uid}`, uid !== undefined && Number(uid) > 0);
  const command = await container.command();
  claims.add(`it is process 1 itself: ${command[0]}`, command[0] === 'node' && command.at(-1) === ENTRY);
  claims.add('no process is left to it', (await container.children()).length === 0);
  const mayNothing = ['CapEff', 'CapPrm', 'CapBnd'].every((name) => Number(`0x${status.get(name)}`) === 0);
  claims.add('it has no capability, and can get none', mayNothing && status.get('NoNewPrivs') === '1');
}

async function claimsAboutFiles(claims: Claims, container: Container): Promise<void> {
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
async function claimBufferLimit(claims: Claims, container: Container, wanted: number): Promise<void> {
  const limit = (await container.metrics()).get('dual_stream_buffer_bytes_limit');
  claims.add(`its buffer follows the memory limit: ${(limit ?? 0) / MiB} MiB`, limit === wanted);
}

async function claimSettled(claims: Claims, container: Container): Promise<void> {
  const { code, wasOutOfMemory } = await container.exit();
  claims.add(`it ends with exit code 0: ${code}`, code === 0 && !wasOutOfMemory);
  const log = await container.log();
  claims.add('its last words are that all is settled', log.at(-1)?.msg === SETTLED);
}
