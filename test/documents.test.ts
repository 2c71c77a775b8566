import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
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

  it('call scripts and lead to files that are there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const paths = globSync(
      ['*.md', 'docs/**/*.md', 'examples/**/*.md', 'helm/**/*.md', '.github/workflows/*', '.ci/run'],
      {
        cwd: ROOT,
      },
    );
    assert.ok(paths.length > 10);
    let links = 0;
    for (const path of paths) {
      const text = read(path);
      for (const [, script = ''] of text.matchAll(/npm run (?:-s )?([a-z][\w:-]*)/g))
        assert.ok(scripts[script], `${path}: npm run ${script}`);
      for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
        links += 1;
        assert.ok(existsSync(join(ROOT, dirname(path), target)), `${path}: ${target}`);
      }
    }
    assert.ok(links > 20);
  });

  it('map every source file in ARCHITECTURE.md', () => {
    const map = read('ARCHITECTURE.md');
    const files = globSync('**/*.ts', { cwd: join(ROOT, 'src') }).map((path) => basename(path));
    assert.ok(files.length > 30);
    const unnamed = files.filter((file) => !map.includes(file) && !file.endsWith('.d.ts'));
    assert.deepEqual(unnamed, []);
  });
});
