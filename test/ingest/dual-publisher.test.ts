import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BufferBudget } from '../../src/http/buffer-budget.ts';
import { DualPublisher, type PublishableEvent } from '../../src/ingest/dual-publisher.ts';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { hashKey, partitionOf } from '../../src/ingest/partitioner.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { ScriptedKafka, topicLedBy } from '../fakes/scripted-kafka.ts';

const PUBLISH_TIMEOUT_MS = 15_000;
const NOT_ENOUGH_REPLICAS = 19;
const NOT_LEADER = 6;
const REQUEST_TIMED_OUT = 7;
const MESSAGE_TOO_LARGE = 10;
const TOPIC_AUTHORIZATION_FAILED = 29;

describe('DualPublisher', () => {
  it('P1: settles an event as stored only after Kafka has acknowledged it', async () => {
    const { kafka, publish, clock } = await started();
    const answer = publish('a');
    await clock.advance(500);
    assert.deepEqual(kafka.log(0), []);
    assert.equal(answer.outcomes, undefined);
    kafka.last.answer();
    await clock.settle();
    assert.deepEqual(answer.outcomes, [{ status: 'stored', partition: 0, offset: 0 }]);
    assert.deepEqual(kafka.log(0), ['{"id":"a"}']);
  });

  it('P2: notifies what is stored, after it is, and nothing else', async () => {
    const { kafka, publish, clock, notified } = await started();
    publish('stored');
    await clock.settle();
    assert.deepEqual(notified, []);
    kafka.last.answer();
    await clock.settle();
    publish('forbidden');
    await clock.settle();
    kafka.last.answer({ 0: TOPIC_AUTHORIZATION_FAILED });
    await clock.settle();
    assert.deepEqual(notified, ['stored']);
  });

  it('gathers what arrives in one turn, and while a batch is in flight, into one batch', async () => {
    const { kafka, publish, clock } = await started();
    publish('a');
    publish('b');
    await clock.settle();
    publish('c');
    publish('d');
    await clock.settle();
    assert.equal(kafka.requests.length, 1, 'a lane has one batch unsettled');
    kafka.last.answer();
    await clock.settle();
    assert.deepEqual(kafka.last.records.get(0), ['{"id":"c"}', '{"id":"d"}']);
  });

  it('answers several events of one request by position, once all are settled', async () => {
    const { kafka, publishAll, clock } = await started({ leaders: [1, 2] });
    const answer = publishAll([event('a', keyIn(0, 2)), event('b', keyIn(1, 2)), event('c', keyIn(0, 2))]);
    await clock.settle();
    const [toOne, toTwo] = [1, 2].map((leader) =>
      kafka.requests.find((request) => request.leader === leader),
    );
    toTwo?.answer();
    await clock.settle();
    assert.equal(answer.outcomes, undefined);
    toOne?.answer();
    await clock.settle();
    assert.deepEqual(answer.outcomes, [
      { status: 'stored', partition: 0, offset: 0 },
      { status: 'stored', partition: 1, offset: 0 },
      { status: 'stored', partition: 0, offset: 1 },
    ]);
  });

  it('sends lanes with the same leader in one request', async () => {
    const { kafka, publish, clock } = await started({ leaders: [1, 1, 1] });
    for (const partition of [0, 1, 2]) publish(`e${partition}`, keyIn(partition, 3));
    await clock.settle();
    assert.deepEqual(
      kafka.requests.map(({ leader, records }) => [leader, [...records.keys()].toSorted()]),
      [[1, [0, 1, 2]]],
    );
  });

  describe('P3: bounded', () => {
    it('refuses at once when the buffer is full, and takes events again when it is not', async () => {
      const { kafka, publish, clock } = await started({ eventsMax: 2 });
      publish('a');
      publish('b');
      assert.deepEqual(await outcomesNow(publish('c')), [{ status: 'not_stored', code: 'buffer-full' }]);
      await clock.settle();
      kafka.last.answer();
      await clock.settle();
      const taken = publish('d');
      await clock.settle();
      kafka.last.answer();
      await clock.settle();
      assert.equal(taken.outcomes?.[0]?.status, 'stored');
    });

    it('takes what fits of one request; once a lane had no room its later events get none', async () => {
      const { kafka, publishAll, clock } = await started({ eventsMax: 2 });
      const answer = publishAll(['a', 'b', 'c', 'd'].map((id) => event(id)));
      await clock.settle();
      kafka.last.answer();
      await clock.settle();
      assert.deepEqual(
        answer.outcomes?.map(({ status }) => status),
        ['stored', 'stored', 'not_stored', 'not_stored'],
      );
    });

    it('one stuck partition does not hold everything', async () => {
      const { publish, publishAll, clock, budget } = await started({ leaders: [1, -1], bytesMax: 100_000 });
      for (let index = 0; index < 100; index += 1) publish(`stuck${index}`, keyIn(1, 2));
      assert.ok(budget.bytes <= 50_000, `${budget.bytes} bytes are held for the stuck partition`);
      const other = publish('free', keyIn(0, 2));
      await clock.settle();
      assert.equal(other.outcomes, undefined, 'it is under way, not refused');
      const two = publishAll([event('stuck-a', keyIn(1, 2)), event('stuck-b', keyIn(1, 2))]);
      assert.deepEqual(
        (await outcomesNow(two))?.map(({ status }) => status),
        ['not_stored', 'not_stored'],
        'once its lane had no room, a later event of the request has none either',
      );
    });

    it('holds the bytes of an unknown event until its attempt is over', async () => {
      const { kafka, publish, clock, budget } = await started();
      publish('a');
      await clock.advance(PUBLISH_TIMEOUT_MS + 100);
      assert.ok(budget.bytes > 0);
      kafka.last.lose('timeout');
      await clock.settle();
      assert.equal(budget.bytes, 0);
      assert.equal(budget.events, 0);
    });
  });

  describe('P4: settles once, truthfully', () => {
    it('not stored: still waiting for a connection at its deadline, and never sent after it', async () => {
      const { kafka, publish, clock } = await started();
      kafka.isConnecting = true;
      const answer = publish('a');
      await clock.advance(PUBLISH_TIMEOUT_MS + 100);
      assert.deepEqual(answer.outcomes, [{ status: 'not_stored', code: 'kafka-unavailable' }]);
      kafka.connected();
      await clock.advance(5_000);
      assert.deepEqual(kafka.requests, []);
    });

    it('not stored: every attempt was answered "not appended"', async () => {
      const { kafka, publish, clock } = await started();
      const answer = publish('a');
      await clock.settle();
      await answeringAll(kafka, clock, PUBLISH_TIMEOUT_MS + 100, (request) =>
        request.answer({ 0: NOT_ENOUGH_REPLICAS }),
      );
      assert.deepEqual(answer.outcomes, [{ status: 'not_stored', code: 'kafka-unavailable' }]);
      assert.ok(kafka.requests.length > 5, 'it was retried until the deadline');
    });

    it('unknown: one lost attempt makes it ambiguous for good', async () => {
      const { kafka, publish, clock } = await started();
      const answer = publish('a');
      await clock.settle();
      kafka.last.lose();
      await answeringAll(kafka, clock, PUBLISH_TIMEOUT_MS + 100, (request) =>
        request.answer({ 0: NOT_ENOUGH_REPLICAS }),
      );
      assert.deepEqual(answer.outcomes, [{ status: 'unknown', code: 'outcome-unknown' }]);
    });

    it('unknown: NOT_LEADER may come after the append', async () => {
      const { kafka, publish, clock } = await started();
      const answer = publish('a');
      await clock.settle();
      await answeringAll(kafka, clock, PUBLISH_TIMEOUT_MS + 100, (request) =>
        request.answer({ 0: NOT_LEADER }),
      );
      assert.equal(answer.outcomes?.[0]?.status, 'unknown');
    });

    it('unknown: an answer that leaves its partition out', async () => {
      const { kafka, publish, clock } = await started();
      const answer = publish('a');
      await clock.settle();
      await answeringAll(kafka, clock, PUBLISH_TIMEOUT_MS + 100, (request) => request.answerWith([]));
      assert.equal(answer.outcomes?.[0]?.status, 'unknown');
    });

    it('stored: an ambiguous event that a retry stores', async () => {
      const { kafka, publish, clock } = await started();
      const answer = publish('a');
      await clock.settle();
      kafka.last.lose();
      await clock.advance(500);
      assert.equal(kafka.requests.length, 2);
      kafka.last.answer();
      await clock.settle();
      assert.equal(answer.outcomes?.[0]?.status, 'stored');
    });

    it('a late acknowledgement changes no reply, but is counted and notified', async () => {
      const { kafka, publish, clock, notified, counted } = await started();
      const answer = publish('a');
      await clock.advance(PUBLISH_TIMEOUT_MS + 100);
      assert.equal(answer.outcomes?.[0]?.status, 'unknown');
      kafka.last.answer();
      await clock.settle();
      assert.equal(answer.calls, 1);
      assert.equal(answer.outcomes?.[0]?.status, 'unknown');
      assert.deepEqual(notified, ['a']);
      assert.deepEqual(counted, ['unknown', 'stored_late']);
    });

    it('refused: a lone event that Kafka finds too large; its neighbours are stored', async () => {
      const { kafka, publishAll, clock } = await started();
      const answer = publishAll(['a', 'LARGE', 'c', 'd'].map((id) => event(id)));
      await clock.settle();
      await answeringAll(kafka, clock, 3_000, (request) => {
        const isLarge = request.records.get(0)?.some((value) => value.includes('LARGE'));
        request.answer(isLarge ? { 0: MESSAGE_TOO_LARGE } : {});
      });
      assert.deepEqual(
        answer.outcomes?.map(({ status }) => status),
        ['stored', 'refused', 'stored', 'stored'],
      );
      assert.deepEqual(kafka.log(0), ['{"id":"a"}', '{"id":"c"}', '{"id":"d"}']);
    });

    it('not stored at once where a retry cannot help, with a code that names it', async () => {
      const { kafka, publish, clock } = await started();
      const answer = publish('a');
      await clock.settle();
      kafka.last.answer({ 0: TOPIC_AUTHORIZATION_FAILED });
      await clock.settle();
      assert.deepEqual(answer.outcomes, [{ status: 'not_stored', code: 'topic-forbidden' }]);
    });
  });

  describe('P5: deadline', () => {
    it('answers within the timeout of the request plus half a second while Kafka says nothing', async () => {
      const { publish, clock } = await started();
      const short = publish('a', keyIn(0, 1), 2_000);
      const long = publish('b');
      await clock.advance(2_500);
      assert.equal(short.outcomes?.[0]?.status, 'unknown');
      assert.equal(long.calls, 0);
      await clock.advance(PUBLISH_TIMEOUT_MS + 500 - 2_500);
      assert.equal(long.outcomes?.[0]?.status, 'unknown');
    });

    it('sends nothing whose deadline passed a moment ago, between two looks at the clock', async () => {
      const { kafka, publish, clock } = await started();
      kafka.isConnecting = true;
      const answer = publish('a', keyIn(0, 1), 1_010);
      await clock.advance(1_020);
      assert.equal(answer.calls, 0);
      kafka.connected();
      await clock.settle();
      assert.equal(answer.outcomes?.[0]?.status, 'not_stored');
      assert.deepEqual(kafka.requests, []);
    });

    it('does not send again what has passed its deadline, and does send what has not', async () => {
      const { kafka, publish, clock } = await started();
      publish('short', keyIn(0, 1), 1_000);
      publish('long');
      await clock.advance(2_000);
      kafka.last.lose('timeout');
      await clock.advance(1_000);
      assert.equal(kafka.requests.length, 2);
      assert.deepEqual(kafka.last.records.get(0), ['{"id":"long"}']);
    });
  });

  describe('P6: order', () => {
    it('retries a failed batch before anything newer of its lane', async () => {
      const { kafka, publish, clock } = await started();
      publish('a');
      await clock.settle();
      publish('b');
      kafka.last.lose();
      await clock.advance(500);
      assert.deepEqual(kafka.last.records.get(0), ['{"id":"a"}']);
      kafka.last.answer();
      await clock.settle();
      assert.deepEqual(kafka.last.records.get(0), ['{"id":"b"}']);
    });

    it('waits for the connection to be destroyed before it sends again to a new leader', async () => {
      const { kafka, publish, clock, lead } = await started();
      publish('a');
      await clock.advance(1_500);
      lead(2);
      await clock.advance(100);
      assert.equal(kafka.requests[0]?.isAbandoned, true);
      await clock.advance(500);
      assert.deepEqual(
        kafka.requests.map(({ leader }) => leader),
        [1, 2],
      );
    });

    it('a new partition count takes effect when the lanes of the old one are empty', async () => {
      const { kafka, publish, clock, lead } = await started();
      const key = keyIn(1, 2);
      const old = publish('old', key);
      await clock.settle();
      lead(1, 1);
      const fresh = publish('new', key);
      kafka.last.lose();
      await clock.advance(300);
      assert.deepEqual([...kafka.last.records], [[0, ['{"id":"old"}']]], 'the old lane is retried first');
      kafka.last.answer();
      await clock.advance(100);
      assert.deepEqual([...kafka.last.records], [[1, ['{"id":"new"}']]]);
      kafka.last.answer();
      await clock.settle();
      assert.deepEqual(old.outcomes, [{ status: 'stored', partition: 0, offset: 0 }]);
      assert.deepEqual(fresh.outcomes, [{ status: 'stored', partition: 1, offset: 0 }]);
    });
  });

  it('P6: a broker that still tells the old partition count does not leave behind those who wait for the new one', async () => {
    const { kafka, publish, clock, lead } = await started();
    const key = keyIn(0, 2);
    publish('old', key);
    await clock.settle();
    lead(1, 1);
    const parked = publish('parked', key);
    lead(1);
    const later = publish('later', key);
    kafka.last.answer();
    await clock.settle();
    assert.deepEqual([...kafka.last.records], [[0, ['{"id":"parked"}', '{"id":"later"}']]]);
    kafka.last.answer();
    await clock.settle();
    assert.equal(parked.outcomes?.[0]?.status, 'stored');
    assert.equal(later.outcomes?.[0]?.status, 'stored');
  });

  describe('a failing lane', () => {
    it('travels alone until it succeeds, so that its siblings go on', async () => {
      const { kafka, publish, clock } = await started({ leaders: [1, 1] });
      publish('bad', keyIn(0, 2));
      publish('good', keyIn(1, 2));
      await clock.settle();
      kafka.last.answer({ 0: NOT_ENOUGH_REPLICAS });
      await clock.advance(300);
      const stuck = kafka.last;
      assert.equal(stuck.channel, '0');
      publish('good2', keyIn(1, 2));
      await clock.settle();
      assert.equal(kafka.last.channel, 'shared');
      assert.deepEqual([...kafka.last.records.keys()], [1]);
      stuck.answer();
      await clock.settle();
      assert.deepEqual(kafka.released, ['1/0']);
    });

    it('does not make others wait for a shared request that is slow', async () => {
      const { kafka, publish, clock } = await started({ leaders: [1, 1, 1] });
      publish('slow', keyIn(0, 3));
      await clock.advance(1_100);
      const other = publish('other', keyIn(1, 3));
      await clock.settle();
      const beside = kafka.last;
      assert.equal(beside.channel, 'behind');
      await clock.advance(1_100);
      publish('third', keyIn(2, 3));
      await clock.settle();
      assert.equal(kafka.last.channel, '2', 'both are slow by now');
      kafka.requests[0]?.answer();
      beside.answer();
      await clock.settle();
      assert.equal(other.outcomes?.[0]?.status, 'stored');
      assert.deepEqual(kafka.released, ['1/behind']);
    });

    it('is told by Kafka soon, and waited for when it is behind: then much would be copied in vain', async () => {
      const { kafka, publish, clock } = await started({ leaders: [1, 1, 1] });
      publish('stuck', keyIn(0, 3));
      publish('sibling', keyIn(1, 3));
      await clock.settle();
      assert.deepEqual([kafka.last.channel, kafka.last.brokerTimeoutMs], ['shared', 1_000]);
      kafka.last.answer({ 0: REQUEST_TIMED_OUT, 1: REQUEST_TIMED_OUT });
      await clock.advance(300);
      const alone = kafka.requests.slice(-2);
      assert.deepEqual(alone.map(({ channel }) => channel).toSorted(), ['0', '1']);
      assert.deepEqual(
        alone.map(({ brokerTimeoutMs }) => brokerTimeoutMs),
        [10_000, 10_000],
      );
      publish('later', keyIn(0, 3));
      publish('later sibling', keyIn(1, 3));
      await clock.advance(2_000);
      for (const request of alone) request.answer();
      publish('prompt', keyIn(2, 3));
      await clock.settle();
      const [behind, shared] = kafka.requests.slice(-2).toSorted((a, b) => (a.channel < b.channel ? -1 : 1));
      assert.deepEqual([behind?.channel, behind?.brokerTimeoutMs], ['behind', 10_000]);
      assert.deepEqual([...(behind?.records.keys() ?? [])].toSorted(), [0, 1]);
      assert.deepEqual([shared?.channel, [...(shared?.records.keys() ?? [])]], ['shared', [2]]);
    });

    it('shares the one connection there is when its leader takes no other', async () => {
      const { kafka, publish, clock } = await started({ leaders: [1, 1] });
      for (const channel of ['0', '1', 'behind']) kafka.refusedChannels.add(channel);
      const failed = publish('failed', keyIn(0, 2));
      await clock.settle();
      kafka.last.answer({ 0: REQUEST_TIMED_OUT });
      await clock.advance(1_500);
      assert.deepEqual([kafka.last.channel, [...kafka.last.records.keys()]], ['shared', [0]]);
      kafka.last.answer();
      await clock.settle();
      assert.equal(failed.outcomes?.[0]?.status, 'stored');
    });

    it('is seen as degraded, and so is a partition without a leader', async () => {
      const { kafka, publish, clock, lead, publisher } = await started({ leaders: [1, 1] });
      assert.equal(publisher.lanes.readiness, 'available');
      publish('bad', keyIn(0, 2));
      await clock.settle();
      kafka.last.answer({ 0: NOT_ENOUGH_REPLICAS });
      await clock.advance(100);
      assert.equal(publisher.lanes.readiness, 'degraded');
      await clock.advance(300);
      kafka.last.answer();
      await clock.advance(100);
      assert.equal(publisher.lanes.readiness, 'available');
      lead(1, -1);
      assert.equal(publisher.lanes.readiness, 'degraded');
    });

    it('is degraded no longer when nothing waits for a leader that could not be reached', async () => {
      const { kafka, publish, clock, publisher } = await started();
      kafka.unreachable.add(1);
      const answer = publish('a', keyIn(0, 1), 1_000);
      await clock.advance(500);
      assert.equal(publisher.lanes.readiness, 'degraded');
      await clock.advance(700);
      assert.equal(answer.outcomes?.[0]?.status, 'not_stored');
      assert.equal(publisher.lanes.readiness, 'available');
    });

    it('makes us ask for metadata every second', async () => {
      const { kafka, publish, clock } = await started();
      publish('slow');
      await clock.advance(1_000);
      const before = kafka.metadataAsked;
      await clock.advance(5_000);
      assert.ok(kafka.metadataAsked - before >= 4, `asked ${kafka.metadataAsked - before} times in 5 s`);
    });
  });

  it('tells refused clients to come back when what waits has drained, at the rate that was seen', async () => {
    const { kafka, publish, clock, publisher } = await started({ eventsMax: 1_000 });
    assert.equal(publisher.retryAfterSeconds(), 5, 'nothing drained yet');
    for (let second = 0; second < 20; second += 1) {
      for (let index = 0; index < 50; index += 1) publish(`s${second}-${index}`);
      await clock.settle();
      kafka.last.answer();
      await clock.advance(1_000);
    }
    assert.equal(publisher.retryAfterSeconds(), 1, 'nothing waits');
    for (let index = 0; index < 500; index += 1) publish(`w${index}`);
    const seconds = publisher.retryAfterSeconds();
    assert.ok(seconds >= 10 && seconds <= 11, `500 events at 50 a second: ${seconds} s`);
  });

  it('holds back for as long as a broker over quota asks for, and no longer', async () => {
    const { kafka, publish, clock } = await started({ leaders: [1, 1] });
    publish('a', keyIn(0, 2));
    await clock.settle();
    kafka.last.answer({}, 2_000);
    const waiting = publish('b', keyIn(1, 2));
    await clock.advance(1_900);
    assert.equal(kafka.requests.length, 1, 'nothing is written, on no channel');
    await clock.advance(200);
    kafka.last.answer();
    await clock.settle();
    assert.equal(waiting.outcomes?.[0]?.status, 'stored');
  });

  describe('unavailable', () => {
    it('refuses at once before the first contact with Kafka', async () => {
      const { publish } = await started({ leaders: [] });
      assert.deepEqual(await outcomesNow(publish('a')), [
        { status: 'not_stored', code: 'kafka-unavailable' },
      ]);
    });

    it('refuses at once after one publish timeout without an ack, then tries one request a second', async () => {
      const { kafka, publish, clock, lead, publisher } = await started();
      publish('a');
      await clock.advance(PUBLISH_TIMEOUT_MS + 100);
      assert.equal(publisher.lanes.state, 'unavailable');
      const refused = [{ status: 'not_stored', code: 'kafka-unavailable' }];
      assert.deepEqual(await outcomesNow(publish('b')), refused);
      kafka.last.lose('timeout');
      lead(1);
      assert.equal(publisher.lanes.state, 'trial', 'metadata alone does not prove that events are taken');
      const tried = publish('c');
      assert.equal(tried.calls, 0);
      assert.deepEqual(await outcomesNow(publish('d')), refused);
      await clock.advance(1_000);
      assert.equal(publish('e').outcomes, undefined);
      kafka.last.answer();
      await clock.settle();
      assert.equal(publisher.lanes.state, 'available');
      assert.equal(tried.outcomes?.[0]?.status, 'stored');
    });

    it('is available on a topic with fewer replicas than it demands in sync', async () => {
      const { publisher } = await started({ leaders: [] });
      const topic = topicLedBy(1);
      const partitions = topic.partitions.map((each) => ({ ...each, replicas: 1, inSyncReplicas: 1 }));
      publisher.lanes.update({ ...topic, partitions }, 2);
      assert.equal(publisher.lanes.state, 'available');
    });

    it('is unavailable again when the metadata shows no usable leader any more', async () => {
      const { publish, clock, lead, publisher } = await started();
      publish('a');
      await clock.advance(PUBLISH_TIMEOUT_MS + 100);
      lead(1);
      lead(-1);
      assert.equal(publisher.lanes.state, 'unavailable');
    });
  });

  it('P7: refuses while draining and counts what it could not settle', async () => {
    const { publish, clock, publisher } = await started();
    publish('a');
    await clock.settle();
    const closing = publisher.close(3_000);
    assert.deepEqual(await outcomesNow(publish('b')), [{ status: 'not_stored', code: 'shutting-down' }]);
    await clock.advance(3_100);
    assert.equal(await closing, 1);
  });
});

interface Options {
  readonly leaders?: readonly number[];
  readonly eventsMax?: number;
  readonly bytesMax?: number;
}

interface Answer {
  outcomes: readonly Outcome[] | undefined;
  calls: number;
}

/** As they are at the end of this turn. */
async function outcomesNow(answer: Answer): Promise<readonly Outcome[] | undefined> {
  await Promise.resolve();
  return answer.outcomes;
}

/** A publisher on a scripted Kafka whose topic has one partition, led by broker 1, unless said otherwise. */
async function started({ leaders = [1], eventsMax = 1_000, bytesMax = 10_000_000 }: Options = {}) {
  const clock = new ManualClock();
  const kafka = new ScriptedKafka();
  const budget = new BufferBudget({ eventsMax, bytesMax });
  const notified: string[] = [];
  const counted: string[] = [];
  const publisher = new DualPublisher({
    clock,
    random: () => 0.5,
    batchLimits: () => ({ bytesMax: 900_000, recordsMax: 1_000 }),
    publishTimeoutMs: PUBLISH_TIMEOUT_MS,
    send: kafka.send,
    release: kafka.release,
    refreshMetadata: kafka.refreshMetadata,
    onState: () => {},
    onTrouble: () => {},
    notify: ({ id }) => notified.push(id),
    budget,
    metrics: {
      kafkaError: () => {},
      kafkaRequestTook: () => {},
      batchSent: () => {},
      publishTook: () => {},
      eventsSettled: (outcome) => counted.push(outcome),
    },
  });
  const lead = (...next: number[]) => publisher.lanes.update(topicLedBy(...next), 1);
  if (leaders.length > 0) lead(...leaders);
  await clock.settle();

  const publishAll = (events: PublishableEvent[], timeoutMs = PUBLISH_TIMEOUT_MS): Answer => {
    const answer: Answer = { outcomes: undefined, calls: 0 };
    const hold = budget.open();
    publisher.publish({
      events,
      hold,
      timeoutMs,
      settled: (outcomes) => {
        answer.outcomes = outcomes;
        answer.calls += 1;
      },
    });
    return answer;
  };
  const publish = (id: string, key = keyIn(0, 1), timeoutMs = PUBLISH_TIMEOUT_MS) =>
    publishAll([event(id, key)], timeoutMs);
  return { clock, kafka, budget, publisher, publish, publishAll, lead, notified, counted };
}

function event(id: string, sourceId = 'octocat'): PublishableEvent {
  return { id, type: 'push', sourceType: 'user', sourceId, head: '{', tail: Buffer.from(`"id":"${id}"}`) };
}

/** A key that falls into this partition of so many. */
function keyIn(partition: number, partitionCount: number): string {
  for (let index = 0; ; index += 1) {
    if (partitionOf(hashKey(`key${index}`), partitionCount) === partition) return `key${index}`;
  }
}

/** Lets time pass and answers every request as it comes. */
async function answeringAll(
  kafka: ScriptedKafka,
  clock: ManualClock,
  ms: number,
  answer: (request: ScriptedKafka['last']) => void,
): Promise<void> {
  let answered = kafka.requests.length - 1;
  for (let passed = 0; passed < ms; passed += 50) {
    for (; answered < kafka.requests.length; answered += 1)
      answer(kafka.requests[answered] as ScriptedKafka['last']);
    await clock.advance(50);
  }
}
