/**
 * The partition that Kafka's own Java producer would choose for a key, so that producers in both worlds keep a
 * source in one partition: `toPositive(murmur2(key)) % partitions`
 * (org.apache.kafka.clients.producer.internals.BuiltInPartitioner).
 */

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;
/** A source_id has 256 code points of up to four bytes. */
export const KEY_BYTES_MAX = 1_024;

/** Keys are encoded here, one after the other, so that hashing one allocates nothing. */
const encoded = Buffer.alloc(KEY_BYTES_MAX);

/** The hash of a key of at most KEY_BYTES_MAX as a non-negative 31-bit integer. Computed once; the partition follows from it and the count. */
export function hashKey(key: string): number {
  return murmur2(encoded, encoded.write(key, 'utf8')) & 0x7fffffff;
}

/** The partition of a hash. */
export function partitionOf(hash: number, partitionCount: number): number {
  return hash % partitionCount;
}

/** MurmurHash2 of the first `length` bytes with Kafka's seed, as a signed 32-bit integer (Utils.murmur2 there). */
export function murmur2(bytes: Uint8Array, length = bytes.length): number {
  const whole = length & ~3;
  let h = SEED ^ length;
  for (let at = 0; at < whole; at += 4) {
    let k =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    k = Math.imul(k, M);
    k ^= k >>> R;
    h = Math.imul(h, M) ^ Math.imul(k, M);
  }
  const rest = length - whole;
  if (rest === 3) h ^= (bytes[whole + 2] as number) << 16;
  if (rest >= 2) h ^= (bytes[whole + 1] as number) << 8;
  if (rest >= 1) h = Math.imul(h ^ (bytes[whole] as number), M);
  h = Math.imul(h ^ (h >>> 13), M);
  return h ^ (h >>> 15);
}
