import assert from 'node:assert/strict';
import { BufferBudget, REQUEST_BYTES } from '../../src/http/buffer-budget.ts';
import { DualPublisher, type PublishableEvent } from '../../src/ingest/dual-publisher.ts';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { type Fault, KafkaModel } from './kafka-model.ts';
import { Random } from './random.ts';
import { VirtualTime } from './virtual-time.ts';

const PUBLISH_TIMEOUT_MS = 15_000;
const ANSWER_SLACK_MS = 500;
const EVENTS_FROM = 4_000;
const EVENTS_UNTIL = 40_000;
/** Long after the last fault and the last deadline. */
const END = 75_000;
const FAULTS: readonly Fault[] = ['down', 'paused', 'answers lost', 'slow', 'errors', 'throttled', 'crowded'];
const NO_BYTES = Buffer.alloc(0);

/** What one seed went through: counts by name, of transitions, faults and answered error codes. */
export type Coverage = Map<string, number>;

interface Sent {
  readonly id: string;
  readonly sourceId: string;
  readonly acceptedAt: number;
  readonly timeoutMs: number;
  /** The number of partitions when it was accepted. */
  partitionCount: number;
  outcome: Outcome | undefined;
  writes: number;
  firstWrittenAt: number | undefined;
}

/**
 * Runs the publisher against a Kafka that misbehaves as the seed says, and checks the promises P1 to P7 afterwards.
 * @throws AssertionError that names the promise. The same seed does the same again.
 */
export async function simulate(seed: number, coverage: Coverage): Promise<void> {
  const random = new Random(seed);
  const time = new VirtualTime();
  const count = (name: string) => coverage.set(name, (coverage.get(name) ?? 0) + 1);
  const budget = new BufferBudget({
    bytesMax: random.pick([400_000, 10_000_000]),
    eventsMax: random.pick([60, 5_000]),
  });
  const events: Sent[] = [];
  const byId = new Map<string, Sent>();
  const notified = new Set<string>();
  const leaders = random.between(2, 4);
  let faults = 0;
  let deadlinesHit = 0;
  let acknowledged = 0;

  const kafka = new KafkaModel({
    time,
    random,
    leaders,
    partitions: random.between(3, 8),
    onMetadata: (metadata) => publisher.lanes.update(metadata, 2),
    onWrite: (id) => {
      const sent = byId.get(id) as Sent;
      sent.writes += 1;
      sent.firstWrittenAt ??= time.now();
      if (sent.writes > 1) count('in flight → retried');
    },
  });
  const publisher: DualPublisher = new DualPublisher({
    clock: time,
    random: () => random.next(),
    batchLimits: () => ({ bytesMax: 2_000, recordsMax: 20 }),
    publishTimeoutMs: PUBLISH_TIMEOUT_MS,
    send: kafka.send,
    release: () => {},
    refreshMetadata: kafka.refreshMetadata,
    onState: (state) => count(`state ${state}`),
    onTrouble: () => {},
    notify: ({ id }) => {
      assert.ok(!notified.has(id), `P4: ${id} is notified twice`);
      notified.add(id);
    },
    budget,
    metrics: {
      kafkaError: (reason) => count(`attempt: ${reason}`),
      kafkaRequestTook: () => {},
      batchSent: () => {},
      publishTook: () => {},
      eventsSettled: (outcome) => {
        if (outcome === 'stored' || outcome === 'stored_late') acknowledged += 1;
        count(`settled ${outcome}`);
      },
    },
  });

  planTraffic();
  planFaults();
  await time.runUntil(END, () => {
    assert.ok(budget.bytes <= budget.limits.bytesMax, `P3: ${budget.bytes} bytes held`);
    assert.ok(budget.events <= budget.limits.eventsMax, `P3: ${budget.events} events held`);
  });
  const closing = publisher.close(5_000);
  publishOne('after the end', 'source0', PUBLISH_TIMEOUT_MS);
  await Promise.resolve(); // it is answered at the end of this turn, before time goes on
  await time.runUntil(END + 10_000, () => {});
  assert.equal(await closing, 0, 'P7: events are left unsettled');
  check();

  /** Single events and batches, to a few sources, some with little patience. */
  function planTraffic(): void {
    const total = random.between(100, 160);
    const sources = random.between(3, 12);
    for (let index = 0; index < total; ) {
      const size = random.chance(0.3) ? random.between(2, 12) : 1;
      const timeoutMs = random.chance(0.2) ? random.between(1, 5) * 1_000 : PUBLISH_TIMEOUT_MS;
      const batch = Array.from({ length: size }, (_, place) => ({
        id: `e${index + place}${random.chance(0.01) ? '-too-large' : ''}`,
        sourceId: `source${random.between(0, sources - 1)}`,
      }));
      time.at(random.between(EVENTS_FROM, EVENTS_UNTIL), () => publish(batch, timeoutMs));
      index += size;
    }
    // Every lane is used, and in every seed some patience ends: these go to leaders that are paused by then.
    for (let source = 0; source < 40; source += 1) {
      time.at(EVENTS_FROM, () => publishOne(`first${source}`, `spread${source}`, PUBLISH_TIMEOUT_MS));
      if (source < 8)
        time.at(EVENTS_FROM + 210, () => publishOne(`hasty${source}`, `spread${source}`, 1_000));
    }
  }

  function planFaults(): void {
    for (let leader = 0; leader < leaders; leader += 1)
      fault(leader, 'paused', EVENTS_FROM + 200, random.between(1_500, 4_000));
    for (let left = random.between(3, 9); left > 0; left -= 1) {
      const begin = random.between(EVENTS_FROM + 5_000, EVENTS_UNTIL);
      fault(random.between(0, leaders - 1), random.pick(FAULTS), begin, random.between(50, 18_000));
    }
    for (let left = random.between(0, 12); left > 0; left -= 1) {
      time.at(random.between(EVENTS_FROM, EVENTS_UNTIL), () => {
        faults += 1;
        count('fault leader moved');
        kafka.move(random.between(0, kafka.partitionCount - 1), random.between(0, leaders - 1));
      });
    }
    for (let left = random.between(0, 4); left > 0; left -= 1) {
      const begin = random.between(EVENTS_FROM, EVENTS_UNTIL);
      const partition = random.between(0, kafka.partitionCount - 1);
      time.at(begin, () => {
        faults += 1;
        count('fault partition stuck');
        kafka.stick(partition, true);
      });
      time.at(begin + random.between(50, 18_000), () => kafka.stick(partition, false));
    }
    if (random.chance(0.4)) {
      time.at(random.between(EVENTS_FROM, EVENTS_UNTIL), () => {
        count('fault partitions added');
        kafka.grow(kafka.partitionCount + random.between(1, 4));
        kafka.refreshMetadata();
      });
    }
  }

  function fault(leader: number, kind: Fault, begin: number, durationMs: number): void {
    time.at(begin, () => {
      faults += 1;
      count(`fault ${kind}`);
      kafka.begin(leader, kind);
    });
    time.at(begin + durationMs, () => kafka.end(leader));
  }

  function publishOne(id: string, sourceId: string, timeoutMs: number): void {
    publish([{ id, sourceId }], timeoutMs);
  }

  function publish(batch: readonly { id: string; sourceId: string }[], timeoutMs: number): void {
    if (!budget.take(REQUEST_BYTES)) return; // refused before there is an event
    const hold = budget.open();
    const sent = batch.map(({ id, sourceId }): Sent => {
      const partitionCount = publisher.lanes.partitionCount;
      return {
        id,
        sourceId,
        acceptedAt: time.now(),
        timeoutMs,
        partitionCount,
        outcome: undefined,
        writes: 0,
        firstWrittenAt: undefined,
      };
    });
    for (const each of sent) {
      events.push(each);
      byId.set(each.id, each);
    }
    let isAnswered = false;
    publisher.publish({
      events: sent.map(eventOf),
      hold,
      timeoutMs,
      settled: (outcomes) => {
        assert.ok(!isAnswered, 'P4: a request is answered twice');
        isAnswered = true;
        budget.giveBack(REQUEST_BYTES);
        assert.equal(outcomes.length, sent.length);
        for (const [index, each] of sent.entries()) settled(each, outcomes[index] as Outcome);
      },
    });
  }

  function settled(sent: Sent, outcome: Outcome): void {
    const { id, acceptedAt, timeoutMs } = sent;
    sent.outcome = outcome;
    const tookMs = time.now() - acceptedAt;
    assert.ok(
      tookMs <= timeoutMs + ANSWER_SLACK_MS,
      `P5: ${id} was answered after ${tookMs} ms of ${timeoutMs}`,
    );
    if (outcome.status === 'stored') {
      const { partition, offset } = outcome;
      assert.equal(kafka.log(partition)[offset], id, `P1: ${id} is not at ${partition}/${offset}`);
      count(sent.writes > 1 ? 'ambiguous or refused → stored' : 'in flight → stored');
    } else {
      const from = sent.writes > 0 ? 'in flight' : tookMs === 0 ? 'accept' : 'pending';
      count(`${from} → ${outcome.status} ${outcome.code}`);
      if (tookMs >= timeoutMs) {
        deadlinesHit += 1;
        count('deadline hit');
      }
    }
  }

  function check(): void {
    const copies = new Map<string, number>();
    for (let partition = 0; partition < kafka.partitionCount; partition += 1) {
      for (const id of kafka.log(partition)) copies.set(id, (copies.get(id) ?? 0) + 1);
    }
    for (const sent of events) {
      const { id, outcome, acceptedAt, timeoutMs, firstWrittenAt, writes } = sent;
      assert.ok(outcome, `P4: ${id} is never settled`);
      const inLog = copies.get(id) ?? 0;
      assert.ok(inLog <= writes, `P6: ${id} has ${inLog} copies after ${writes} attempts`);
      if (outcome.status === 'not_stored' || outcome.status === 'refused') {
        assert.equal(inLog, 0, `P4: ${id} is answered ${outcome.status} and lies in the log`);
        assert.ok(!notified.has(id), `P2: ${id} is notified and not stored`);
      }
      if (outcome.status === 'stored') assert.ok(notified.has(id), `P2: ${id} is stored and not notified`);
      if (notified.has(id)) assert.ok(inLog > 0, `P2: ${id} is notified and not in the log`);
      const isInTime = firstWrittenAt === undefined || firstWrittenAt < acceptedAt + timeoutMs;
      assert.ok(isInTime, `P5: ${id} was first written at ${firstWrittenAt}, after its deadline`);
    }
    assert.equal(notified.size, acknowledged, 'P2: what was acknowledged is what is notified, late or not');
    checkOrder();
    assert.equal(budget.bytes, 0, 'P3: bytes are held when all is over');
    assert.equal(budget.events, 0, 'P3: events are held when all is over');
    // The seed is worth something only if this much happened in it.
    const partitions = new Set(
      events.map(({ outcome }) => outcome?.status === 'stored' && outcome.partition),
    );
    assert.ok(
      events.length >= 100 && partitions.size > 3,
      `${events.length} events in ${partitions.size} lanes`,
    );
    assert.ok(
      kafka.leadersUsed.size >= 2 && faults >= 3,
      `${kafka.leadersUsed.size} leaders, ${faults} faults`,
    );
    assert.ok(deadlinesHit > 0, 'no deadline was hit');
    for (const [errorCode, times] of kafka.answered)
      coverage.set(`row ${errorCode}`, (coverage.get(`row ${errorCode}`) ?? 0) + times);
  }

  /** First copies of a source's stored events lie in the order of acceptance, within one partition count. */
  function checkOrder(): void {
    const rank = new Map(events.map(({ id }, index) => [id, index]));
    for (let partition = 0; partition < kafka.partitionCount; partition += 1) {
      const latest = new Map<string, number>();
      for (const id of new Set(kafka.log(partition))) {
        const sent = byId.get(id) as Sent;
        if (sent.outcome?.status !== 'stored') continue;
        const key = `${sent.sourceId} of ${sent.partitionCount}`;
        const index = rank.get(id) as number;
        assert.ok(index > (latest.get(key) ?? -1), `P6: ${id} lies behind a later event of ${sent.sourceId}`);
        latest.set(key, index);
      }
    }
  }
}

/** The head carries the id, which is all that the model of Kafka keeps of a record. */
function eventOf({ id, sourceId }: Sent): PublishableEvent {
  return { id, type: 't', sourceType: 'user', sourceId, head: id, tail: NO_BYTES };
}
