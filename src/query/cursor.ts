import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';
import type { Source } from './event-queries.ts';

/** What a cursor is good for: the list of one source, of one type of events or of all. */
export interface CursorScope extends Source {
  readonly type: string | undefined;
}

/** What makes a store that one, see migrations.ts. */
export interface StoreIdentity {
  readonly epoch: string;
  readonly cursorKey: Buffer;
}

const VERSION = 1;
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const SEQ_BYTES = 8;
const TAG_BYTES = 16;
const CURSOR_BYTES = 1 + NONCE_BYTES + SEQ_BYTES + TAG_BYTES;

/** Longer ones are refused unread. */
export const CURSOR_LENGTH_MAX = 128;

/**
 * Makes cursors, and reads those that it made: places in the list of a source, before or after one seq. They are opaque, so
 * that nobody counts the events of others by their seq, and hold in the store, the source and the filter that they were
 * made for, and nowhere else. All instances of a store make the same ones: the same page has the same bytes everywhere.
 */
export class Cursors {
  readonly epoch: string;
  readonly #encryptionKey: Buffer;
  readonly #nonceKey: Buffer;

  constructor({ epoch, cursorKey }: StoreIdentity) {
    const derived = (purpose: string) =>
      Buffer.from(
        hkdfSync('sha256', cursorKey, epoch, `dual-stream cursor ${VERSION} ${purpose}`, KEY_BYTES),
      );
    this.epoch = epoch;
    this.#encryptionKey = derived('encryption');
    this.#nonceKey = derived('nonce');
  }

  make(scope: CursorScope, seq: bigint): string {
    const place = Buffer.alloc(SEQ_BYTES);
    place.writeBigUInt64BE(seq);
    const bound = this.#boundTo(scope);
    // From all that is encrypted, so that no nonce is used for two texts.
    const nonce = createHmac('sha256', this.#nonceKey)
      .update(place)
      .update(bound)
      .digest()
      .subarray(0, NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#encryptionKey, nonce).setAAD(bound);
    const encrypted = Buffer.concat([cipher.update(place), cipher.final()]);
    return Buffer.concat([Buffer.of(VERSION), nonce, encrypted, cipher.getAuthTag()]).toString('base64url');
  }

  /** The seq of a cursor; `undefined`: it was not made for this, or not here. */
  read(scope: CursorScope, cursor: string): bigint | undefined {
    if (cursor.length > CURSOR_LENGTH_MAX) return undefined;
    const bytes = Buffer.from(cursor, 'base64url');
    // One cursor has one way to be written.
    if (bytes.toString('base64url') !== cursor) return undefined;
    if (bytes.length !== CURSOR_BYTES || bytes[0] !== VERSION) return undefined;
    const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
    const decipher = createDecipheriv(CIPHER, this.#encryptionKey, nonce, { authTagLength: TAG_BYTES })
      .setAAD(this.#boundTo(scope))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const place = decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES));
      decipher.final();
      return place.readBigUInt64BE();
    } catch {
      return undefined; // the tag is that of something else
    }
  }

  #boundTo({ sourceType, sourceId, type }: CursorScope): Buffer {
    return Buffer.from(JSON.stringify([VERSION, this.epoch, sourceType, sourceId, type ?? null]));
  }
}
