/** What is asserted about a run, printed as it comes to be known. */
export class Claims {
  readonly #print: (line: string) => void;
  #passed = 0;
  #failed = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  add(text: string, holds: boolean): void {
    this.#print(`${holds ? 'yes' : 'NO '}  ${text}`);
    if (holds) this.#passed += 1;
    else this.#failed += 1;
  }

  /** The last line. Returns the exit code. */
  summary(): number {
    this.#print(`${this.#passed} passed, ${this.#failed} failed`);
    return this.#failed === 0 && this.#passed > 0 ? 0 : 1;
  }
}
