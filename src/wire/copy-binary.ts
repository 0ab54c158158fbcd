import type { ClarusError } from '../errors.js';
import { int32At } from './byte-reader.js';
import { CopyBatch } from './copy-batch.js';
import { badCopyData, rowBytesMaxDefault, rowTooLong } from './copy-errors.js';
import type { CopyReader, CopyReaderOptions, CopyRows } from './copy-options.js';
import { KeptBytes } from './kept-bytes.js';

/** First bytes of binary COPY data (PostgreSQL manual, COPY, "Binary Format"). */
export const copySignature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** bits of the flags field that a reader must know, or stop */
const criticalFlags = 0xffff_0000;
const oidFlag = 0x0001_0000;

/**
 * Reads the binary format of COPY (CopyReadBinaryHeader and NextCopyFrom in copyfromparse.c). Rows that lie whole
 * in a chunk are read in place.
 */
export class CopyBinaryReader implements CopyReader {
  partial: number | undefined;
  readonly #options: CopyReaderOptions;
  readonly #batch: CopyBatch;
  readonly #rowBytesMax: number;
  /** bytes of a row whose end has not come yet */
  readonly #kept = new KeptBytes();
  /** bytes that must be there before it is worth reading on */
  #needed = 0;
  #state: 'header' | 'rows' | 'trailer' = 'header';
  #row = 0;
  /** bytes of the header's extension that are still to be skipped */
  #extension = 0;

  constructor(options: CopyReaderOptions) {
    this.#options = options;
    this.#batch = new CopyBatch(options.columns.length);
    this.#rowBytesMax = options.rowBytesMax ?? rowBytesMaxDefault;
  }

  get rows(): number {
    return this.#batch.rows;
  }

  get size_bytes(): number {
    return this.#batch.size_bytes;
  }

  take(rowsMax: number): CopyRows {
    return this.#batch.take(rowsMax);
  }

  push(data: Uint8Array): void {
    if (data.length === 0) return;
    this.#batch.compact();
    if (this.#kept.length === 0) {
      const at = this.#read(data, data.length);
      this.#kept.add(data, at, data.length);
    } else {
      this.#kept.add(data, 0, data.length);
      if (this.#kept.length < this.#needed) return;
      this.#kept.drop(this.#read(this.#kept.buffer, this.#kept.length));
    }
    if (this.#needed > this.#rowBytesMax) throw rowTooLong(this.#rowBytesMax, this.#place());
  }

  end(): void {
    if (this.#state === 'header') {
      throw this.#bad(
        this.#kept.length < copySignature.length
          ? 'COPY file signature not recognized'
          : 'invalid COPY file header (missing flags)',
      );
    }
    if (this.#extension > 0) throw this.#bad('invalid COPY file header (wrong length)');
    if (this.#kept.length > 1) {
      this.#row++;
      throw this.#bad('unexpected EOF in COPY data');
    }
  }

  /** Reads on from the start of `bytes`. @returns how many are done with; sets `#needed` for the others */
  #read(bytes: Uint8Array, end: number): number {
    let at = 0;
    if (this.#state === 'header') {
      at = this.#readHeader(bytes, end);
      if (at === 0) return 0;
      this.#state = 'rows';
    }
    const skipped = Math.min(this.#extension, end - at);
    this.#extension -= skipped;
    at += skipped;
    try {
      while (this.#state === 'rows' && at < end) {
        const next = this.#readRow(bytes, at, end);
        if (next === -1) break;
        at = next;
      }
    } finally {
      this.#batch.settle();
    }
    if (this.#state === 'trailer' && at < end) throw this.#bad('received copy data after EOF marker');
    return at;
  }

  #readHeader(bytes: Uint8Array, end: number): number {
    const compared = Math.min(end, copySignature.length);
    for (let i = 0; i < compared; i++) {
      if (bytes[i] !== copySignature[i]) throw this.#bad('COPY file signature not recognized');
    }
    const fixed = copySignature.length + 8;
    this.#needed = fixed;
    if (end < fixed) return 0;
    const flags = int32At(bytes, copySignature.length);
    if ((flags & oidFlag) !== 0) throw this.#bad('invalid COPY file header (WITH OIDS)');
    if ((flags & criticalFlags) !== 0) throw this.#bad('unrecognized critical flags in COPY file header');
    const extension = int32At(bytes, copySignature.length + 4);
    if (extension < 0) throw this.#bad('invalid COPY file header (missing length)');
    this.#extension = extension;
    return fixed;
  }

  /** @returns where the next row begins, or -1 when this one is not complete */
  #readRow(bytes: Uint8Array, start: number, end: number): number {
    this.#needed = 2;
    if (end - start < 2) return -1;
    const count = ((bytes[start]! << 24) >> 16) | bytes[start + 1]!;
    if (count === -1) {
      this.#state = 'trailer';
      return start + 2;
    }
    this.#row++;
    const { columns } = this.#batch;
    if (count !== columns.length) {
      throw this.#bad(`row field count is ${count}, expected ${columns.length}`);
    }
    // sizes first, so that a long row that comes in many chunks is copied once
    let at = start + 2;
    for (let field = 0; field < count; field++) {
      const size = end - at < 4 ? 0 : int32At(bytes, at);
      if (size < -1) {
        this.#append(bytes, start, field);
        this.partial = field;
        throw this.#bad('invalid field size', this.#options.columns[field]);
      }
      at += 4 + Math.max(0, size);
      if (at > end) {
        this.#row--;
        this.#needed = at - start;
        return -1;
      }
    }
    if (at - start > this.#rowBytesMax) throw rowTooLong(this.#rowBytesMax, this.#place());
    this.#append(bytes, start, count);
    return at;
  }

  /** Adds a row of which the first `fields` are there. */
  #append(bytes: Uint8Array, start: number, fields: number): void {
    let at = start + 2;
    for (const [field, column] of this.#batch.columns.entries()) {
      const size = field < fields ? int32At(bytes, at) : -1;
      at += 4;
      if (size === -1) column.appendNull();
      else {
        column.append(bytes, at, at + size);
        at += size;
      }
    }
    this.#batch.completeRow(this.#row, 0);
  }

  #place(column?: string): { table: string; line: number; column: string | undefined } {
    return { table: this.#options.table, line: this.#row, column };
  }

  #bad(message: string, column?: string): ClarusError {
    return badCopyData(message, this.#place(column));
  }
}
