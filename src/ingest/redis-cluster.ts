import {
  RedisConnection,
  type RedisConnectionOptions,
  type RedisServer,
  type RedisState,
} from './redis-connection.ts';
import { allUnpublished, NOTHING_UNPUBLISHED, type Unpublished } from './redis-publish.ts';
import { siblingOf } from './redis-settings.ts';
import { SLOTS, slotOf } from './redis-slot.ts';

export interface RedisClusterOptions extends Omit<RedisConnectionOptions, 'server' | 'mayBeReplica'> {
  /** Nodes to learn the others from. */
  readonly seeds: readonly RedisServer[];
}

/** How long what is known of the slots may be taken as true while nothing contradicts it. */
const SLOTS_AGE_MAX_MS = 5000;
/** How soon it may be asked for again when something does. */
const SLOTS_INTERVAL_MIN_MS = 250;

/**
 * Publishes to a Redis Cluster: each pair through the master of the slot of its channel. SPUBLISH works nowhere else,
 * and with PUBLISH, which every node passes on to all, it spreads the work and keeps the order within a channel.
 */
export class RedisCluster {
  readonly #options: RedisClusterOptions;
  readonly #nodes = new Map<string, RedisConnection>();
  #owners: (RedisConnection | undefined)[] = [];
  #state: RedisState = 'connecting';
  #timer: NodeJS.Timeout | undefined;
  #isAsking = false;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RedisClusterOptions) {
    if (options.seeds.length === 0) throw new TypeError('There is no URL of a Redis Cluster');
    this.#options = options;
    for (const seed of options.seeds) this.#open(seed);
  }

  /** `up` while at least one node is and the owners of the slots are known. */
  get state(): RedisState {
    return this.#state;
  }

  get reason(): string {
    for (const { state, reason } of this.#nodes.values()) if (state === 'down') return reason;
    return 'the owners of the slots are not known';
  }

  /** See {@link RedisConnection.publish}. All nodes concerned work at the same time. */
  async publish(pairs: readonly string[]): Promise<Unpublished> {
    const shares = new Map<RedisConnection | undefined, { pairs: string[]; positions: number[] }>();
    for (let at = 0; at < pairs.length; at += 2) {
      const channel = pairs[at] as string;
      const node = this.#nodeFor(channel);
      const share = shares.get(node) ?? { pairs: [], positions: [] };
      shares.set(node, share);
      share.pairs.push(channel, pairs[at + 1] as string);
      share.positions.push(at / 2);
    }
    const results = await Promise.all(
      Array.from(shares, async ([node, share]) => {
        const count = share.positions.length;
        const refused =
          node === undefined ? allUnpublished(count, this.reason) : await node.publish(share.pairs);
        return {
          reason: refused.reason,
          positions: refused.positions.map((at) => share.positions[at] as number),
        };
      }),
    );
    const positions = results.flatMap((result) => result.positions);
    if (positions.length === 0) return NOTHING_UNPUBLISHED;
    // Perhaps the slots have moved.
    this.#askSoon();
    return { positions, reason: results.find((result) => result.positions.length > 0)?.reason ?? '' };
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const node of this.#nodes.values()) node.close();
    this.#become('closed');
  }

  /** The master of the channel's slot. While it is down any node does for PUBLISH, and none for SPUBLISH. */
  #nodeFor(channel: string): RedisConnection | undefined {
    const owner = this.#owners[slotOf(channel)];
    if (owner?.state === 'up') return owner;
    return this.#options.publishBy === 'PUBLISH' ? this.#someNode() : undefined;
  }

  #someNode(): RedisConnection | undefined {
    const up = Array.from(this.#nodes.values()).filter(({ state }) => state === 'up');
    return up[Math.floor(Math.random() * up.length)];
  }

  #open(server: RedisServer): RedisConnection {
    const known = this.#nodes.get(server.name);
    if (known !== undefined) return known;
    const onState = () => this.#changed();
    const node = new RedisConnection({ ...this.#options, server, mayBeReplica: true, onState });
    this.#nodes.set(server.name, node);
    return node;
  }

  /** A node has come or gone, or the slots have become known. */
  #changed(): void {
    if (this.#state === 'closed') return;
    const states = Array.from(this.#nodes.values(), ({ state }) => state);
    // Not before the others have had their chance: what is sharded would fail for the slots of those.
    const isComplete = this.#owners.length > 0 && !states.includes('connecting');
    if (states.includes('up')) {
      if (isComplete) this.#become('up');
    } else if (states.every((state) => state === 'down')) {
      this.#become('down');
    }
    if (this.#owners.length === 0 || states.includes('down')) this.#askSoon();
  }

  #become(state: RedisState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.#options.onState();
  }

  #askSoon(): void {
    if (this.#isAsking || this.#state === 'closed') return;
    this.#askAfter(Math.max(0, this.#askedAt + SLOTS_INTERVAL_MIN_MS - performance.now()));
  }

  #askAfter(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), delayMs);
  }

  /** Asks some node for the owners of the slots. With none up, begins again from the seeds. */
  async #ask(): Promise<void> {
    this.#isAsking = true;
    this.#askedAt = performance.now();
    const node = this.#someNode();
    if (node === undefined) for (const seed of this.#options.seeds) this.#open(seed);
    else this.#learn(node, await node.ask(['CLUSTER', 'SLOTS']));
    this.#isAsking = false;
    if (this.#state !== 'closed') this.#askAfter(SLOTS_AGE_MAX_MS);
  }

  /** Takes over what `node` says: rows of first slot, last slot, master, replicas. Anything else changes nothing. */
  #learn(node: RedisConnection, rows: unknown): void {
    if (!Array.isArray(rows) || rows.length === 0 || this.#state === 'closed') return;
    const owners = Array.from<RedisConnection | undefined>({ length: SLOTS });
    for (const [first, last, [host, port]] of rows as [number, number, [string | null, number]][]) {
      // A node that does not know its own name means the one it was reached by.
      const name = host === null || host === '' || host === '?' ? (node.server.options.host ?? '') : host;
      owners.fill(this.#open(siblingOf(node.server, name, port)), first, last + 1);
    }
    this.#owners = owners;
    const masters = new Set(owners);
    for (const [name, known] of this.#nodes) {
      if (masters.has(known)) continue;
      known.close();
      this.#nodes.delete(name);
    }
    this.#changed();
  }
}
