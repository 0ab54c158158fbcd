/** Bytes of a stream that wait for those that complete them. */
export class KeptBytes {
  /** valid up to `length`; changes when more are added */
  buffer = Buffer.alloc(0);
  length = 0;

  /** Adds `data[start .. end)`. */
  add(data: Uint8Array, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, 2 * this.buffer.length));
      this.buffer.copy(grown, 0, 0, this.length);
      this.buffer = grown;
    }
    this.buffer.set(data.subarray(start, end), this.length);
    this.length = length;
  }

  /** Lets go of the first `count` bytes. */
  drop(count: number): void {
    this.buffer.copyWithin(0, count, this.length);
    this.length -= count;
  }
}
