import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { generatedDocuments } from '../dev/generate.ts';

const ROOT = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

describe('documents', () => {
  it('are what the generators write (npm run generate)', async () => {
    for (const [path, text] of await generatedDocuments()) assert.equal(read(path), text, `${path} is stale`);
  });

  it('map every source file in ARCHITECTURE.md', () => {
    const map = read('ARCHITECTURE.md');
    for (const path of ['event.ts', 'config.ts', 'ingest/', 'lanes.ts', 'redis-notifier.ts'])
      assert.ok(map.includes(path));
  });
});
