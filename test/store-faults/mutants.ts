/** An event processor with a known fault, to show that the suite would notice it. */
export interface StoreMutant {
  readonly name: string;
  readonly summary: string;
  /** Where it must show, how often, and in which assertions; others may fail too. */
  readonly scenario: string;
  readonly options: { readonly kills?: number; readonly seconds?: number };
  readonly caughtBy: readonly string[];
  /** What is replaced in the sources as they are loaded. */
  readonly patches: readonly Patch[];
}

export interface Patch {
  /** Below src/. */
  readonly file: string;
  /** Is there exactly once. */
  readonly replaced: string;
  readonly by: string;
}

export const mutants: readonly StoreMutant[] = [
  {
    name: 'position-not-checked',
    summary: 'positions are moved wherever they are',
    scenario: 'replay',
    options: {},
    caughtBy: ['missing', 'replayed under load'],
    patches: [{ file: 'store/positions.ts', replaced: ' and p.next = m.was', by: '' }],
  },
  {
    name: 'no-seq-lock',
    summary: 'values of seq are given out without a lock, and commits take up to 100 ms',
    scenario: 'rolling',
    options: { kills: 2 },
    caughtBy: ['passed over by the tail'],
    patches: [
      {
        file: 'processor/event-writer.ts',
        replaced: 'select pg_advisory_xact_lock($1)',
        by: 'select $1::bigint',
      },
      {
        file: 'store/postgres.ts',
        replaced: "await query('commit');",
        by: "await query('select pg_sleep(random() / 10)'); await query('commit');",
      },
    ],
  },
  {
    name: 'group-offsets',
    summary: "goes on at the group's offsets, which are committed when records are handed over",
    scenario: 'processor-kill',
    options: { kills: 4 },
    caughtBy: ['missing'],
    patches: [
      {
        file: 'processor/event-processor.ts',
        replaced: 'const position = known === batch.from ? known : await this.#find(partition);',
        by: 'if (known === undefined) await this.#find(partition); const position = batch.from;',
      },
      {
        file: 'processor/event-processor.ts',
        replaced: 'if (!this.#busy.has(partition)) seek(partition, position);',
        by: '',
      },
      { file: 'store/positions.ts', replaced: ' and p.next = m.was', by: '' },
      { file: 'processor/kafka-consumer.ts', replaced: 'autoCommit: false', by: 'autoCommit: true' },
    ],
  },
  {
    name: 'position-apart',
    summary: 'positions are moved in a transaction of their own, before the events are stored',
    scenario: 'processor-kill',
    options: { kills: 4 },
    caughtBy: ['missing'],
    patches: [
      {
        file: 'processor/event-writer.ts',
        replaced: 'const ours = await movePositions(query, log, writes);',
        by: "const ours = await movePositions(query, log, writes); await query('commit'); await query('begin');",
      },
    ],
  },
  {
    name: 'last-copy',
    summary: 'a later copy of an event takes the place of the first one',
    scenario: 'rolling',
    options: { kills: 1 },
    caughtBy: ['not the first copy', 'changed since seen'],
    patches: [
      {
        file: 'processor/event-writer.ts',
        replaced: 'const COMPARE = `',
        by: `const COMPARE = \`
  with updated as (
    update dual_stream.events as e set value = given.value, "offset" = given."offset"
      from (\${GIVEN}) as given
     where (e.source_type, e.source_id, e.id) = (given.source_type, given.source_id, given.id)
       and e."offset" < given."offset")`,
      },
    ],
  },
  {
    name: 'letters-dropped',
    summary: 'records that are no events are passed over',
    scenario: 'rolling',
    options: { kills: 1 },
    caughtBy: ['unreadable, no dead letter'],
    patches: [
      {
        file: 'processor/event-processor.ts',
        replaced: 'read.letters = read.letters.slice(await sendDeadLetters(read.letters));',
        by: '{ read.letters = []; void sendDeadLetters; }',
      },
    ],
  },
];
