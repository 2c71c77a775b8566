/** How many of all values fell into which bucket, and their sum: what a Prometheus histogram tells of them. */
export class BucketCounts {
  /** Upper bounds, ascending; a value equal to one belongs to it. */
  readonly bounds: readonly number[];
  /** One more than there are bounds, for what is larger than all of them. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  get sum(): number {
    return this.#sum;
  }

  observe(value: number): void {
    let index = 0;
    while (index < this.bounds.length && value > (this.bounds[index] as number)) index += 1;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#sum += value;
  }

  /** For each bound how many values are not larger, and last how many there are. */
  cumulative(): number[] {
    let total = 0;
    return this.#counts.map((count) => {
      total += count;
      return total;
    });
  }
}
