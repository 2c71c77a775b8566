/** What one pass over the bytes of an array or object finds out, without building anything. */
export interface JsonScan {
  /** The position behind its closing bracket; the end of the bytes when it is never closed. */
  readonly end: number;
  /** How many members its objects have together, as written: a name that is given twice counts twice. */
  readonly members: number;
  /** How deep arrays and objects are nested; `[]` alone has depth 1. */
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

/**
 * Scans the array or object that begins at `start`. It looks at strings and brackets only, so the answer holds for
 * JSON, and whether the bytes are JSON remains to be asked. It never recurses: depth costs nothing.
 */
export function scanJson(bytes: Buffer, start: number): JsonScan {
  let members = 0;
  let open = 0;
  let depth = 0;
  let at = start;
  while (at < bytes.length) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) {
      at = stringEnd(bytes, at);
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
 * The elements of the array that these bytes are, each without the white space around it; `undefined` where they are
 * none. The elements themselves remain to be parsed: only what is between them was looked at. Of more than `max` it
 * returns one too many and looks no further.
 */
export function elementsOf(bytes: Buffer, max: number): readonly Buffer[] | undefined {
  const elements: Buffer[] = [];
  let at = afterSpace(bytes, 0);
  if (bytes[at] !== OPENING_SQUARE) return undefined;
  at = afterSpace(bytes, at + 1);
  let isOver = bytes[at] === CLOSING_SQUARE;
  while (!isOver) {
    const start = at;
    at = valueEnd(bytes, start);
    if (at === start) return undefined;
    elements.push(bytes.subarray(start, at));
    if (elements.length > max) return elements;
    at = afterSpace(bytes, at);
    isOver = bytes[at] === CLOSING_SQUARE;
    if (!isOver && bytes[at] !== COMMA) return undefined;
    if (!isOver) at = afterSpace(bytes, at + 1);
  }
  return afterSpace(bytes, at + 1) === bytes.length ? elements : undefined;
}

/** The position behind the value that begins at `start`; `start` itself where none does. */
function valueEnd(bytes: Buffer, start: number): number {
  const first = bytes[start] ?? 0;
  if (first === QUOTE) return stringEnd(bytes, start);
  if ((first | BRACKET_BIT) === OPENING) return scanJson(bytes, start).end;
  let at = start;
  while (at < bytes.length && !isDelimiter(bytes[at] as number)) at += 1;
  return at;
}

function isDelimiter(byte: number): boolean {
  return byte === COMMA || byte === COLON || (byte | BRACKET_BIT) === CLOSING || isSpace(byte);
}

/** The position of the first byte from `start` on that is no white space. */
export function afterSpace(bytes: Buffer, start: number): number {
  let at = start;
  while (at < bytes.length && isSpace(bytes[at] as number)) at += 1;
  return at;
}

/** White space of JSON. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The position behind the string whose opening quote is at `start`. */
function stringEnd(bytes: Buffer, start: number): number {
  let at = start + 1;
  while (at < bytes.length) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return at + 1;
    at += byte === BACKSLASH ? 2 : 1;
  }
  return bytes.length;
}
