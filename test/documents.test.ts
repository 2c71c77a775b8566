import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { generatedDocuments } from '../dev/generate.ts';
import { SERVICE_FLAGS } from '../dev/service.ts';

const ROOT = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

describe('documents', () => {
  it('are what the generators write (npm run generate)', async () => {
    for (const [path, text] of await generatedDocuments()) assert.equal(read(path), text, `${path} is stale`);
  });

  it('start the service with the same flags everywhere', () => {
    assert.ok(read('package.json').includes(`exec node ${SERVICE_FLAGS.join(' ')} dist/ingest/server.js`));
    const words = ['node', ...SERVICE_FLAGS, 'dist/ingest/server.js'];
    assert.ok(read('Dockerfile').includes(`CMD [${words.map((word) => `"${word}"`).join(', ')}]`));
  });

  it('map every source file in ARCHITECTURE.md', () => {
    const map = read('ARCHITECTURE.md');
    const files = globSync('**/*.ts', { cwd: join(ROOT, 'src') }).map((path) => basename(path));
    assert.ok(files.length > 30);
    const unnamed = files.filter((file) => !map.includes(file) && !file.endsWith('.d.ts'));
    // Two small ones whose names say all there is to say.
    assert.deepEqual(unnamed.toSorted(), ['failure-log.ts', 'request-id.ts']);
  });
});
