import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';

/** What several programs use, by its name; all other folders are programs. */
const THINGS = new Set(['http', 'kafka', 'store']);
const SRC = join(import.meta.dirname, '..', 'src');
const files = globSync('**/*.ts', { cwd: SRC }).map((path) => {
  const text = readFileSync(join(SRC, path), 'utf8');
  const imports = [...text.matchAll(/(?:from|import) '([^']+)'/g)].map(
    ([, specifier]) => specifier as string,
  );
  return { path, text, imports, program: path.includes('/') ? dirname(path) : undefined };
});

describe('structure', () => {
  it('reads the sources at all', () => {
    assert.ok(files.some(({ path }) => path === 'ingest/server.ts') && files.length > 20);
  });

  it('keeps the shared vocabulary free of programs', () => {
    for (const { path, imports, program } of files) {
      if (program !== undefined) continue;
      for (const specifier of imports.filter((each) => each.startsWith('.'))) {
        assert.match(specifier, /^\.\/[^/]+$/, `${path} imports ${specifier}`);
      }
    }
  });

  it('keeps programs apart, and what they share free of them', () => {
    for (const { path, imports, program } of files) {
      if (program === undefined) continue;
      for (const specifier of imports.filter((each) => each.startsWith('.'))) {
        const target = relative(SRC, resolve(SRC, dirname(path), specifier));
        const folder = dirname(target);
        const isAllowed: boolean =
          folder === '.' || folder === program || (THINGS.has(folder) && !THINGS.has(program));
        assert.ok(isAllowed, `${path} imports ${specifier}`);
      }
    }
  });

  it('lets each outside library in through one door', () => {
    const doors: [RegExp, RegExp][] = [
      [/^pg$/, /^postgres\.ts$/],
      [/^kafkajs/, /kafka/],
      [/^ioredis/, /^redis-/],
      [/^prom-client$/, /^metrics\.ts$/],
      [/^jose$/, /^jwt\.ts$/],
      [/^@opentelemetry/, /^tracing(-export)?\.ts$/],
    ];
    for (const [library, door] of doors) {
      const importers = files.filter(({ imports }) => imports.some((specifier) => library.test(specifier)));
      assert.ok(importers.length > 0, `nothing imports ${library}`);
      for (const { path } of importers) assert.match(basename(path), door, `${path} imports ${library}`);
    }
  });

  it('reads the environment in one place, called by the program that starts', () => {
    const readers = files.filter(({ text }) => text.includes('process.env')).map(({ path }) => path);
    assert.ok(readers.length > 1);
    for (const path of readers) assert.match(path, /^[a-z]+\/(server|replay)\.ts$/);
  });

  it('gives the core functions, not clients', () => {
    const core = new Set([
      'ingest/dual-publisher.ts',
      'ingest/lanes.ts',
      'ingest/lane.ts',
      'ingest/lane-map.ts',
      'ingest/availability.ts',
      'processor/event-processor.ts',
      'processor/event-writer.ts',
    ]);
    for (const { path, text } of files.filter(({ path: each }) => core.has(each))) {
      const values = [...text.matchAll(/^import (?!type)[^;]*from '([^']+)'/gms)].map(
        ([, specifier]) => specifier,
      );
      for (const specifier of values) {
        assert.doesNotMatch(
          specifier as string,
          /kafka-|redis-|fastify|ioredis|pino/,
          `${path} imports ${specifier}`,
        );
      }
    }
  });
});
