import { join } from 'node:path';
import { kafkaJars } from '../../dev/kafka-jars.ts';

/** The command that runs a Java program of this folder, compiled as it starts, with Kafka's own libraries. */
export async function javaCommand(
  program: string,
  args: readonly string[],
): Promise<{ command: string; args: string[] }> {
  const { java, classPath } = await kafkaJars(() => {});
  return {
    command: java,
    args: [
      '-Xmx256m',
      '-XX:TieredStopAtLevel=1',
      '-XX:-UsePerfData',
      // What it prints is an answer to read.
      '-Dlog4j2.level=OFF',
      '-cp',
      classPath,
      join(import.meta.dirname, program),
      ...args,
    ],
  };
}
