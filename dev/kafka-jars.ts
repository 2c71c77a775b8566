import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { fetchByMaven } from './fetched-folder.ts';
import { LOCAL_FOLDER } from './folders.ts';
import { findOnPath, isExecutable } from './on-path.ts';
import type { Progress } from './progress.ts';
import { MissingProgramError } from './start-error.ts';

const POM = join(import.meta.dirname, 'kafka', 'pom.xml');
const TOOLS_POM = join(import.meta.dirname, 'kafka', 'tools-pom.xml');

/** The version that the pom asks for. */
export const KAFKA_VERSION = /<kafka\.version>([^<]+)</.exec(readFileSync(POM, 'utf8'))?.[1] ?? 'unknown';

/** Kafka 4 brokers need this one. */
const JAVA_VERSION_MIN = 17;

/** What it takes to run Kafka's own programs. */
export interface KafkaJars {
  readonly java: string;
  readonly classPath: string;
}

/** Finds Java, and fetches Kafka's jars on the first call in a clone. */
export async function kafkaJars(progress: Progress): Promise<KafkaJars> {
  const java = await findJava();
  const folder = join(LOCAL_FOLDER, `kafka-${KAFKA_VERSION}`, 'libs');
  await fetchByMaven({
    folder,
    name: `Kafka ${KAFKA_VERSION}`,
    progress,
    mavenArgs: (output) => [
      '-q',
      '-B',
      '-f',
      POM,
      'dependency:copy-dependencies',
      `-DoutputDirectory=${output}`,
    ],
  });
  return { java, classPath: join(folder, '*') };
}

/** The same with Kafka's own tools, which the broker does not need. */
export async function kafkaToolsJars(progress: Progress): Promise<KafkaJars> {
  const { java, classPath } = await kafkaJars(progress);
  const folder = join(LOCAL_FOLDER, `kafka-${KAFKA_VERSION}`, 'tools');
  await fetchByMaven({
    folder,
    name: `Kafka's tools ${KAFKA_VERSION}`,
    progress,
    mavenArgs: (output) => [
      '-q',
      '-B',
      '-f',
      TOOLS_POM,
      `-Dkafka.version=${KAFKA_VERSION}`,
      'dependency:copy-dependencies',
      // The rest is among the broker's jars.
      '-DexcludeTransitive=true',
      `-DoutputDirectory=${output}`,
    ],
  });
  return { java, classPath: [join(folder, '*'), classPath].join(delimiter) };
}

/** Java from JAVA_HOME or the PATH; a MissingProgramError says what is wrong with it. */
export async function findJava(): Promise<string> {
  const home = process.env.JAVA_HOME;
  const ofHome = home ? join(home, 'bin', 'java') : '';
  const java = isExecutable(ofHome) ? ofHome : findOnPath('java');
  const needed = `Kafka needs Java ${JAVA_VERSION_MIN} or later`;
  if (java === undefined) throw new MissingProgramError(`${needed}, and there is no java on the PATH`);
  const version = await javaVersion(java);
  // macOS has a java that only says that there is none.
  if (version === undefined) throw new MissingProgramError(`${needed}, and ${java} does not run`);
  if (version < JAVA_VERSION_MIN) throw new MissingProgramError(`${needed}, and ${java} is Java ${version}`);
  return java;
}

async function javaVersion(java: string): Promise<number | undefined> {
  try {
    const { stderr } = await promisify(execFile)(java, ['-version'], { timeout: 10_000 });
    // 1.8.0_402 and earlier count from 1: that 1 is old enough to be refused.
    return Number(/version "(\d+)/.exec(stderr)?.[1] ?? Number.NaN) || undefined;
  } catch {
    return undefined;
  }
}
