/** Fetched rows as one array a column, in binary form (array_send in arrayfuncs.c), as parameters of a statement. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { readRowId } from '../../wire/arrays.js';
import { arrayType, typeOids } from '../../wire/types.js';
import { type OutputColumnBytes, type RowWriter, sizeAt } from '../execute/row-writer.js';
import type { Condition } from './carrier-query.js';
import type { FetchPlan } from './delivery.js';
import type { LeftCondition } from './reasons.js';
import type { NameCheck } from './zone-names.js';

const header_bytes = 20;
const firstRoom_bytes = 512;
/** Values of fewer bytes are copied byte by byte: making a view of them takes longer. */
const viewed_bytes = 48;

/** How the values of a column travel. */
export interface Travel {
  /** type of the array's elements */
  readonly element: number;
  /** type of the array */
  readonly array: number;
  readonly format: 0 | 1;
}

const asText: Travel = { element: typeOids.text, array: 1009, format: 0 };

/** tid and xid, which are built in too */
const further: ReadonlyMap<number, number> = new Map([
  [27, 1010],
  [28, 1011],
]);

/** Built-in types with a binary form that every server gives and takes alike travel in it, all others as text. */
export function travelOf(typeOid: number): Travel {
  const array = arrayType(typeOid) ?? further.get(typeOid);
  return array === undefined ? asText : { element: typeOid, array, format: 1 };
}

/** How the rows of a table come that a statement is given. */
export interface GivenFetch {
  readonly table: LogicalTable;
  readonly fetch: FetchPlan;
  readonly columns: readonly string[];
  /** how their values travel */
  readonly travels: readonly Travel[];
  /** the fetch locks its rows, all of which are updated; behind the columns it gives the row ids */
  readonly locks: boolean;
  /** conditions of the statement that the cloud answers, and those over this table that stay */
  readonly answered: readonly Condition[];
  readonly left: readonly LeftCondition[];
}

/** Collects rows by column. */
export class GivenColumns {
  rows = 0;
  /** of all values, with their sizes */
  bytes = 0;
  readonly #columns: readonly ElementArray[];

  /**
   * @param travels one a column
   * @param names looks at what travels as text
   */
  constructor(
    private readonly travels: readonly Travel[],
    private readonly names: NameCheck | undefined,
  ) {
    this.#columns = travels.map(({ element }) => new ElementArray(element));
  }

  /** Takes the rows of a batch. */
  readonly add: RowWriter = (_writer, columns, rows): void => {
    for (const [i, column] of this.#columns.entries()) {
      const added = column.append(columns[i]!, rows);
      this.bytes += added.length;
      if (this.travels[i]!.format === 0) this.names?.(added);
    }
    this.rows += rows;
  };

  /** The first columns as arrays. */
  arrays(count: number): Buffer[] {
    return this.#columns.slice(0, count).map(column => column.finish(this.rows));
  }

  /** Values of a column as views, in the format in which they travel. */
  values(column: number): readonly (Uint8Array | null)[] {
    return this.#columns[column]!.values();
  }

  /** Values of a column of row ids. */
  rowIds(column: number): Float64Array {
    const ids = new Float64Array(this.rows);
    this.#columns[column]!.each((bytes, at, i) => {
      ids[i] = readRowId(bytes, at);
    });
    return ids;
  }

  /** Values of a column of ctids, as PostgreSQL prints them (tidout in tid.c). */
  places(column: number): string[] {
    const places: string[] = [];
    this.#columns[column]!.each((bytes, at) => {
      places.push(`(${bytes.readUInt32BE(at)},${bytes.readUInt16BE(at + 4)})`);
    });
    return places;
  }

  /** Values of a column of transaction ids, as PostgreSQL prints them. */
  transactions(column: number): string[] {
    const ids: string[] = [];
    this.#columns[column]!.each((bytes, at) => {
      ids.push(String(bytes.readUInt32BE(at)));
    });
    return ids;
  }
}

/** An array that grows. */
class ElementArray {
  #bytes = Buffer.allocUnsafe(firstRoom_bytes);
  #end = header_bytes;
  #nulls = 0;

  constructor(private readonly element: number) {}

  /** @returns what was written */
  append(column: OutputColumnBytes, rows: number): Buffer {
    let room = 4 * rows;
    for (let i = 0; i < rows; i++) room += Math.max(0, sizeAt(column, i));
    this.#reserve(room);
    const out = this.#bytes;
    const { data, starts } = column;
    const before = this.#end;
    let at = before;
    for (let i = 0; i < rows; i++) {
      const size = sizeAt(column, i);
      out[at] = size >> 24;
      out[at + 1] = size >> 16;
      out[at + 2] = size >> 8;
      out[at + 3] = size;
      at += 4;
      if (size < 0) this.#nulls = 1;
      if (size <= 0) continue;
      const from = starts[i]!;
      if (size < viewed_bytes) for (let j = 0; j < size; j++) out[at + j] = data[from + j]!;
      else out.set(data.subarray(from, from + size), at);
      at += size;
    }
    this.#end = at;
    return out.subarray(before, at);
  }

  finish(rows: number): Buffer {
    const array = this.#bytes;
    array.writeInt32BE(1, 0);
    array.writeInt32BE(this.#nulls, 4);
    array.writeInt32BE(this.element, 8);
    array.writeInt32BE(rows, 12);
    array.writeInt32BE(1, 16);
    return array.subarray(0, this.#end);
  }

  /** Calls with the place of each value; there are no NULLs. */
  each(take: (bytes: Buffer, at: number, i: number) => void): void {
    for (let at = header_bytes, i = 0; at < this.#end; i++) {
      take(this.#bytes, at + 4, i);
      at += 4 + this.#bytes.readInt32BE(at);
    }
  }

  values(): (Uint8Array | null)[] {
    const values: (Uint8Array | null)[] = [];
    for (let at = header_bytes; at < this.#end; ) {
      const size = this.#bytes.readInt32BE(at);
      at += 4;
      values.push(size < 0 ? null : this.#bytes.subarray(at, at + size));
      at += Math.max(0, size);
    }
    return values;
  }

  #reserve(room: number): void {
    if (this.#end + room <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#end + room));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}
