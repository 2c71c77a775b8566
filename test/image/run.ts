import { parseArgs } from 'node:util';
import { type DockerEngine, dockerEngine } from '../../dev/docker-engine.ts';
import { type BuiltImage, buildImage } from '../../dev/image.ts';
import { startKafka } from '../../dev/local-kafka.ts';
import { startRedis } from '../../dev/local-redis.ts';
import { StartError } from '../../dev/start-error.ts';
import { claimsAboutImage, idle, underLoad } from './checks.ts';
import { Claims } from './claims.ts';
import { type Container, runContainer } from './container.ts';

/**
 * `npm run test:image [-- --signal KILL]`: builds the image, runs it as strictly as a cluster does, on a real Kafka and a
 * real Redis, stops it in the middle of a load, and holds every answer against the topic. Another signal than TERM shows
 * that the checks notice what a lost answer looks like.
 */

const EXIT_INTERRUPTED = 130;

const print = (line: string) => process.stdout.write(`${line}\n`);
const { values: args } = parseArgs({
  options: { signal: { type: 'string', default: 'TERM' }, install: { type: 'boolean' } }, // see apt-install.ts
});
const claims = new Claims(print);
const undo: (() => Promise<unknown>)[] = [];
let cleaning: Promise<boolean> | undefined;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void cleanUp().finally(() => process.exit(EXIT_INTERRUPTED)));
}

try {
  await main();
  claims.add('nothing is left behind', await cleanUp());
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

/** Once, in the reverse order, whatever fails. Returns whether nothing did. */
function cleanUp(): Promise<boolean> {
  cleaning ??= (async () => {
    let isDone = true;
    for (const each of undo.toReversed()) {
      await each().catch((error: Error) => {
        isDone = false;
        process.stderr.write(`image: ${error.message}\n`);
      });
    }
    return isDone;
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
  claimsAboutImage(claims, image);
  const [kafka, redis] = await Promise.all([
    startKafka({ progress: print }),
    startRedis({ progress: print }),
  ]);
  undo.push(() => Promise.all([kafka.stop(), redis.stop()]));
  const settings = {
    AUTH_MODE: 'none',
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_TOPIC: 'events',
    KAFKA_TOPIC_CREATE: 'true',
    REDIS_URL: redis.url,
  };
  await underLoad(claims, await run(engine, image, '512m', settings), { kafka, signal: args.signal });
  await idle(claims, await run(engine, image, '192m', settings));
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
