import { type Spread, spreadOf } from './statistics.ts';

/** Everything that was measured, by name, a value for each round; and what casts doubt on it. */
export class Figures {
  readonly #values = new Map<string, number[]>();
  readonly #doubts = new Map<string, number>();

  record(name: string, value: number): void {
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, [value]);
    else values.push(value);
  }

  /** One value for each round; none if it was not measured. */
  of(name: string): readonly number[] {
    return this.#values.get(name) ?? [];
  }

  spread(name: string): Spread | undefined {
    return spreadOf(this.of(name));
  }

  /** The same doubt in several rounds is one, with a count. */
  doubt(what: string): void {
    this.#doubts.set(what, (this.#doubts.get(what) ?? 0) + 1);
  }

  get doubts(): ReadonlyMap<string, number> {
    return this.#doubts;
  }

  toJSON(): Record<string, readonly number[]> {
    return Object.fromEntries(this.#values);
  }
}
