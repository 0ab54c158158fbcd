/** Cells too long for the kernel: one native AES-256-GCM call each (SP 800-38D). */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { AesKey } from './aes-key.js';
import {
  associatedData,
  CELL_HEAD_BYTES,
  type CellAddress,
  cellHeader,
  corrupted,
  NONCE_BYTES,
  rowMisfit,
} from './cell-format.js';
import { CELL_OVERHEAD_BYTES, TAG_BYTES } from './kernel.js';

/** Seals `value` to `target[at ..)`. */
export function sealLong(
  key: AesKey,
  address: CellAddress,
  row: number,
  value: Uint8Array,
  target: Uint8Array,
  at: number,
): void {
  if (!Number.isSafeInteger(row) || row < 0) throw rowMisfit();
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce).setAAD(associatedData(address, row));
  target.set(cellHeader(address.epoch, value.length + CELL_OVERHEAD_BYTES), at);
  target.set(nonce, at + CELL_HEAD_BYTES - NONCE_BYTES);
  target.set(cipher.update(value), at + CELL_HEAD_BYTES);
  cipher.final();
  target.set(cipher.getAuthTag(), at + CELL_HEAD_BYTES + value.length);
}

/**
 * Opens `cell` to `target[at ..)`.
 * @throws ClarusError XX001
 */
export function openLong(
  key: AesKey,
  address: CellAddress,
  row: number,
  cell: Uint8Array,
  target: Uint8Array,
  at: number,
): void {
  if (cellHeader(address.epoch, cell.length).some((byte, i) => byte !== cell[i])) throw corrupted();
  const end = cell.length - TAG_BYTES;
  const nonce = cell.subarray(CELL_HEAD_BYTES - NONCE_BYTES, CELL_HEAD_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(address, row)).setAuthTag(cell.subarray(end));
  target.set(decipher.update(cell.subarray(CELL_HEAD_BYTES, end)), at);
  try {
    decipher.final();
  } catch {
    throw corrupted();
  }
}
