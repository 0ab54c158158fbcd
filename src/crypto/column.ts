/**
 * Columns of byte strings, the unit in which values are protected and opened.
 *
 * One buffer and one offset array for a whole batch: no object a value, and one native AES call can work on
 * thousands of cells. The brands keep plaintext, sealed cells and tags from being mixed up: a mix-up does not
 * compile.
 */
export interface ByteColumn {
  /** number of values, NULLs included */
  readonly length: number;
  /** the bytes of all values, one after the other; behind them may be more, which mean nothing */
  readonly data: Uint8Array;
  /** `length + 1` positions: value i is `data[offsets[i] .. offsets[i + 1])`; a NULL is empty */
  readonly offsets: Uint32Array;
  /** 0 where there is a value, 1 (or what its maker says) where it is NULL; undefined when no value is */
  readonly nulls: Uint8Array | undefined;
}

declare const form: unique symbol;

/** Values in PostgreSQL's binary (send) form, in the clear. Never leaves the trusted side. */
export type PlainColumn = ByteColumn & { readonly [form]: 'plain' };
/** Values in the canonical form of their equality class, in the clear: the input of tags. */
export type CanonicalColumn = ByteColumn & { readonly [form]: 'canonical' };
/** Sealed cells (docs/spec/cell.md). */
export type SealedColumn = ByteColumn & { readonly [form]: 'sealed' };
/** Equality tags, 16 bytes each (docs/spec/tag.md). */
export type TagColumn = ByteColumn & { readonly [form]: 'tag' };

/** Says of bytes that they are in the clear. */
export const plain = (column: ByteColumn): PlainColumn => column as PlainColumn;
/** Says of bytes that they are canonical forms. */
export const canonical = (column: ByteColumn): CanonicalColumn => column as CanonicalColumn;
/** Says of bytes that came from a cloud, or from `seal`, that they are sealed cells. */
export const sealed = (column: ByteColumn): SealedColumn => column as SealedColumn;
/** Says of bytes that they are tags. */
export const tags = (column: ByteColumn): TagColumn => column as TagColumn;

/**
 * Makes a column of single values.
 * @param values one entry a value; null or undefined is NULL
 */
export function columnOf(values: readonly (Uint8Array | null | undefined)[]): ByteColumn {
  const offsets = new Uint32Array(values.length + 1);
  let size = 0;
  let anyNull = false;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value == null) anyNull = true;
    else size += value.length;
    offsets[i + 1] = size;
  }
  const data = new Uint8Array(size);
  const nulls = anyNull ? new Uint8Array(values.length) : undefined;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value == null) nulls![i] = 1;
    else data.set(value, offsets[i]);
  }
  return { length: values.length, data, offsets, nulls };
}

/** Value `i` of a column as a view on its bytes, or null. */
export function valueAt(column: ByteColumn, i: number): Uint8Array | null {
  if (column.nulls?.[i]) return null;
  return column.data.subarray(column.offsets[i]!, column.offsets[i + 1]!);
}

/** The values at `indices`, in that order, as a column of their own. */
export function take(column: ByteColumn, indices: ArrayLike<number>): ByteColumn {
  const { data, offsets, nulls } = column;
  const taken = new Uint32Array(indices.length + 1);
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    taken[i + 1] = taken[i]! + offsets[index + 1]! - offsets[index]!;
  }
  const bytes = new Uint8Array(taken[indices.length]!);
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    bytes.set(data.subarray(offsets[index]!, offsets[index + 1]!), taken[i]!);
  }
  const takenNulls = nulls && Uint8Array.from(indices, index => nulls[index]!);
  return { length: indices.length, data: bytes, offsets: taken, nulls: takenNulls };
}
