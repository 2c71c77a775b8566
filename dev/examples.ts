import { goCompiler } from './go-compiler.ts';
import { pythonOfExamples } from './python-tools.ts';
import { StartError } from './start-error.ts';

/** Fetches and compiles what the examples in README.md and docs/ need, so that no test has to wait for it. */

const say = (line: string) => console.log(`examples: ${line}`);

try {
  say(`Python with packages: ${await pythonOfExamples(say)}`);
  say(`Go: ${await goCompiler(say)}`);
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  console.error(`examples: ${error.message}`);
  process.exitCode = 1;
}
