import type { PartitionRecords, SendResult } from '../../src/ingest/kafka-producer.ts';
import type { LanesOptions } from '../../src/ingest/lanes.ts';
import { startPlainKafkajs } from './plain-kafkajs.ts';
import type { Subject, SubjectOptions } from './subject.ts';

/** A publisher with a known fault, to show that the suite would notice it. */
export interface Mutant {
  readonly name: string;
  readonly summary: string;
  /** Where it must show, for how long, and in which assertions; others may fail too. */
  readonly scenario: string;
  readonly options: { readonly kills?: number; readonly seconds?: number };
  readonly caughtBy: readonly string[];
  readonly wrapSend?: (send: LanesOptions['send']) => LanesOptions['send'];
  readonly isAcksOne?: boolean;
  /** In place of the whole publisher. */
  readonly start?: (options: SubjectOptions) => Promise<Subject>;
}

type Send = LanesOptions['send'];

const NOT_LEADER_OR_FOLLOWER = 6;
/** Means "not appended, and never will be", so that the lanes answer not_stored at once. */
const POLICY_VIOLATION = 44;

export const mutants: readonly Mutant[] = [
  {
    name: 'acks-1',
    summary: 'the leader alone acknowledges',
    scenario: 'cut-off-leader',
    options: {},
    caughtBy: ['lost'],
    isAcksOne: true,
  },
  {
    name: 'kafkajs-send-batch',
    summary: "kafkajs's own sendBatch over all partitions, with its own retries",
    scenario: 'leader-kill',
    options: { kills: 4 },
    caughtBy: ['lost', 'order breaks'],
    start: (options) => startPlainKafkajs(options, { isIdempotent: false }),
  },
  {
    name: 'idempotent',
    summary: 'the same with idempotent: true',
    scenario: 'leader-kill',
    options: { kills: 4 },
    caughtBy: ['lost', 'stored share'],
    start: (options) => startPlainKafkajs(options, { isIdempotent: true }),
  },
  {
    name: 'reply-before-ack',
    summary: 'an attempt counts as acknowledged once it is written',
    scenario: 'cut-off-leader',
    options: {},
    caughtBy: ['lost'],
    wrapSend: replyBeforeAck,
  },
  {
    name: 'dropped-retry',
    summary: 'an attempt that got no answer is not repeated, and counts as stored',
    // A batch in flight when its leader dies is often in the followers' logs by then; here it is in nobody's.
    scenario: 'requests-lost',
    options: {},
    caughtBy: ['lost'],
    wrapSend: dropRetry,
  },
  {
    name: 'not-leader-is-not-stored',
    summary: 'NOT_LEADER_OR_FOLLOWER is taken for "not appended"',
    scenario: 'moved-while-waiting',
    options: {},
    caughtBy: ['phantom'],
    wrapSend: trustNotLeader,
  },
];

function replyBeforeAck(send: Send): Send {
  const offsets = new NextOffsets();
  /** A connection carries one request at a time, so the true end of the attempt before is waited for. */
  const busy = new Map<string, Promise<unknown>>();
  return (options) => {
    const key = `${options.leader}/${options.channel}`;
    const written = Promise.withResolvers<SendResult>();
    const start = async (): Promise<SendResult> => {
      await busy.get(key);
      let taken: readonly PartitionRecords[] = [];
      const { result } = send({
        ...options,
        take: () => {
          taken = options.take();
          if (taken.length > 0) setTimeout(() => written.resolve(offsets.asIfStored(taken)), 1);
          return taken;
        },
      });
      busy.set(key, result);
      return result;
    };
    return { result: Promise.race([start(), written.promise]), abandon: () => {} };
  };
}

function dropRetry(send: Send): Send {
  const offsets = new NextOffsets();
  return (options) => {
    let taken: readonly PartitionRecords[] = [];
    const attempt = send({
      ...options,
      take: () => {
        taken = options.take();
        return taken;
      },
    });
    const result = attempt.result.then((ended) => {
      if (ended.status === 'lost') return offsets.asIfStored(taken);
      offsets.learn(ended, taken);
      return ended;
    });
    return { result, abandon: () => attempt.abandon() };
  };
}

function trustNotLeader(send: Send): Send {
  return (options) => {
    const attempt = send(options);
    const result = attempt.result.then((ended): SendResult => {
      if (ended.status !== 'answered') return ended;
      const partitions = ended.partitions.map((answer) =>
        answer.errorCode === NOT_LEADER_OR_FOLLOWER ? { ...answer, errorCode: POLICY_VIOLATION } : answer,
      );
      return { ...ended, partitions };
    });
    return { result, abandon: () => attempt.abandon() };
  };
}

/** Guesses where the next batch of a partition lands, so that a lie is told as well as it can be. */
class NextOffsets {
  readonly #next = new Map<number, number>();

  asIfStored(taken: readonly PartitionRecords[]): SendResult {
    const partitions = taken.map(({ partition, records }) => {
      const baseOffset = this.#next.get(partition) ?? 0;
      this.#next.set(partition, baseOffset + records.length);
      return { partition, errorCode: 0, baseOffset };
    });
    return { status: 'answered', partitions, throttleTimeMs: 0 };
  }

  learn(result: SendResult, taken: readonly PartitionRecords[] = []): void {
    if (result.status !== 'answered') return;
    for (const { partition, errorCode, baseOffset } of result.partitions) {
      const sent = taken.find((batch) => batch.partition === partition);
      if (errorCode === 0 && sent) this.#next.set(partition, baseOffset + sent.records.length);
    }
  }
}
