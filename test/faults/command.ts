import type { Assertion } from './judge.ts';

/** What the commands that run scenarios and mutants have in common. */

/** A fault that needs a race to show gets another chance to show it. */
const MUTANT_RUNS_MAX = 3;

export const print = (line: string) => void process.stdout.write(`${line}\n`);

/** A number of the command line, if it is there. */
export function given(value: string | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

/** Those with these names, with commas between them, or `all`. @throws Error for a name that nobody has */
export function named<T extends { readonly name: string }>(all: readonly T[], names: string): readonly T[] {
  if (names === 'all') return all;
  return names.split(',').map((name) => {
    const found = all.find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no ${name}; --list names what there is`);
    return found;
  });
}

/** Whether the known fault of a mutant shows in the assertions that are to catch it. */
export async function isCaught(
  mutant: { readonly name: string; readonly summary: string; readonly caughtBy: readonly string[] },
  attempt: () => Promise<readonly Assertion[]>,
): Promise<boolean> {
  print(`mutant ${mutant.name}: ${mutant.summary}`);
  for (let run = 1; run <= MUTANT_RUNS_MAX; run += 1) {
    const assertions = await attempt();
    const caughtBy = assertions.filter(({ name, isTrue }) => !isTrue && mutant.caughtBy.includes(name));
    const how = caughtBy.map(({ name, found }) => `${name} ${found}`).join(', ');
    if (how !== '') {
      print(`caught: mutant ${mutant.name} by ${how}, in run ${run}\n`);
      return true;
    }
    print(`NOT CAUGHT: mutant ${mutant.name}, in run ${run} of ${MUTANT_RUNS_MAX}\n`);
  }
  return false;
}

/** Counts what holds, says it in a line at the end, and ends with 1 if something does not. */
export async function countAll(run: (count: (isTrue: boolean) => void) => Promise<void>): Promise<void> {
  let passed = 0;
  let failed = 0;
  await run((isTrue) => {
    if (isTrue) passed += 1;
    else failed += 1;
  });
  print(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
