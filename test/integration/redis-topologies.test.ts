import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../dev/free-port.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import type { RedisSettings } from '../../src/ingest/redis-settings.ts';
import { SLOTS, slotOf } from '../../src/ingest/redis-slot.ts';
import { channelOf } from '../../src/notification.ts';
import { type RecordedNotifier, recordedNotifier, until } from '../fakes/recorded-notifier.ts';
import { type Subscriber, subscribeTo, tell } from './redis-subscriber.ts';

const TIMES = { probeIntervalMs: 200, backoffMaxMs: 200, answerTimeoutMs: 300 };

const channelFor = (source: string) => channelOf('user', source);

/** What a test has opened, whether or not it succeeds. */
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function subscribe(...args: Parameters<typeof subscribeTo>): Promise<Subscriber> {
  const subscriber = await subscribeTo(...args);
  closers.push(() => subscriber.close());
  return subscriber;
}

async function openUp(redis: RedisSettings, aggregateChannels = false): Promise<RecordedNotifier> {
  const recorded = recordedNotifier({ redis, aggregateChannels, times: TIMES });
  closers.push(() => recorded.notifier.close(1000));
  await until(() => recorded.notifier.state === 'up', 'up');
  return recorded;
}

describe('behind Sentinel', () => {
  let master: LocalRedis;
  let replica: LocalRedis;
  let sentinel: LocalRedis;
  before(async () => {
    master = await startRedis({ config: ['repl-diskless-sync-delay 0'] });
    replica = await startRedis({ config: [`replicaof 127.0.0.1 ${master.port}`] });
    sentinel = await startRedis({
      args: ['--sentinel'],
      config: [
        `sentinel monitor main 127.0.0.1 ${master.port} 1`,
        'sentinel down-after-milliseconds main 300',
        'sentinel failover-timeout main 2000',
      ],
    });
    await untilAsync(
      async () =>
        String(await tell(sentinel.port, 'SENTINEL', 'REPLICAS', 'main')).includes('master-link-status,ok'),
      'the Sentinel knows the replica',
    );
  });
  after(async () => {
    await Promise.all([master.kill(), replica.kill(), sentinel.kill()]);
  });

  test('P2: follows the master through a failover, past a Sentinel that does not answer', async () => {
    const urls = ['redis://127.0.0.1:1', sentinel.url];
    const recorded = await openUp({ mode: 'sentinel', urls, masterName: 'main' });
    const atMaster = await subscribe(master.port, 'PSUBSCRIBE', ['events:*']);
    recorded.notify(3);
    await until(() => atMaster.heard.length === 3, 'heard from the master');
    const atReplica = await subscribe(replica.port, 'PSUBSCRIBE', ['events:*']);
    await master.kill();
    await until(() => recorded.notifier.state === 'down', 'down');
    await until(() => recorded.notifier.state === 'up', 'up again', 10_000);
    recorded.notify(3, 3);
    await until(() => atReplica.heard.length === 3, 'heard from the new master');
    assert.deepEqual(atReplica.ids(), [3, 4, 5]);
  });

  test('P2: a name that the Sentinels do not know is down, and not a crash', async () => {
    const recorded = recordedNotifier({
      redis: { mode: 'sentinel', urls: [sentinel.url], masterName: 'other' },
      times: TIMES,
    });
    closers.push(() => recorded.notifier.close(0));
    await until(() => recorded.notifier.state === 'down', 'down');
    recorded.notify(1);
    await recorded.notifier.close(100);
    assert.deepEqual(recorded.counts, { sent: 0, failed: 1, dropped: 0 });
  });
});

describe('in a Cluster', () => {
  const nodes: LocalRedis[] = [];
  const busPorts: number[] = [];
  const nodeAt = (index: number) => nodes[index] as LocalRedis;
  const seeds = () => nodes.map(({ url }) => url);
  const ownerOf = (channel: string) => Math.floor((slotOf(channel) * nodes.length) / SLOTS);
  const sources = Array.from({ length: 30 }, (_, index) => `s${index}`);
  const sourcesOf = (node: number) => sources.filter((source) => ownerOf(channelFor(source)) === node);

  before(async () => {
    for (let index = 0; index < 3; index += 1) {
      // By default the nodes talk to each other 10,000 ports higher, among those of outgoing connections.
      const busPort = await freePort();
      const config = ['cluster-enabled yes', `cluster-port ${busPort}`, 'cluster-node-timeout 2000'];
      nodes.push(await startRedis({ config: [...config, 'cluster-require-full-coverage no'] }));
      busPorts.push(busPort);
    }
    const boundary = (index: number) => Math.ceil((index * SLOTS) / nodes.length);
    await Promise.all(
      nodes.map(({ port }, index) =>
        tell(port, 'CLUSTER', 'ADDSLOTSRANGE', boundary(index), boundary(index + 1) - 1),
      ),
    );
    // Busy machines: a handshake that takes longer than the node timeout is forgotten, and one anew helps.
    const meet = () =>
      Promise.all(
        nodes.map(({ port }, index) =>
          tell(nodeAt(0).port, 'CLUSTER', 'MEET', '127.0.0.1', port, busPorts[index] ?? 0),
        ),
      );
    await meet();
    const meeting = setInterval(meet, 3000);
    await untilAsync(clusterStands, 'the cluster stands', 20_000).finally(() => clearInterval(meeting));
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.kill()));
  });

  /** Every node has a connection to each other one, over which PUBLISH is passed on, and knows all slots. */
  async function clusterStands(): Promise<boolean> {
    const views = await Promise.all(nodes.map(({ port }) => tell(port, 'CLUSTER', 'NODES')));
    const infos = await Promise.all(nodes.map(({ port }) => tell(port, 'CLUSTER', 'INFO')));
    return (
      views.every((view) => String(view).match(/ connected \d+-\d+$/gm)?.length === nodes.length) &&
      infos.every((info) => String(info).includes('cluster_state:ok'))
    );
  }

  test('the slot of a channel is what Redis says', async () => {
    const channels = [
      '',
      'events:user:octocat',
      'a{b}c',
      'a{}c',
      '{',
      '}{x',
      'a{b{c}d}',
      'é日本😀',
      'x{日本}',
    ];
    const said = await Promise.all(
      channels.map((channel) => tell(nodeAt(0).port, 'CLUSTER', 'KEYSLOT', channel)),
    );
    assert.deepEqual(channels.map(slotOf), said);
  });

  test('P8: PUBLISH reaches a subscriber at any node once, in order for each source, aggregates included', async () => {
    const subscriber = await subscribe(nodeAt(2).port, 'PSUBSCRIBE', ['events:*']);
    const recorded = await openUp({ mode: 'cluster', urls: seeds().slice(0, 1), sharded: false }, true);
    for (let round = 0; round < 20; round += 1) {
      for (const source of sources) recorded.notify(1, round, source);
      await sleep(1);
    }
    await until(() => subscriber.heard.length === 2 * 20 * sources.length, 'heard');
    await until(() => recorded.counts.sent === 20 * sources.length, 'sent');
    for (const source of sources) {
      const ofSource = subscriber.heard.filter(({ channel }) => channel === channelFor(source));
      assert.deepEqual(
        ofSource.map(({ message }) => Number(JSON.parse(message).id)),
        Array.from({ length: 20 }, (_, round) => round),
      );
    }
    assert.equal(subscriber.heard.filter(({ channel }) => channel === 'events:user').length, 600);
  });

  test('SPUBLISH goes to the node of the slot, aggregates included, and each event counts once', async () => {
    const subscribers = await Promise.all(
      nodes.map(({ port }, index) => {
        const channels = sourcesOf(index).map(channelFor);
        if (ownerOf('events:user') === index) channels.push('events:user');
        return subscribe(port, 'SSUBSCRIBE', channels);
      }),
    );
    const recorded = await openUp({ mode: 'cluster', urls: seeds().slice(1, 2), sharded: true }, true);
    for (const source of sources) recorded.notify(5, 0, source);
    const heard = () => subscribers.flatMap((subscriber) => subscriber.heard);
    await until(() => heard().length === 2 * 5 * sources.length, 'heard');
    await until(() => recorded.settled() === 5 * sources.length, 'settled');
    assert.deepEqual(recorded.counts, { sent: 5 * sources.length, failed: 0, dropped: 0 });
    assert.ok(subscribers.every((subscriber) => subscriber.heard.length > 0));
  });

  test('SPUBLISH follows a slot that moves: what is refused counts as failed, later ones arrive', async () => {
    const channel = channelFor('s0');
    const [from, to] = [ownerOf(channel), (ownerOf(channel) + 1) % nodes.length];
    const recorded = await openUp({ mode: 'cluster', urls: seeds(), sharded: true });
    const set = (index: number, ...how: string[]) =>
      tell(nodeAt(index).port, 'CLUSTER', 'SETSLOT', slotOf(channel), ...how);
    const give = async (giver: number, taker: number) => {
      const [giverId, takerId] = await Promise.all(
        [giver, taker].map(async (index) => String(await tell(nodeAt(index).port, 'CLUSTER', 'MYID'))),
      );
      // Importing first: only so does the taker's claim outrank the giver's.
      await set(taker, 'IMPORTING', giverId ?? '');
      await set(giver, 'MIGRATING', takerId ?? '');
      for (const index of [taker, giver, 3 - giver - taker]) await set(index, 'NODE', takerId ?? '');
    };
    await give(from, to);
    closers.push(() => give(to, from));
    const subscriber = await subscribe(nodeAt(to).port, 'SSUBSCRIBE', [channel]);
    let count = 0;
    await untilAsync(
      async () => {
        recorded.notify(1, count, 's0');
        count += 1;
        await sleep(20);
        return recorded.counts.sent > 0;
      },
      'sent',
      2000,
    );
    await until(() => recorded.settled() === count && subscriber.heard.length > 0, 'settled');
    assert.equal(recorded.counts.sent, subscriber.heard.length);
    assert.ok(recorded.counts.failed > 0);
    assert.match(recorded.log.map(({ text }) => text).join(), /is up/);
  });

  test('P2: with a node stopped, PUBLISH goes by another; SPUBLISH fails for its slots alone; both recover', async () => {
    const stopped = ownerOf(channelFor('s0'));
    const stays = (stopped + 1) % nodes.length;
    const elsewhere = sourcesOf(stays)[0] as string;
    const plain = await openUp({ mode: 'cluster', urls: seeds(), sharded: false });
    const sharded = await openUp({ mode: 'cluster', urls: seeds(), sharded: true });
    const subscriber = await subscribe(nodeAt(stays).port, 'PSUBSCRIBE', ['events:*']);
    nodeAt(stopped).pause();
    closers.push(() => nodeAt(stopped).resume());

    plain.notify(1, 1, 's0');
    sharded.notify(1, 1, 's0');
    await until(() => plain.settled() === 1 && sharded.settled() === 1, 'the first are given up');
    assert.deepEqual([plain.counts.failed, sharded.counts.failed], [1, 1]);
    plain.notify(5, 2, 's0');
    sharded.notify(5, 2, 's0');
    sharded.notify(5, 2, elsewhere);
    await until(() => plain.counts.sent === 5 && sharded.settled() === 11, 'the others are settled');
    assert.deepEqual(sharded.counts, { sent: 5, failed: 6, dropped: 0 });
    await until(() => subscriber.heard.length === 5, 'heard by another node');
    assert.deepEqual([plain.notifier.state, sharded.notifier.state], ['up', 'up']);

    nodeAt(stopped).resume();
    await untilAsync(async () => {
      sharded.notify(1, 7, 's0');
      await sleep(50);
      return sharded.counts.sent > 5;
    }, 'the slots of the stopped node are served again');
  });

  test('P2: with all nodes gone it is down, and it comes back with them', async () => {
    const recorded = await openUp({ mode: 'cluster', urls: seeds().slice(0, 1), sharded: false });
    await Promise.all(nodes.map((node) => node.kill()));
    await until(() => recorded.notifier.state === 'down', 'down');
    recorded.notify(3);
    await Promise.all(nodes.map((node) => node.start()));
    await until(() => recorded.notifier.state === 'up', 'up again');
    await until(() => recorded.counts.sent === 3, 'sent what was kept');
  });
});

async function untilAsync(
  condition: () => Promise<boolean>,
  what: string,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  // oxlint-disable-next-line no-await-in-loop -- that is what waiting is
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(`not within ${timeoutMs} ms: ${what}`);
    await sleep(50);
  }
}
