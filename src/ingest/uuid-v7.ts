import { randomFillSync } from 'node:crypto';

/**
 * UUIDs of version 7 (RFC 9562, section 5.7) in ascending order: 48 bits of milliseconds, a counter of 12 bits that
 * starts anew at random in each millisecond (section 6.2, method 1), and 62 random bits.
 */

const COUNTER_MAX = 0xfff;
/** A fresh counter leaves the upper half free, so that 2048 ids and more fit into one millisecond. */
const COUNTER_START_MAX = 0x7ff;
const RANDOM_BYTES_PER_ID = 8;
const HEX = Buffer.from('0123456789abcdef');

const pool = Buffer.alloc(512 * RANDOM_BYTES_PER_ID);
let poolAt = pool.length;
const text = Buffer.from('00000000-0000-7000-8000-000000000000');
let lastMs = -1;
let counter = 0;

/**
 * The next id, greater than every one before it in this process. `nowMs` is the wall clock; when it stands still or
 * goes back, or a millisecond is used up, the ids go on from where they were.
 */
export function assignId(nowMs: number): string {
  const random = takeRandom();
  if (nowMs > lastMs) startMillisecond(nowMs, pool.readUInt16BE(random) & COUNTER_START_MAX);
  else if (counter < COUNTER_MAX) counter += 1;
  else startMillisecond(lastMs + 1, 0);

  text[15] = HEX[counter >> 8] as number;
  writeHex(counter & 0xff, 16);
  writeHex(((pool[random] as number) & 0x3f) | 0x80, 19); // the variant
  writeHex(pool[random + 1] as number, 21);
  for (let index = 2; index < RANDOM_BYTES_PER_ID; index += 1) {
    writeHex(pool[random + index] as number, 20 + 2 * index);
  }
  return text.toString('latin1');
}

function startMillisecond(ms: number, firstCounter: number): void {
  lastMs = ms;
  counter = firstCounter;
  const hex = ms.toString(16).padStart(12, '0');
  text.write(hex.slice(0, 8), 0, 'latin1');
  text.write(hex.slice(8), 9, 'latin1');
}

/** The position of eight random bytes that nobody had before. */
function takeRandom(): number {
  if (poolAt === pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  poolAt += RANDOM_BYTES_PER_ID;
  return poolAt - RANDOM_BYTES_PER_ID;
}

function writeHex(byte: number, at: number): void {
  text[at] = HEX[byte >> 4] as number;
  text[at + 1] = HEX[byte & 0xf] as number;
}
