const NO_BYTES = Buffer.alloc(0);
/** Less than this is not worth the call; most events are smaller. */
const FREE_BYTES_MIN = 4096;

/**
 * Bytes that come in chunks, put together in one buffer. Chunks are copied together rather than collected, because a
 * body that is sent byte by byte would else cost a hundred times what is counted.
 */
export class GatheredBytes {
  #bytes: Buffer = NO_BYTES;
  #length = 0;
  readonly #announcedLength: number;

  /**
   * Room is made once for a length that was announced; what does not come is never touched, and so never becomes
   * resident. 0: it is not known.
   */
  constructor(announcedLength = 0) {
    this.#announcedLength = announcedLength;
  }

  get length(): number {
    return this.#length;
  }

  /** Takes the chunk over: a first one is kept, any other is copied and freed. */
  add(chunk: Buffer): void {
    const needed = this.#length + chunk.length;
    if (this.#length === 0) {
      this.#bytes = chunk;
    } else {
      if (needed > this.#bytes.length)
        this.#makeRoom(Math.max(needed, this.#announcedLength || 2 * this.#length));
      chunk.copy(this.#bytes, this.#length);
      freeNow(chunk);
    }
    this.#length = needed;
  }

  /**
   * All of it, without the room that was made for more; a buffer that has some was made here, and is ours alone. Nothing
   * is left here: whoever gathers may be kept longer than the bytes are counted.
   */
  take(): Buffer {
    const bytes = this.#bytes;
    const length = this.#length;
    this.#clear();
    return length === bytes.length ? bytes : Buffer.from((bytes.buffer as ArrayBuffer).transfer(length));
  }

  free(): void {
    freeNow(this.#bytes);
    this.#clear();
  }

  #clear(): void {
    this.#bytes = NO_BYTES;
    this.#length = 0;
  }

  #makeRoom(size: number): void {
    const all = Buffer.allocUnsafeSlow(size);
    this.#bytes.copy(all, 0, 0, this.#length);
    freeNow(this.#bytes);
    this.#bytes = all;
  }
}

/**
 * Gives the memory of bytes back that nobody refers to any more. The garbage collector takes its time with memory
 * outside its heap: tens of megabytes of bodies that were received and refused would stay resident.
 */
export function freeNow({ buffer, length }: Buffer): void {
  // A slice of something larger is not ours alone.
  if (length >= FREE_BYTES_MIN && length === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}
