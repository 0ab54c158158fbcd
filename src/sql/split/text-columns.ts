/** DataRow messages in text form, turned into one array of text a column. */
import { backendTypes } from '../../wire/protocol.js';

const header_bytes = 5;
const arrayHeader_bytes = 20;
const textOid = 25;

/** Rows by column. */
export class TextColumns {
  readonly rows: number;
  /** where values begin, and their sizes (-1: NULL), a column after the other within a row */
  readonly #starts: number[] = [];
  readonly #sizes: number[] = [];

  /** @param messages whole DataRow messages */
  constructor(
    private readonly messages: Buffer,
    private readonly width: number,
  ) {
    let rows = 0;
    for (let at = 0; at < messages.length; rows++) {
      if (messages[at] !== backendTypes.dataRow) throw new Error('a row is expected');
      const end = at + 1 + messages.readInt32BE(at + 1);
      let field = at + header_bytes + 2;
      for (let i = 0; i < width; i++) {
        const size = messages.readInt32BE(field);
        field += 4;
        this.#starts.push(field);
        this.#sizes.push(size);
        if (size > 0) field += size;
      }
      if (field !== end) throw new Error('a row has another number of columns');
      at = end;
    }
    this.rows = rows;
  }

  /** One text[] a column, in binary form (array_send in arrayfuncs.c). */
  arrays(): Buffer[] {
    return Array.from({ length: this.width }, (_, column) => this.#array(column));
  }

  #array(column: number): Buffer {
    let size = arrayHeader_bytes;
    let nulls = 0;
    for (let i = column; i < this.#sizes.length; i += this.width) {
      size += 4 + Math.max(0, this.#sizes[i]!);
      if (this.#sizes[i]! < 0) nulls = 1;
    }
    const array = Buffer.allocUnsafe(size);
    array.writeInt32BE(1, 0);
    array.writeInt32BE(nulls, 4);
    array.writeInt32BE(textOid, 8);
    array.writeInt32BE(this.rows, 12);
    array.writeInt32BE(1, 16);
    let at = arrayHeader_bytes;
    for (let i = column; i < this.#sizes.length; i += this.width) {
      const bytes = this.#sizes[i]!;
      at = array.writeInt32BE(bytes, at);
      if (bytes > 0) at += this.messages.copy(array, at, this.#starts[i]!, this.#starts[i]! + bytes);
    }
    return array;
  }
}
