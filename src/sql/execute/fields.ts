/** The fields of a batch of rows, in place in the buffer that they were received in. */
import type { ByteColumn } from '../../crypto/column.js';
import { ClarusError } from '../../errors.js';
import { readRowId } from '../../wire/arrays.js';
import { copyWords, wordsOf } from '../../wire/words.js';
import type { DataRows } from '../ports.js';
import type { OutputColumnBytes } from './row-writer.js';

/** From so many rows on, making views to copy cells by words takes less time than it saves. */
const rowsByWords_min = 8;

/** Places of all fields: field `place` of row i begins at `starts[i * width + place]`. */
export class Fields {
  readonly count: number;
  readonly #buffer: Buffer;
  readonly #width: number;
  readonly #starts: Int32Array;
  /** -1 for NULL */
  readonly #sizes: Int32Array;
  #rowIds: { readonly place: number; readonly ids: Float64Array } | undefined;

  /** @throws ClarusError 08P01 when a row has another number of fields than `width`, or does not hold them */
  constructor({ buffer, starts: bodies, count }: DataRows, width: number) {
    const starts = new Int32Array(count * width);
    const sizes = new Int32Array(count * width);
    let k = 0;
    for (let i = 0; i < count; i++) {
      let at = bodies[i]!;
      if (((buffer[at]! << 8) | buffer[at + 1]!) !== width)
        throw new ClarusError('08P01', 'the cloud returned a row of another width');
      at += 2;
      for (let field = 0; field < width; field++, k++) {
        const size = (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!;
        at += 4;
        starts[k] = at;
        sizes[k] = size;
        if (size > 0) at += size;
      }
      if (at > buffer.length) throw new ClarusError('08P01', 'the cloud returned a malformed row');
    }
    this.count = count;
    this.#buffer = buffer;
    this.#width = width;
    this.#starts = starts;
    this.#sizes = sizes;
  }

  /** Copies of the values at a place, as a column. */
  gather(place: number): ByteColumn {
    const { count } = this;
    const width = this.#width;
    const sizes = this.#sizes;
    const offsets = new Uint32Array(count + 1);
    let nulls: Uint8Array | undefined;
    let total = 0;
    for (let i = 0, k = place; i < count; i++, k += width) {
      const size = sizes[k]!;
      if (size < 0) {
        nulls ??= new Uint8Array(count);
        nulls[i] = 1;
      } else total += size;
      offsets[i + 1] = total;
    }
    const data = count < rowsByWords_min ? new Uint8Array(total) : Buffer.allocUnsafeSlow(total);
    if (count < rowsByWords_min) this.#copy(place, data, offsets);
    else this.#copyByWords(place, data, offsets);
    return { length: count, data, offsets, nulls };
  }

  /** Row ids at a place. An outer join's missing row has none, and its cells are NULL. */
  rowIds(place: number): Float64Array {
    if (this.#rowIds?.place === place) return this.#rowIds.ids;
    const { count } = this;
    const ids = new Float64Array(count);
    for (let i = 0, k = place; i < count; i++, k += this.#width)
      ids[i] = this.#sizes[k] === 8 ? readRowId(this.#buffer, this.#starts[k]!) : 0;
    this.#rowIds = { place, ids };
    return ids;
  }

  /** The values at a place as they stand. */
  inPlace(place: number): OutputColumnBytes {
    const { count } = this;
    const starts = new Int32Array(count);
    const sizes = new Int32Array(count);
    for (let i = 0, k = place; i < count; i++, k += this.#width) {
      starts[i] = this.#starts[k]!;
      sizes[i] = this.#sizes[k]!;
    }
    return { data: this.#buffer, starts, sizes, nulls: undefined };
  }

  #copy(place: number, data: Uint8Array, offsets: Uint32Array): void {
    const buffer = this.#buffer;
    for (let i = 0, k = place; i < this.count; i++, k += this.#width) {
      const from = this.#starts[k]!;
      const to = offsets[i]!;
      const size = offsets[i + 1]! - to;
      if (size < 64) for (let j = 0; j < size; j++) data[to + j] = buffer[from + j]!;
      else data.set(buffer.subarray(from, from + size), to);
    }
  }

  #copyByWords(place: number, data: Uint8Array, offsets: Uint32Array): void {
    const source = wordsOf(this.#buffer);
    const target = wordsOf(data);
    for (let i = 0, k = place; i < this.count; i++, k += this.#width)
      copyWords(source, this.#starts[k]!, target, offsets[i]!, offsets[i + 1]! - offsets[i]!);
  }
}
