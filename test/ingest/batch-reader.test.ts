import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BatchFormat, readBatch } from '../../src/ingest/batch-reader.ts';

const LIMITS = { eventBytesMax: 900_000, eventsMax: 10_000 };
const EVENT = '{"id":"e1","type":"t","source_type":"user","source_id":"s"}';

const event = (id: string) => EVENT.replace('e1', id);

/** The ids of a batch that was read, or the code for which all of it is refused. */
async function read(text: string, format: BatchFormat): Promise<readonly (string | undefined)[] | string> {
  const items = await readBatch(Buffer.from(text), format, LIMITS);
  return 'code' in items ? items.code : items.map((item) => ('code' in item ? item.code : item.id));
}

describe('a batch in UTF-8', () => {
  it('keeps names beyond ASCII as they are, since they become keys and channels', async () => {
    assert.deepEqual(await read(`[${EVENT},${event('müller')},${event('😀')}]`, 'json'), [
      'e1',
      'müller',
      '😀',
    ]);
    assert.deepEqual(await read(`${EVENT}\n${event('müller')}\n${event('😀')}`, 'ndjson'), [
      'e1',
      'müller',
      '😀',
    ]);
  });

  it('keeps them also beside a line that is not UTF-8', async () => {
    const body = Buffer.concat([Buffer.from(`${event('müller')}\n`), Buffer.from([0x22, 0xff, 0x22])]);
    const items = await readBatch(body, 'ndjson', LIMITS);
    assert.ok(!('code' in items));
    assert.deepEqual(
      items.map((item) => ('code' in item ? item.code : item.id)),
      ['müller', 'invalid-utf8'],
    );
  });
});

describe('a batch with much white space', () => {
  // White space is skipped in pieces, of 16 KiB; one more, one less and all of it must mean the same.
  for (const length of [16_383, 16_384, 16_385, 32_768, 100_000]) {
    const space = ' '.repeat(length);
    const lines = '\n'.repeat(length);

    it(`is read as it would be without ${length} bytes of it`, async () => {
      assert.deepEqual(
        await read(`${space}[${space}${EVENT}${space},${space}${EVENT}${space}]${space}`, 'json'),
        ['e1', 'e1'],
      );
      assert.deepEqual(await read(`${lines}${EVENT}${lines}${EVENT}${lines}`, 'ndjson'), ['e1', 'e1']);
    });

    it(`is refused as it would be without ${length} bytes of it`, async () => {
      assert.equal(await read(space, 'json'), 'empty-body');
      assert.equal(await read(lines, 'ndjson'), 'empty-body');
      assert.equal(await read(`${space}[${space}]${space}`, 'json'), 'batch-empty');
      assert.equal(await read(`[${EVENT},${space}]`, 'json'), 'malformed-json');
      assert.equal(await read(`[${EVENT}${space}`, 'json'), 'malformed-json');
      assert.equal(await read(`[${EVENT}]${space},`, 'json'), 'malformed-json');
    });
  }

  for (const format of ['json', 'ndjson'] as const) {
    it(`lets others have their turn, as ${format}`, async () => {
      let turns = 0;
      const count = () => {
        turns += 1;
        counting = setImmediate(count);
      };
      let counting = setImmediate(count);
      assert.equal(await read('\n'.repeat(40 << 20), format), 'empty-body');
      clearImmediate(counting);
      assert.ok(turns >= 2, `${turns} turns of the event loop`);
    });
  }
});
