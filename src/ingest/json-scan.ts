/** What one pass over the bytes of a JSON value finds out, without building anything. */
export interface JsonScan {
  /** The position behind the value; where the scan stopped, if it is never closed. */
  readonly end: number;
  /** How many members its objects have together, as written: a name that is given twice counts twice. */
  readonly members: number;
  /** How deep arrays and objects are nested; `[]` alone has depth 1, a scalar 0. */
  readonly depth: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPENING_SQUARE = 0x5b;
const CLOSING_SQUARE = 0x5d;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
/** Square and curly brackets differ in one bit. */
const BRACKET_BIT = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;

/** So much white space is skipped in one go; ten megabytes of it take tens of milliseconds. */
const SPACE_BYTES_MAX = 16 * 1024;

/**
 * Scans the value that begins at `start`, up to `limit` at most. It looks at strings and brackets only, so the answer
 * holds for JSON, and whether the bytes are JSON remains to be asked. It never recurses: depth costs nothing.
 * Where no value begins, `end` is `start`.
 */
export function scanJson(bytes: Buffer, start: number, limit: number): JsonScan {
  const first = bytes[start] as number;
  let members = 0;
  let open = 0;
  let depth = 0;
  let at = start;
  if ((first | BRACKET_BIT) !== OPENING) {
    return { end: scalarEnd(bytes, start, limit), members, depth };
  }
  while (at < limit) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) {
      at = stringEnd(bytes, at, limit);
      continue;
    }
    at += 1;
    if (byte === COLON) {
      members += 1;
    } else if ((byte | BRACKET_BIT) === OPENING) {
      open += 1;
      if (open > depth) depth = open;
    } else if ((byte | BRACKET_BIT) === CLOSING) {
      open -= 1;
      if (open === 0) break;
    }
  }
  return { end: at, members, depth };
}

/**
 * The elements of the array that some bytes are, one after the other. The elements themselves remain to be parsed: only
 * what is between them is judged.
 */
export class JsonElements {
  readonly #bytes: Buffer;
  #at = 0;
  #expected: 'array' | 'element or end' | 'element' | 'comma or end' | 'nothing' = 'array';
  /** Of the latest element. */
  start = 0;
  scan: JsonScan = { end: 0, members: 0, depth: 0 };

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** How far it has come. */
  get position(): number {
    return this.#at;
  }

  /** Whether it has found no array yet, and nothing else either. */
  get isBlank(): boolean {
    return this.#expected === 'array';
  }

  /** Looks for the next element. `more`: it was not reached yet, because of much white space before it. */
  next(): 'element' | 'more' | 'end' | 'malformed' {
    const bytes = this.#bytes;
    for (;;) {
      const { end: at, isWhole } = someSpaceEnd(bytes, this.#at);
      this.#at = at;
      if (!isWhole) return 'more';
      const byte = bytes[at];
      if (byte === undefined) return this.isBlank || this.#expected === 'nothing' ? 'end' : 'malformed';
      if (this.#expected === 'element' || (this.#expected === 'element or end' && byte !== CLOSING_SQUARE)) {
        this.start = at;
        this.scan = scanJson(bytes, at, bytes.length);
        this.#at = this.scan.end;
        this.#expected = 'comma or end';
        return this.#at === at ? 'malformed' : 'element';
      }
      this.#at += 1;
      if (this.#expected === 'array' && byte === OPENING_SQUARE) this.#expected = 'element or end';
      else if (this.#expected === 'comma or end' && byte === COMMA) this.#expected = 'element';
      else if (this.#expected !== 'array' && this.#expected !== 'nothing' && byte === CLOSING_SQUARE)
        this.#expected = 'nothing';
      else return 'malformed';
    }
  }
}

/** The position behind the string or the word that begins at `start`; `start` itself where none does. */
function scalarEnd(bytes: Buffer, start: number, limit: number): number {
  if (bytes[start] === QUOTE) return stringEnd(bytes, start, limit);
  let at = start;
  while (at < limit && !isDelimiter(bytes[at] as number)) at += 1;
  return at;
}

function isDelimiter(byte: number): boolean {
  return byte === COMMA || byte === COLON || (byte | BRACKET_BIT) === CLOSING || isSpace(byte);
}

/** The end of the white space from `start` on, or of as much as is skipped in one go. */
export function someSpaceEnd(bytes: Buffer, start: number): { end: number; isWhole: boolean } {
  const end = afterSpace(bytes, start, Math.min(bytes.length, start + SPACE_BYTES_MAX));
  return { end, isWhole: end < start + SPACE_BYTES_MAX };
}

/** The position of the first byte from `start` on that is no white space, or `limit`. */
export function afterSpace(bytes: Buffer, start: number, limit: number): number {
  let at = start;
  while (at < limit && isSpace(bytes[at] as number)) at += 1;
  return at;
}

/** White space of JSON. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The position behind the string whose opening quote is at `start`. */
function stringEnd(bytes: Buffer, start: number, limit: number): number {
  let at = start + 1;
  while (at < limit) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return at + 1;
    at += byte === BACKSLASH ? 2 : 1;
  }
  return limit;
}
