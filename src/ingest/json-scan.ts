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
