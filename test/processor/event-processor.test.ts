import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import {
  type DeadLetter,
  EventProcessor,
  type LogRange,
  type ProcessorReport,
  type RecordsOfPartition,
} from '../../src/processor/event-processor.ts';
import type { PartitionWrite, WriteOutcome } from '../../src/processor/event-writer.ts';
import type { TopicRecord } from '../../src/processor/record-reader.ts';

const ALIVE = { isCurrent: () => true, heartbeat: async () => {} };
const NOW = 1_700_000_000_000;

/** What the store and Kafka hold, and what was asked of them. */
let stored: Map<number, number>;
let ranges: Map<number, LogRange>;
let writes: PartitionWrite[];
let letters: DeadLetter[];
let seeks: [partition: number, offset: number][];
let reports: string[];
let positionsRead: number;
let write: (write: PartitionWrite) => Promise<WriteOutcome>;
let sendDeadLetters: (letters: readonly DeadLetter[]) => Promise<number>;

beforeEach(() => {
  stored = new Map();
  ranges = new Map([
    [0, { low: 0, high: 1_000 }],
    [1, { low: 0, high: 1_000 }],
  ]);
  writes = [];
  letters = [];
  seeks = [];
  reports = [];
  positionsRead = 0;
  write = async ({ partition, from, next, ...rest }) => {
    if (stored.get(partition) !== from) return 'moved';
    stored.set(partition, next);
    writes.push({ partition, from, next, ...rest });
    return 'stored';
  };
  sendDeadLetters = async (sent) => {
    letters.push(...sent);
    return sent.length;
  };
});

function newProcessor(): EventProcessor {
  const report: ProcessorReport = {
    processed: () => {},
    trouble: (partition, fault) => fault && reports.push(`trouble ${partition} ${fault.message}`),
    lost: (partition, from, to) => reports.push(`lost ${partition} ${from} ${to}`),
    truncated: (partition, position, high) => reports.push(`truncated ${partition} ${position} ${high}`),
    empty: (partition, from, to) => reports.push(`empty ${partition} ${from} ${to}`),
  };
  return new EventProcessor({
    readPositions: async (partition) => {
      positionsRead += 1;
      return new Map([...stored].filter(([each]) => partition === undefined || each === partition));
    },
    addPosition: async (partition, next) => {
      if (!stored.has(partition)) stored.set(partition, next);
    },
    movePosition: async ({ partition, from, next }) => {
      if (stored.get(partition) !== from) return false;
      stored.set(partition, next);
      return true;
    },
    logRanges: async () => ranges,
    seek: (partition, offset) => seeks.push([partition, offset]),
    write: (given) => write(given),
    sendDeadLetters: (sent) => sendDeadLetters(sent),
    pause: async () => {},
    report,
  });
}

const recordAt = (offset: number, changes: Partial<TopicRecord> = {}): TopicRecord => ({
  partition: 0,
  offset,
  timestampMs: NOW,
  key: Buffer.from('octocat'),
  value: Buffer.from(
    `{"id":"e${offset}","type":"push","source_type":"user","source_id":"octocat","time":"2026-11-23T12:00:00Z"}`,
  ),
  headers: {},
  ...changes,
});

function records(from: number, next: number): RecordsOfPartition {
  const all = Array.from({ length: next - from }, (_, index) => recordAt(from + index));
  return { partition: 0, from, next, records: all };
}

const offsetsWritten = () => writes.flatMap(({ events }) => events.map(({ offset }) => offset));

describe('the event processor', () => {
  it('begins a partition that is new to the store at the first record that Kafka has', async () => {
    ranges.set(0, { low: 40, high: 1_000 });
    const processor = newProcessor();
    assert.equal(await processor.take(records(40, 42), ALIVE), 'stored');
    assert.deepEqual(offsetsWritten(), [40, 41]);
    assert.equal(stored.get(0), 42);
  });

  it('goes on behind what it stored without asking where that was', async () => {
    const processor = newProcessor();
    await processor.take(records(0, 3), ALIVE);
    const readBefore = positionsRead;
    await processor.take(records(3, 5), ALIVE);
    assert.equal(positionsRead, readBefore);
    assert.deepEqual(offsetsWritten(), [0, 1, 2, 3, 4]);
  });

  it('seeks where the store is, and stores nothing of what was not the next', async () => {
    stored.set(0, 10);
    const processor = newProcessor();
    for (const from of [0, 20]) assert.equal(await processor.take(records(from, from + 5), ALIVE), 'sought');
    assert.deepEqual(seeks, [
      [0, 10],
      [0, 10],
    ]);
    assert.deepEqual(writes, []);
    assert.equal(await processor.take(records(10, 12), ALIVE), 'stored');
  });

  it('leaves a partition to whoever moved its position first', async () => {
    const processor = newProcessor();
    await processor.take(records(0, 3), ALIVE);
    stored.set(0, 8); // by another one, who has the partition now
    assert.equal(await processor.take(records(3, 6), ALIVE), 'sought');
    assert.deepEqual(seeks, [[0, 8]]);
    assert.deepEqual(offsetsWritten(), [0, 1, 2]);
  });

  it('stores nothing twice when the answer to a commit was lost', async () => {
    const processor = newProcessor();
    await processor.take(records(0, 3), ALIVE);
    const works = write;
    write = async (given) => {
      await works(given);
      write = works;
      throw new Error('the connection was lost');
    };
    assert.equal(await processor.take(records(3, 6), ALIVE), 'sought');
    assert.deepEqual(seeks, [[0, 6]]);
    assert.deepEqual(offsetsWritten(), [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(reports, ['trouble 0 the connection was lost']);
  });

  it('tries until it works', async () => {
    const works = write;
    let failures = 0;
    write = async () => {
      failures += 1;
      if (failures === 7) write = works;
      throw new Error('no store');
    };
    const processor = newProcessor();
    assert.equal(await processor.take(records(0, 3), ALIVE), 'stored');
    assert.equal(failures, 7);
    assert.deepEqual(offsetsWritten(), [0, 1, 2]);
  });

  it('gives up what is not its own any more', async () => {
    let isCurrent = true;
    write = async () => {
      isCurrent = false;
      throw new Error('no store');
    };
    const delivery = { ...ALIVE, isCurrent: () => isCurrent };
    assert.equal(await newProcessor().take(records(0, 3), delivery), 'left');
  });

  it('tells the group that it is there while it stores', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { promise: isStoring, resolve: began } = Promise.withResolvers<void>();
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const works = write;
    write = async (given) => {
      began();
      await held;
      return works(given);
    };
    let heartbeats = 0;
    const heartbeat = async () => {
      heartbeats += 1;
      throw new Error('the group gives out its partitions anew');
    };
    const taken = newProcessor().take(records(0, 3), { ...ALIVE, heartbeat });
    await isStoring;
    t.mock.timers.tick(5_000);
    assert.equal(heartbeats, 5);
    letGo();
    assert.equal(await taken, 'stored');
  });

  it('says what Kafka removed before it was stored, and goes on with what there is', async () => {
    stored.set(0, 10);
    ranges.set(0, { low: 25, high: 1_000 });
    const processor = newProcessor();
    assert.equal(await processor.take(records(25, 27), ALIVE), 'stored');
    assert.deepEqual(reports, ['lost 0 10 25']);
    assert.deepEqual(offsetsWritten(), [25, 26]);
  });

  it('reads a topic that has less than was stored from its beginning', async () => {
    stored.set(0, 500);
    ranges.set(0, { low: 0, high: 20 });
    const processor = newProcessor();
    assert.equal(await processor.take(records(0, 2), ALIVE), 'stored');
    assert.deepEqual(reports, ['truncated 0 500 20']);
  });

  it('passes over offsets without records once Kafka was asked for them', async () => {
    const processor = newProcessor();
    await processor.take(records(0, 3), ALIVE);
    for (let asked = 0; asked < 3; asked += 1)
      assert.equal(await processor.take(records(5, 7), ALIVE), 'sought');
    assert.equal(await processor.take(records(5, 7), ALIVE), 'stored');
    assert.deepEqual(reports, ['empty 0 3 5']);
    assert.equal(stored.get(0), 7);
    assert.deepEqual(seeks, [
      [0, 3],
      [0, 3],
      [0, 3],
    ]);
  });

  it('never goes back over what is stored, however often it comes', async () => {
    stored.set(0, 10);
    const processor = newProcessor();
    for (let time = 0; time < 10; time += 1)
      assert.equal(await processor.take(records(0, 5), ALIVE), 'sought');
    assert.deepEqual(writes, []);
  });

  it('puts aside what is no event before it goes on behind it, and once', async () => {
    const batch = records(0, 3);
    const broken = [recordAt(3, { value: null }), recordAt(4, { value: Buffer.from('{"id":"x"}') })];
    const works = write;
    let lettersAtFirstWrite = -1;
    write = async () => {
      lettersAtFirstWrite = letters.length;
      write = works;
      throw new Error('no store');
    };
    const processor = newProcessor();
    await processor.take({ ...batch, next: 5, records: [...batch.records, ...broken] }, ALIVE);
    assert.equal(lettersAtFirstWrite, 2);
    assert.deepEqual(
      letters.map(({ record, reason }) => [record.offset, reason]),
      [
        [3, 'no-value'],
        [4, 'invalid-event'],
      ],
    );
    assert.equal(stored.get(0), 5);
  });

  it('does not go on while what is no event cannot be put aside', async () => {
    const works = sendDeadLetters;
    let attempts = 0;
    sendDeadLetters = async (sent) => {
      attempts += 1;
      assert.deepEqual(writes, []);
      if (attempts < 4) throw new Error('no topic');
      return works(sent);
    };
    const processor = newProcessor();
    await processor.take({ partition: 0, from: 0, next: 1, records: [recordAt(0, { value: null })] }, ALIVE);
    assert.equal(attempts, 4);
    assert.equal(stored.get(0), 1);
  });

  it('does not send again what was put aside before something failed', async () => {
    const works = sendDeadLetters;
    let attempts = 0;
    sendDeadLetters = async (sent) => {
      attempts += 1;
      if (attempts === 2) throw new Error('no topic');
      return works(sent.slice(0, 1));
    };
    const broken = [0, 1, 2].map((offset) => recordAt(offset, { value: null }));
    await newProcessor().take({ partition: 0, from: 0, next: 3, records: broken }, ALIVE);
    assert.deepEqual(
      letters.map(({ record }) => record.offset),
      [0, 1, 2],
    );
  });

  it('stores what is too much for one transaction in several, and goes on in the middle', async () => {
    const works = write;
    write = async (given) => {
      if (given.from === 10_000) {
        write = works;
        throw new Error('no store');
      }
      return works(given);
    };
    ranges.set(0, { low: 0, high: 30_000 });
    const processor = newProcessor();
    assert.equal(await processor.take(records(0, 25_000), ALIVE), 'sought');
    assert.deepEqual(seeks, [[0, 10_000]]);
    assert.equal(await processor.take(records(10_000, 25_000), ALIVE), 'stored');
    assert.deepEqual(offsetsWritten(), [...Array(25_000).keys()]);
    assert.ok(writes.every(({ events }) => events.length <= 10_000));
  });

  it('takes no position for one beyond the log that another one moved meanwhile', async () => {
    ranges.set(0, { low: 0, high: 5 });
    const processor = newProcessor();
    await processor.take(records(0, 5), ALIVE);
    // Each look at the log is followed by somebody else who stores what came since.
    ranges = new Map();
    ranges.get = () => {
      const high = stored.get(0) ?? 0;
      stored.set(0, high + 10);
      return { low: 0, high: high + 10 };
    };
    stored.set(0, 15);
    assert.equal(await processor.take(records(5, 8), ALIVE), 'sought');
    assert.deepEqual(reports, []);
  });

  it('does not believe that offsets are empty because records were dropped', async () => {
    const processor = newProcessor();
    await processor.take(records(0, 3), ALIVE);
    for (let time = 0; time < 6; time += 1) {
      assert.equal(await processor.take(records(5, 7), ALIVE), 'sought');
      write = async () => {
        throw new Error('no store');
      };
      let isCurrent = true;
      const delivery = {
        isCurrent: () => isCurrent,
        heartbeat: async () => {
          isCurrent = false;
        },
      };
      assert.equal(await processor.take(records(3, 5), delivery), 'left');
    }
    assert.ok(!reports.some((report) => report.startsWith('empty')));
  });

  it('shows no position of a partition that it has lost', async () => {
    const processor = newProcessor();
    processor.assign([0]);
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const works = write;
    write = async (given) => {
      await held;
      return works(given);
    };
    const taken = processor.take(records(0, 5), ALIVE);
    processor.assign([1]);
    letGo();
    assert.equal(await taken, 'stored');
    assert.deepEqual([...processor.reached], []);
  });

  it('seeks all that it was given, also where nothing arrives', async () => {
    stored.set(0, 10).set(1, 20);
    const processor = newProcessor();
    processor.assign([0, 1]);
    await processor.align();
    assert.deepEqual(seeks, [
      [0, 10],
      [1, 20],
    ]);
    assert.equal(positionsRead, 1, 'of all partitions together');
    await processor.align();
    assert.equal(seeks.length, 2, 'once');
  });

  it('notices that a position was set back', async () => {
    const processor = newProcessor();
    processor.assign([0]);
    await processor.align();
    await processor.take(records(0, 5), ALIVE);
    seeks = [];
    stored.set(0, 2);
    await processor.align();
    assert.deepEqual(seeks, [[0, 2]]);
    assert.equal(await processor.take(records(2, 6), ALIVE), 'stored');
  });

  it('leaves alone what is being stored', async () => {
    const processor = newProcessor();
    processor.assign([0]);
    await processor.align();
    seeks = [];
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const works = write;
    write = async (given) => {
      await held;
      return works(given);
    };
    const taken = processor.take(records(0, 5), ALIVE);
    await processor.align();
    letGo();
    assert.equal(await taken, 'stored');
    assert.deepEqual(seeks, []);
  });
});
