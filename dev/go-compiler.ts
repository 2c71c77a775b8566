import { startChild } from './child.ts';
import { findOnPath } from './on-path.ts';
import { type Progress, reportElapsed } from './progress.ts';
import { MissingProgramError, StartError } from './start-error.ts';

/**
 * Go from the PATH, with its standard library compiled as far as the examples import it. Go ships it as sources; several
 * `go run` at the same time would each compile all of it.
 */
export async function goCompiler(progress: Progress): Promise<string> {
  const go = findOnPath('go');
  if (go === undefined) {
    throw new MissingProgramError(
      'the examples need Go 1.19 or later, and there is no go on the PATH (on Debian: apt-get install golang-go)',
    );
  }
  const stopReporting = reportElapsed(progress, 'Go: compiling its standard library');
  const child = startChild({
    command: go,
    args: ['build', 'net/http', 'encoding/json', 'log'],
    output: 'pipe',
  });
  const complaints: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => complaints.push(text));
  child.stdout?.resume();
  const { code } = await child.exit;
  stopReporting();
  if (code !== 0) throw new StartError(`${go} cannot compile its standard library: ${complaints.join('')}`);
  return go;
}
