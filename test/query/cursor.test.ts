import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type CursorScope, Cursors } from '../../src/query/cursor.ts';

const STORE = { epoch: '7b6b0c7e-6f0e-4b7e-9d55-0f3f5f9f0a11', cursorKey: Buffer.alloc(32, 7) };
const SCOPE: CursorScope = { sourceType: 'repo', sourceId: 'octocat/hello-world', type: undefined };
const cursors = new Cursors(STORE);

describe('a cursor', () => {
  it('leads to the seq it was made from, and is made the same by every instance', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 63n - 1n), (seq) => {
        const cursor = cursors.make(SCOPE, seq);
        assert.equal(cursors.read(SCOPE, cursor), seq);
        assert.equal(new Cursors(STORE).make(SCOPE, seq), cursor);
        assert.match(cursor, /^[A-Za-z0-9_-]{50}$/);
      }),
    );
  });

  it('holds for its source and its type alone', () => {
    const cursor = cursors.make(SCOPE, 42n);
    for (const change of [
      { sourceType: 'user' },
      { sourceId: 'octocat' },
      { type: 'push' },
      // The same texts, divided in another way.
      { sourceType: 'repo","octocat', sourceId: 'hello-world' },
      { type: 'null' },
    ]) {
      assert.equal(cursors.read({ ...SCOPE, ...change }, cursor), undefined, JSON.stringify(change));
    }
    const ofType = cursors.make({ ...SCOPE, type: 'push' }, 42n);
    assert.equal(cursors.read({ ...SCOPE, type: 'push' }, ofType), 42n);
    assert.equal(cursors.read(SCOPE, ofType), undefined);
  });

  it('holds in its store alone', () => {
    const cursor = cursors.make(SCOPE, 42n);
    const otherEpoch = new Cursors({ ...STORE, epoch: '00000000-6f0e-4b7e-9d55-0f3f5f9f0a11' });
    const otherKey = new Cursors({ ...STORE, cursorKey: Buffer.alloc(32, 8) });
    assert.equal(otherEpoch.read(SCOPE, cursor), undefined);
    assert.equal(otherKey.read(SCOPE, cursor), undefined);
  });

  it('is refused when any byte of it was altered', () => {
    const bytes = Buffer.from(cursors.make(SCOPE, 42n), 'base64url');
    for (const index of bytes.keys()) {
      for (const bit of [1, 128]) {
        const altered = Buffer.from(bytes);
        altered[index] = (bytes[index] as number) ^ bit;
        assert.equal(cursors.read(SCOPE, altered.toString('base64url')), undefined, `byte ${index}`);
      }
    }
  });

  it('is refused when it is longer, shorter, or written in another way', () => {
    const cursor = cursors.make(SCOPE, 42n);
    const last = cursor.at(-1) as string;
    const sameBytes = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'].filter(
      (letter) =>
        letter !== last &&
        Buffer.from(cursor.slice(0, -1) + letter, 'base64url').equals(Buffer.from(cursor, 'base64url')),
    );
    assert.ok(sameBytes.length > 0);
    for (const given of [
      ...sameBytes.map((letter) => cursor.slice(0, -1) + letter),
      '',
      'A',
      cursor.slice(0, -2),
      `${cursor}AA`,
      `${cursor}==`,
      ` ${cursor}`,
      `${cursor.slice(0, 20)}\n${cursor.slice(20)}`,
      `${cursor}${'A'.repeat(1_000_000)}`,
      'ä'.repeat(50),
    ]) {
      assert.equal(cursors.read(SCOPE, given), undefined, given.slice(0, 60));
    }
  });

  it('looks like the examples in the document', () => {
    const text = readFileSync(join(import.meta.dirname, '../../openapi/query.yaml'), 'utf8');
    const examples = [...text.matchAll(/(?:example|before|after): (A\S+)$/gm)].map(
      ([, cursor = '']) => cursor,
    );
    assert.ok(examples.length >= 4);
    for (const cursor of examples) assert.equal(cursor.length, cursors.make(SCOPE, 1n).length);
  });

  it('does not show what it leads to, nor how far two are apart', () => {
    const [one, two] = [1n, 2n].map((seq) => Buffer.from(cursors.make(SCOPE, seq), 'base64url'));
    assert.ok(one && two);
    const equal = one.filter((byte, index) => byte === two[index]).length;
    assert.ok(equal < 6, `${equal} bytes are equal`);
  });
});
