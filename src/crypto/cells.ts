/**
 * Sealed cells: AES-256-GCM over whole columns (docs/spec/cell.md).
 *
 * A key may seal at most 2^32 cells, as nonces are random (NIST SP 800-38D section 8.3); counting is the caller's.
 */
import { ClarusError } from '../errors.js';
import { type AesKey, aesKey, loadTables } from './aes-key.js';
import {
  checkColumn,
  checkWritten,
  columnMisfit,
  copyBytes,
  copyNulls,
  encryptBlocks,
  loadPiece,
  loadRows,
  presentCount,
  resultMemory,
  storeOffsets,
} from './batch.js';
import {
  type CellAddress,
  type ColumnAddress,
  checkAddress,
  corrupted,
  epochAt,
  rowMisfit,
  writePrefix,
} from './cell-format.js';
import { type PlainColumn, plain, type SealedColumn, sealed, take } from './column.js';
import * as k from './kernel.js';
import { openLong, sealLong } from './long-cells.js';
import { offerNonces, useNonces } from './nonces.js';

export type { CellAddress, ColumnAddress } from './cell-format.js';

const { kernel, bytes, words, CELL_OVERHEAD_BYTES } = k;

/**
 * Seals a column.
 * @param key 32 bytes, of one column and epoch; the same array for the same key, as it is made ready once
 * @param address catalogue numbers of table and column, and the key's epoch
 * @param rows row ids, one a value, integers below 2^53
 * @returns cells, 32 bytes longer than their values; NULL stays NULL
 */
export function sealCells(
  key: Uint8Array,
  address: CellAddress,
  rows: Float64Array,
  values: PlainColumn,
): SealedColumn {
  const { length, data, offsets, nulls } = values;
  checkAddress(address, rows, length);
  checkColumn(values);
  const size = offsets[length]! - offsets[0]! + presentCount(length, nulls) * CELL_OVERHEAD_BYTES;
  if (size > 0xffffffff) throw new ClarusError('54000', 'a column of one batch exceeds 4 GiB');
  const ready = aesKey(key);
  const { data: result, offsets: resultOffsets } = resultMemory(length, size);
  for (let first = 0; first < length; ) {
    const from = offsets[first]!;
    const at = resultOffsets[first]!;
    const most = loadPiece(values, first, k.PLAIN_BYTES_MAX);
    const nonces = offerNonces(most);
    loadRows(rows, first, most);
    copyBytes(data, from, offsets[first + most]!, bytes, k.PLAIN);
    const count = kernel.sealCounters(most, nulls ? 1 : 0, at, nonces, address.epoch);
    if (count === k.WRONG_ROW) throw rowMisfit();
    if (count === k.WRONG_OFFSETS) throw columnMisfit();
    if (count === 0) {
      const value = data.subarray(from, offsets[++first]!);
      resultOffsets[first] = at + value.length + CELL_OVERHEAD_BYTES;
      sealLong(ready, address, rows[first - 1]!, value, result, at);
      continue;
    }
    useNonces(words[(k.RESULT >> 2) + 3]!);
    encryptPiece(ready, address);
    kernel.seal();
    storeOffsets(resultOffsets, first, count);
    first += count;
    copyBytes(bytes, k.SEALED, k.SEALED + resultOffsets[first]! - at, result, at);
  }
  checkWritten(resultOffsets, size);
  return sealed({ length, data: result, offsets: resultOffsets, nulls: copyNulls(values) });
}

/**
 * Opens a column. Nothing is released unless every cell of the batch verifies.
 * @param keyOf the 32-byte key of an epoch; the same array for the same epoch
 * @param rows row ids that the cells must belong to
 * @throws ClarusError XX001 when a cell was changed, moved, or sealed under another key
 */
export function openCells(
  keyOf: (epoch: number) => Uint8Array,
  address: ColumnAddress,
  rows: Float64Array,
  cells: SealedColumn,
): PlainColumn {
  const first = firstPresent(cells);
  if (first === cells.length) return allNull(cells);
  const { table, column } = address;
  const epoch = presentEpoch(cells, first);
  return (
    openEpoch(keyOf(epoch), { table, column, epoch }, rows, cells) ?? openMixed(keyOf, address, rows, cells)
  );
}

/** Opens cells of one epoch; undefined when there are others. */
function openEpoch(
  key: Uint8Array,
  address: CellAddress,
  rows: Float64Array,
  cells: SealedColumn,
): PlainColumn | undefined {
  const { length, data, offsets, nulls } = cells;
  checkAddress(address, rows, length);
  checkColumn(cells);
  const size = offsets[length]! - offsets[0]! - presentCount(length, nulls) * CELL_OVERHEAD_BYTES;
  if (size < 0) throw corrupted();
  const ready = aesKey(key);
  const { data: result, offsets: resultOffsets } = resultMemory(length, size);
  try {
    for (let first = 0; first < length; ) {
      const from = offsets[first]!;
      const at = resultOffsets[first]!;
      const most = loadPiece(cells, first, k.SEALED_BYTES_MAX);
      loadRows(rows, first, most);
      copyBytes(data, from, offsets[first + most]!, bytes, k.SEALED);
      const count = kernel.openCounters(most, nulls ? 1 : 0, at, address.epoch);
      if (count === k.OTHER_EPOCH) return undefined;
      if (count === k.WRONG_ROW) throw rowMisfit();
      if (count === k.WRONG_OFFSETS) throw columnMisfit();
      if (count < 0) throw corrupted();
      if (count === 0) {
        const cell = data.subarray(from, offsets[first + 1]!);
        if (epochAt(cells, first) !== address.epoch) return undefined;
        openLong(ready, address, rows[first]!, cell, result, at);
        resultOffsets[++first] = at + cell.length - CELL_OVERHEAD_BYTES;
        continue;
      }
      encryptPiece(ready, address);
      if (kernel.open() !== 0) throw corrupted();
      storeOffsets(resultOffsets, first, count);
      first += count;
      copyBytes(bytes, k.PLAIN, k.PLAIN + resultOffsets[first]! - at, result, at);
    }
  } catch (error) {
    result.fill(0);
    throw error;
  }
  checkWritten(resultOffsets, size);
  return plain({ length, data: result, offsets: resultOffsets, nulls: copyNulls(cells) });
}

/** Opens cells of several epochs: those of one epoch together, each back to its place when all have verified. */
function openMixed(
  keyOf: (epoch: number) => Uint8Array,
  address: ColumnAddress,
  rows: Float64Array,
  cells: SealedColumn,
): PlainColumn {
  const { length, offsets, nulls } = cells;
  const placesOf = new Map<number, number[]>();
  const resultOffsets = new Uint32Array(length + 1);
  for (let i = 0; i < length; i++) {
    resultOffsets[i + 1] = resultOffsets[i]!;
    if (nulls?.[i]) continue;
    const epoch = presentEpoch(cells, i);
    const places = placesOf.get(epoch);
    if (places === undefined) placesOf.set(epoch, [i]);
    else places.push(i);
    resultOffsets[i + 1]! += offsets[i + 1]! - offsets[i]! - CELL_OVERHEAD_BYTES;
  }
  const parts = [...placesOf].map(([epoch, places]) => {
    const partRows = Float64Array.from(places, i => rows[i]!);
    const part = openEpoch(keyOf(epoch), { ...address, epoch }, partRows, sealed(take(cells, places)));
    if (part === undefined) throw corrupted();
    return { places, part };
  });
  const result = new Uint8Array(resultOffsets[length]!);
  for (const { places, part } of parts)
    for (let i = 0; i < places.length; i++)
      copyBytes(part.data, part.offsets[i]!, part.offsets[i + 1]!, result, resultOffsets[places[i]!]!);
  return plain({ length, data: result, offsets: resultOffsets, nulls: copyNulls(cells) });
}

/**
 * Encrypts the counter blocks of the piece and makes ready what its tags need.
 */
function encryptPiece(key: AesKey, address: CellAddress): void {
  const blocks = words[k.RESULT >> 2]!;
  if (blocks === 0) return;
  encryptBlocks(key, blocks);
  loadTables(key, (words[(k.RESULT >> 2) + 2]! + 15) >> 4);
  writePrefix(address, bytes, k.PREFIX);
}

function firstPresent({ length, nulls }: SealedColumn): number {
  if (nulls === undefined) return 0;
  let i = 0;
  while (i < length && nulls[i]) i++;
  return i;
}

/** Epoch of a cell that is not NULL. 0 was never given to a key. */
function presentEpoch(cells: SealedColumn, i: number): number {
  const epoch = epochAt(cells, i);
  if (epoch === 0) throw corrupted();
  return epoch;
}

function allNull(cells: SealedColumn): PlainColumn {
  const { length } = cells;
  const none = { length, data: new Uint8Array(0), offsets: new Uint32Array(length + 1) };
  return plain({ ...none, nulls: copyNulls(cells) });
}
