import { setTimeout as delay } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { leaderKill } from './leader-kill.ts';
import { startLeaderMover } from './leader-mover.ts';
import type { Scenario, Stage } from './scenario.ts';

/** Before the first fault and after the last. */
const CALM_MS = 4_000;
/** Longer than the longest answer: what was accepted in the fault is settled. */
const SETTLED_MS = 16_000;

const leaderStop: Scenario = {
  name: 'leader-stop',
  summary: 'SIGSTOP of a leader for a minute (--seconds): its connections stay open and say nothing',
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  async run({ cluster, topic, seconds = 60, tell, healed }) {
    await delay(CALM_MS);
    const leader = await leaderOf(cluster, topic, 0);
    cluster.broker(leader).pause();
    tell(`stopped broker ${leader}`);
    await delay(seconds * 1_000);
    cluster.broker(leader).resume();
    healed(`broker ${leader} goes on`);
    await delay(CALM_MS + 6_000);
  },
};

const rollingTerm: Scenario = {
  name: 'rolling-term',
  summary: 'SIGTERM to one broker after the other, as an upgrade does it',
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  async run({ cluster, topic, tell, healed }) {
    await delay(CALM_MS);
    for (const broker of cluster.brokers) {
      tell(`terminating broker ${broker.nodeId}`);
      await broker.stop();
      await delay(1_000);
      await broker.start();
      healed(`broker ${broker.nodeId} is back`);
      if (!(await cluster.untilInSync(topic))) tell('the replicas are not in sync again');
      await delay(2_000);
    }
  },
};

const answersLost: Scenario = {
  name: 'answers-lost',
  summary:
    'requests arrive and are executed, their answers are lost: for 2 s, then the connections are reset or hang',
  cluster: { isProxied: true },
  storedShareMin: 0.995,
  async run({ cluster, tell, healed }) {
    await delay(CALM_MS);
    for (let round = 0; round < 4; round += 1) {
      const proxy = cluster.proxies[round % cluster.proxies.length];
      tell(`the answers of broker ${(round % 3) + 1} are lost`);
      proxy?.loseAnswers();
      await delay(2_000);
      const isReset = round % 2 === 0;
      if (isReset) proxy?.reset();
      proxy?.deliver();
      if (isReset) healed('its connections are reset');
      else tell('answers arrive again, on connections that wait for those lost');
      await delay(isReset ? 6_000 : 13_000);
    }
  },
};

const requestsLost: Scenario = {
  name: 'requests-lost',
  summary: 'requests are lost on their way to one broker for 2 s, then the connections are reset',
  cluster: { isProxied: true },
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  async run({ cluster, tell, healed }) {
    await delay(CALM_MS);
    for (const [index, proxy] of cluster.proxies.entries()) {
      tell(`requests to broker ${index + 1} are lost`);
      proxy.loseRequests();
      await delay(2_000);
      // Reset first: half a request must not be followed by the next.
      proxy.reset();
      proxy.deliver();
      healed('the connections are reset');
      await delay(6_000);
    }
  },
};

const minInSyncLost: Scenario = {
  name: 'min-insync-lost',
  summary: 'two of three brokers die, the controller lives: nothing is acknowledged (--seconds)',
  cluster: { controllers: 1 },
  async run(stage) {
    const { cluster, ledger, seconds = 40, tell, healed, assert } = stage;
    await delay(CALM_MS);
    const [first, second] = cluster.brokers;
    await Promise.all([first?.kill(), second?.kill()]);
    tell('killed two brokers');
    // By then they are fenced: what is accepted from here on can only be refused.
    await delay(10_000);
    const from = performance.now();
    await delay(seconds * 1_000 - 10_000);
    const until = performance.now();
    await Promise.all([first?.start(), second?.start()]);
    healed('both are back');
    await delay(SETTLED_MS + 2_000);
    // Waiting events may see the brokers' return, so only those whose whole patience lay before it count.
    const { stored, unknown, not_stored } = ledger.outcomesBetween(from, until - SETTLED_MS);
    assert('acknowledged without quorum', stored === 0, String(stored));
    assert('unknown though refused', unknown === 0, `${unknown} beside ${not_stored} not stored`);
  },
};

const allStopped: Scenario = {
  name: 'all-stopped',
  summary: 'every broker is killed for a while (--seconds), then started again',
  async run({ cluster, seconds = 60, tell, healed }) {
    await delay(CALM_MS);
    tell('killing all brokers');
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    await delay(seconds * 1_000);
    await Promise.all(cluster.nodes.map((node) => node.start()));
    healed('all are back');
    await delay(12_000);
  },
};

const leaderMoves: Scenario = {
  name: 'leader-moves',
  summary: 'leadership of a random partition moves every 2 s while every broker runs (--seconds)',
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  async run(stage) {
    const { cluster, topic, seconds = 40, random, tell, healed } = stage;
    const mover = await startLeaderMover(cluster.address, topic);
    const giveUpAt = performance.now() + seconds * 1_000;
    let moves = 0;
    while (performance.now() < giveUpAt) {
      const partition = Math.floor(random() * 6);
      const leader = await leaderOf(cluster, topic, partition);
      const next = 1 + ((leader + (random() < 0.5 ? 0 : 1)) % 3);
      const fault = (await mover.place(partition, firstOf(next))) ?? (await mover.elect(partition));
      if (fault !== undefined) tell(`partition ${partition} to broker ${next}: ${fault}`);
      else moves += 1;
      await delay(2_000);
    }
    await mover.close();
    healed(`${moves} moves`);
    await delay(CALM_MS);
  },
};

const partitionsRaised: Scenario = {
  name: 'partitions-raised',
  summary: 'the topic grows from 6 to 12 partitions under load',
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  async run({ cluster, topic, subject, tell, healed, assert }) {
    await delay(CALM_MS);
    const client = new kafkajs.Kafka({
      brokers: cluster.address.split(','),
      logLevel: kafkajs.logLevel.NOTHING,
    });
    const admin = client.admin();
    await admin.connect();
    await admin.createPartitions({ topicPartitions: [{ topic, count: 12 }] });
    await admin.disconnect();
    tell('12 partitions');
    const startedAt = performance.now();
    while (subject.partitionCount() !== 12 && performance.now() - startedAt < 90_000) await delay(250);
    const tookMs = Math.round(performance.now() - startedAt);
    assert('new partitions used', subject.partitionCount() === 12, `after ${tookMs} ms`);
    healed('the publisher knows');
    await delay(CALM_MS);
  },
};

const cutOffLeader: Scenario = {
  name: 'cut-off-leader',
  summary: 'a leader dies while its followers are stopped, with what only it has; three times',
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  async run({ cluster, topic, tell, healed }) {
    await delay(CALM_MS);
    for (let round = 0; round < 3; round += 1) {
      const leader = await leaderOf(cluster, topic, round);
      const followers = cluster.brokers.filter(({ nodeId }) => nodeId !== leader);
      for (const follower of followers) follower.pause();
      await delay(1_000);
      await cluster.broker(leader).kill();
      for (const follower of followers) follower.resume();
      tell(`killed broker ${leader}, which was alone for a second`);
      await delay(8_000);
      await cluster.broker(leader).start();
      healed(`broker ${leader} is back`);
      if (!(await cluster.untilInSync(topic))) tell('the replicas are not in sync again');
      await delay(2_000);
    }
  },
};

const movedWhileWaiting: Scenario = {
  name: 'moved-while-waiting',
  summary:
    'leadership moves while appends wait for a stopped follower: NOT_LEADER for what the new leader has',
  cluster: { controllers: 1 },
  storedShareMin: 0.995,
  duplicatesShareMax: 0.01,
  async run({ cluster, topic, tell, healed }) {
    const mover = await startLeaderMover(cluster.address, topic);
    await delay(CALM_MS);
    for (let round = 0; round < 8; round += 1) {
      const partition = round % 6;
      const leader = await leaderOf(cluster, topic, partition);
      const [next, stopped] = cluster.brokers.filter(({ nodeId }) => nodeId !== leader);
      let fault = await mover.place(partition, firstOf(next?.nodeId ?? 1));
      stopped?.pause();
      // All of this within a second, because what takes longer is given up rather than waited for.
      await delay(150);
      fault ??= await mover.elect(partition);
      await delay(150);
      stopped?.resume();
      const what = `partition ${partition} from broker ${leader} to ${next?.nodeId}, with ${stopped?.nodeId} stopped`;
      healed(fault === undefined ? what : `${what}: ${fault}`);
      if (!(await cluster.untilInSync(topic))) tell('the replicas are not in sync again');
      await delay(2_000);
    }
    await mover.close();
  },
};

const quorumLost: Scenario = {
  name: 'quorum-lost',
  summary: 'two of three brokers die that are controllers too: no leader can be elected (--seconds)',
  async run({ cluster, seconds = 30, tell, healed }) {
    await delay(CALM_MS);
    const [first, second] = cluster.brokers;
    await Promise.all([first?.kill(), second?.kill()]);
    tell('killed two brokers');
    await delay(seconds * 1_000);
    await Promise.all([first?.start(), second?.start()]);
    healed('both are back');
    await delay(12_000);
  },
};

const partitionStuck: Scenario = {
  name: 'partition-stuck',
  summary: 'one partition of six waits for a stopped follower for 40 s (--seconds): the others must not',
  // Nobody declares the stopped broker dead, so that its partition stays stuck.
  cluster: {
    controllers: 1,
    properties: { 'broker.session.timeout.ms': '120000', 'replica.lag.time.max.ms': '120000' },
  },
  duplicatesShareMax: 0.01,
  async run({ cluster, topic, ledger, seconds = 40, tell, healed, assert }) {
    const mover = await startLeaderMover(cluster.address, topic);
    for (const partition of [0, 1, 2, 3, 4, 5]) {
      const leader = 1 + (partition % 2);
      const others = partition === 0 ? [2, 3] : [3 - leader];
      const fault = (await mover.place(partition, [leader, ...others])) ?? (await mover.elect(partition));
      if (fault !== undefined) tell(`partition ${partition}: ${fault}`);
    }
    await mover.close();
    // Longer than a publisher that is up to date goes without asking for metadata.
    await delay(10_000);
    const calmFrom = performance.now();
    await delay(10_000);
    const from = performance.now();
    cluster.broker(3).pause();
    tell('stopped broker 3, a follower of partition 0 alone');
    await delay(seconds * 1_000);
    const until = performance.now();
    cluster.broker(3).resume();
    healed('broker 3 goes on');
    await delay(SETTLED_MS);
    const calmMs = ledger.p99MsOfSingles(calmFrom, from, isSibling);
    const allMs = ledger.p99MsOfSingles(from, until, isSibling);
    const laterMs = ledger.p99MsOfSingles(from + 2_000, until, isSibling);
    const found = `${laterMs.toFixed(1)} ms, calm ${calmMs.toFixed(1)} ms, with the first 2 s ${allMs.toFixed(1)} ms`;
    assert('p99 of the other partitions', laterMs <= 2 * calmMs, found);
  },
};

function isSibling(partition: number): boolean {
  return partition > 0;
}

const otherTopicDeleted: Scenario = {
  name: 'other-topic-deleted',
  summary: 'another topic is created and deleted again and again',
  storedShareMin: 1,
  duplicatesShareMax: 0,
  async run({ cluster, tell }) {
    const client = new kafkajs.Kafka({
      brokers: cluster.address.split(','),
      logLevel: kafkajs.logLevel.NOTHING,
    });
    const admin = client.admin();
    await admin.connect();
    for (let round = 0; round < 5; round += 1) {
      const other = `other-${round}`;
      await admin.createTopics({ topics: [{ topic: other, numPartitions: 6 }], waitForLeaders: false });
      await delay(2_000);
      await admin.deleteTopics({ topics: [other] });
      tell(`created and deleted ${other}`);
    }
    await admin.disconnect();
    await delay(CALM_MS);
  },
};

const leaderKillDefaults: Scenario = {
  ...leaderKill,
  name: 'leader-kill-defaults',
  summary: "as leader-kill, with the brokers' default timeouts",
  cluster: { properties: { 'broker.session.timeout.ms': '9000', 'broker.heartbeat.interval.ms': '2000' } },
};

export const scenarios: readonly Scenario[] = [
  leaderKill,
  leaderStop,
  rollingTerm,
  answersLost,
  requestsLost,
  minInSyncLost,
  allStopped,
  leaderMoves,
  partitionsRaised,
  cutOffLeader,
  movedWhileWaiting,
  quorumLost,
  partitionStuck,
  otherTopicDeleted,
  leaderKillDefaults,
];

async function leaderOf(cluster: Stage['cluster'], topic: string, partition: number): Promise<number> {
  const states = await cluster.partitions(topic);
  const leader = states[partition]?.leader;
  if (leader === undefined || leader < 1) throw new Error(`partition ${partition} has no leader`);
  return leader;
}

/** All brokers, this one first. */
function firstOf(nodeId: number): readonly number[] {
  return [nodeId, ...[1, 2, 3].filter((each) => each !== nodeId)];
}
