import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

interface Package {
  readonly license?: string;
  readonly dev?: boolean;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
}

const read = (name: string) => JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'));
const { packages } = read('package-lock.json') as { packages: Record<string, Package> };
const { dependencies, devDependencies } = read('package.json') as Record<
  'dependencies' | 'devDependencies',
  Record<string, string>
>;
/** What is part of the service, as others get it. */
const shipped = Object.entries(packages).filter(([path, { dev }]) => path !== '' && !dev);

/** Licences that ask for nothing but to be named, so that the service can be used and passed on by anybody. */
const LICENCES = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'MIT-0',
]);

describe('dependencies', () => {
  it('of the service have licences that let anybody use it', () => {
    assert.ok(shipped.length > 50);
    for (const [path, { license }] of shipped) assert.ok(LICENCES.has(license ?? ''), `${path}: ${license}`);
  });

  it('are held by their content, and not by where they came from', () => {
    for (const [path, { integrity, resolved }] of Object.entries(packages)) {
      if (path === '') continue;
      assert.match(integrity ?? '', /^sha512-/, path);
      assert.equal(resolved, undefined, path);
    }
  });

  it('run nothing when they are installed', () => {
    for (const [path, { hasInstallScript }] of shipped) assert.ok(!hasInstallScript, path);
  });

  it('are few, and kafkajs is exactly the one whose inner parts are used', () => {
    // OpenTelemetry comes in four parts, which are used together in one file.
    const parts = Object.keys(dependencies).map((name) => name.replace(/^(@opentelemetry)\/.*/, '$1'));
    assert.ok(new Set(parts).size <= 11, 'each needs a reason');
    assert.match(dependencies.kafkajs ?? '', /^\d+\.\d+\.\d+$/);
    for (const [name, range] of Object.entries({ ...dependencies, ...devDependencies }))
      assert.match(range, /^\^?\d+\.\d+\.\d+$/, name);
  });
});
