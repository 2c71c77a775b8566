import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { describe, it } from 'node:test';
import { compare, type Interventions, judgeStore, type StoredRow } from './store-judge.ts';
import { TopicContents } from './topic-contents.ts';

const NOTHING: Interventions = { lost: [], deleted: new Set(), replayedBehind: [] };

const bytesOf = (id: string, edition = 0) =>
  Buffer.from(`{"id":"${id}","source_type":"t","source_id":"s","data":${edition}}`);

/** A topic of one partition: events by their id, `a!` for a copy that says something else, `?` for what is none. */
function topicOf(...records: readonly string[]): TopicContents {
  const contents = new TopicContents();
  records.forEach((record, offset) => {
    const isUnreadable = record === '?';
    const value = isUnreadable ? null : bytesOf(record.replace('!', ''), record.endsWith('!') ? 1 : 0);
    const key = Buffer.from(isUnreadable ? 'unreadable' : 's');
    contents.add({ partition: 0, offset, key, value, headers: new Map() });
  });
  return contents;
}

function row(seq: number, id: string, offset: number, edition = 0): StoredRow {
  return { seq, partition: 0, offset, identity: `t s ${id}`, digest: hash('md5', bytesOf(id, edition)) };
}

/** The names of what does not hold. `seen`: what the reader of the tail saw; left out, all of it. */
function failures(
  contents: TopicContents,
  rows: readonly StoredRow[],
  { seen = rows, ...interventions }: Partial<Interventions> & { seen?: readonly StoredRow[] } = {},
): string[] {
  const bySeq = new Map(seen.map((each) => [each.seq, each]));
  const verdict = compare(contents, rows, bySeq, { ...NOTHING, ...interventions });
  return judgeStore(verdict).flatMap(({ name, isTrue }) => (isTrue ? [] : [name]));
}

describe('what the store is judged by', () => {
  const contents = topicOf('a', 'b', 'a!', '?', 'c');
  const rows = [row(1, 'a', 0), row(2, 'b', 1), row(5, 'c', 4)];

  it('is content with the first copy of each event, in the order of the log', () => {
    assert.deepEqual(failures(contents, rows), []);
    const { records, events, copies, conflicts, unreadable } = compare(contents, rows, new Map(), NOTHING);
    assert.deepEqual([records, events, copies, conflicts, unreadable], [5, 3, 1, 1, 1]);
  });

  it('notices an event that is missing, invented or there twice', () => {
    assert.deepEqual(failures(contents, rows.slice(1)), ['rows', 'missing']);
    assert.deepEqual(failures(contents, [...rows, row(6, 'd', 5)]), ['rows', 'invented']);
    assert.deepEqual(failures(contents, [...rows, row(6, 'c', 4)]), ['rows', 'twice']);
  });

  it('notices the last copy in place of the first, and bytes of no record', () => {
    const last = [row(1, 'b', 1), row(2, 'a', 2, 1), row(3, 'c', 4)];
    assert.deepEqual(failures(contents, last), ['not the first copy']);
    assert.deepEqual(failures(contents, [row(1, 'a', 0, 1), ...rows.slice(1)]), ['other bytes']);
  });

  it('notices another order than that of the log, unless it was read again', () => {
    const behind = [row(2, 'b', 1), row(5, 'c', 4), row(6, 'a', 0)];
    assert.deepEqual(failures(contents, behind), ['order breaks']);
    assert.deepEqual(failures(contents, behind, { replayedBehind: [5] }), []);
  });

  it('notices what the reader of the tail did not see, saw otherwise, or saw before it was gone', () => {
    assert.deepEqual(failures(contents, rows, { seen: rows.slice(1) }), ['passed over by the tail']);
    const otherwise = [row(1, 'a', 0, 1), ...rows.slice(1)];
    assert.deepEqual(failures(contents, rows, { seen: otherwise }), ['changed since seen']);
    const more = [...rows, row(6, 'd', 5)];
    assert.deepEqual(failures(contents, rows, { seen: more }), ['seen and gone']);
    assert.deepEqual(failures(contents, rows, { seen: more, deleted: new Set([6]) }), []);
  });

  it('forgives what Kafka removed before it could be stored, and expects the next copy instead', () => {
    const lost = [{ partition: 0, from: 0, to: 2 }];
    assert.deepEqual(failures(contents, [row(1, 'a', 2, 1), row(2, 'c', 4)], { lost }), []);
  });

  it('accepts either of two copies where the number of partitions was raised between them', () => {
    const both = topicOf('a');
    both.add({ partition: 1, offset: 0, key: null, value: bytesOf('a', 1), headers: new Map() });
    assert.deepEqual(failures(both, [row(1, 'a', 0)]), []);
    assert.deepEqual(failures(both, [{ ...row(1, 'a', 0, 1), partition: 1 }]), []);
  });
});
