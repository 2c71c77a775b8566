import { hash } from 'node:crypto';
import type { ExactRecord } from '../faults/reader.ts';
import { UNREADABLE_KEY } from './event-load.ts';

/** Where a record lies. */
export interface Place {
  readonly partition: number;
  readonly offset: number;
}

/** A record of an event, among the others that have its identity. */
export interface Copy extends Place {
  /** MD5 of its value. */
  readonly digest: string;
}

/** Offsets of one partition that were removed from the log before anybody stored them: `from` and those up to `to`. */
export interface LostRange {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** All that a topic held, as an independent reader found it. What was read before is not taken again. */
export class TopicContents {
  readonly #next = new Map<number, number>();
  readonly #copies = new Map<string, Copy[]>();
  readonly #unreadable: Place[] = [];
  #records = 0;

  add({ partition, offset, key, value }: ExactRecord): void {
    if (offset < (this.#next.get(partition) ?? 0)) return;
    this.#next.set(partition, offset + 1);
    this.#records += 1;
    if (key?.toString() === UNREADABLE_KEY || value === null) {
      this.#unreadable.push({ partition, offset });
      return;
    }
    const { source_type, source_id, id } = JSON.parse(value.toString()) as Record<string, string>;
    const identity = `${source_type} ${source_id} ${id}`;
    const copy = { partition, offset, digest: hash('md5', value) };
    const copies = this.#copies.get(identity);
    if (copies === undefined) this.#copies.set(identity, [copy]);
    else copies.push(copy);
  }

  get records(): number {
    return this.#records;
  }

  unreadable(lost: readonly LostRange[]): Place[] {
    return this.#unreadable.filter((place) => !isLost(place, lost));
  }

  /** The records of each event, in the order of the log where they are of one partition. */
  events(lost: readonly LostRange[]): Map<string, readonly Copy[]> {
    if (lost.length === 0) return this.#copies;
    const kept = [...this.#copies].map(
      ([identity, copies]) => [identity, copies.filter((copy) => !isLost(copy, lost))] as const,
    );
    return new Map(kept.filter(([, copies]) => copies.length > 0));
  }
}

function isLost({ partition, offset }: Place, lost: readonly LostRange[]): boolean {
  return lost.some((range) => range.partition === partition && offset >= range.from && offset < range.to);
}

/** Those that a store may keep: the first one of each partition. An event is in several when their number was raised. */
export function firstCopies(copies: readonly Copy[]): Copy[] {
  const first = new Map<number, Copy>();
  for (const copy of copies) {
    const known = first.get(copy.partition);
    if (known === undefined || copy.offset < known.offset) first.set(copy.partition, copy);
  }
  return [...first.values()];
}
