import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mutants } from './mutants.ts';

/** Loaded before the processor (`node --import`): puts the fault of the mutant in MUTANT into its sources. */

const SRC = pathToFileURL(join(import.meta.dirname, '..', '..', 'src')).href;

const mutant = mutants.find(({ name }) => name === process.env.MUTANT);
if (mutant === undefined) throw new Error(`there is no mutant ${process.env.MUTANT}`);

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const patches = mutant.patches.filter(({ file }) => url === `${SRC}/${file}`);
    if (patches.length === 0) return loaded;
    let source = String(loaded.source instanceof Uint8Array ? Buffer.from(loaded.source) : loaded.source);
    for (const { file, replaced, by } of patches) {
      if (source.split(replaced).length !== 2) throw new Error(`${mutant.name} does not fit ${file}`);
      source = source.replace(replaced, () => by);
    }
    return { ...loaded, source };
  },
});
