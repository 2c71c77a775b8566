import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { mutants } from './mutants.ts';
import { scenarios } from './scenarios.ts';

const SRC = join(import.meta.dirname, '..', '..', 'src');

describe('mutants of the event processor', () => {
  for (const { name, scenario, patches } of mutants) {
    it(`${name} fits the sources`, () => {
      assert.ok(scenarios.some((each) => each.name === scenario));
      for (const { file, replaced } of patches) {
        const parts = readFileSync(join(SRC, file), 'utf8').split(replaced);
        assert.equal(parts.length, 2, `${replaced} in ${file}`);
      }
    });
  }
});
