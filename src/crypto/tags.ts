/**
 * Equality tags: AES-256-CMAC over whole columns (RFC 4493, NIST SP 800-38B; docs/spec/tag.md).
 *
 * A key may tag at most 2^48 messages (SP 800-38B appendix B).
 */
import { createCipheriv } from 'node:crypto';
import { ClarusError } from '../errors.js';
import { type AesKey, aesKey } from './aes-key.js';
import {
  checkColumn,
  checkWritten,
  columnMisfit,
  copyBytes,
  copyNulls,
  encryptBlocks,
  encryptedBlocks,
  loadPiece,
  presentCount,
  resultMemory,
  storeOffsets,
} from './batch.js';
import { type CanonicalColumn, type TagColumn, tags } from './column.js';
import * as k from './kernel.js';
import { release } from './memory.js';

const { kernel, bytes, words, TAG_BYTES } = k;
const block_bytes = 16;
/** A message finished on its own costs about as much as this many further steps of all. */
const steps_of_one_alone = 6;

/**
 * Tags a column.
 * @param key 32 bytes, of one domain; give the same array for the same key, as it is made ready once
 * @param values canonical forms; NULL stays NULL
 * @returns 16 bytes for each value
 */
export function tagColumn(key: Uint8Array, values: CanonicalColumn): TagColumn {
  const { length, data, offsets, nulls } = values;
  checkColumn(values);
  const size = presentCount(length, nulls) * TAG_BYTES;
  if (size > 0xffffffff) throw new ClarusError('54000', 'the tags of one batch exceed 4 GiB');
  const ready = aesKey(key);
  bytes.set(ready.zeroEncrypted, k.SUBKEYS);
  kernel.deriveSubkeys();
  const { data: result, offsets: resultOffsets } = resultMemory(length, size);
  for (let first = 0; first < length; ) {
    const from = offsets[first]!;
    const at = resultOffsets[first]!;
    const count = loadPiece(values, first, k.PLAIN_BYTES_MAX);
    if (count === 0) {
      const message = data.subarray(from, offsets[++first]!);
      const start = message.subarray(0, block_bytes);
      result.set(tagAlone(ready, start, message.subarray(block_bytes)), at);
      resultOffsets[first] = at + TAG_BYTES;
      continue;
    }
    copyBytes(data, from, offsets[first + count]!, bytes, k.PLAIN);
    tagPiece(ready, count, result, at);
    storeOffsets(resultOffsets, first, count);
    first += count;
  }
  checkWritten(resultOffsets, size);
  return tags({ length, data: result, offsets: resultOffsets, nulls: copyNulls(values) });
}

/** Tags the `count` messages in the kernel: block by block, all messages at once. */
function tagPiece(key: AesKey, count: number, result: Uint8Array, at: number): void {
  const present = kernel.listMessages(count, at);
  if (present < 0) throw columnMisfit();
  const longest_blocks = words[k.RESULT >> 2]!;
  let active = kernel.stepMessages(present, 0, at);
  if (longest_blocks === 1 && active > 0) {
    const encrypted = encryptedBlocks(key, active);
    copyBytes(encrypted, 0, encrypted.length, result, at);
    release(encrypted);
    return;
  }
  for (let step = 1; active > 0; step++) {
    if (active * steps_of_one_alone < longest_blocks - step) {
      finishAlone(key, active, step, at);
      break;
    }
    encryptBlocks(key, active);
    active = kernel.stepMessages(active, step, at);
  }
  copyBytes(bytes, k.SEALED, k.SEALED + present * TAG_BYTES, result, at);
}

/** Finishes the few long messages that are left, whose block `step - 1` is at BLOCKS, xored with the chain. */
function finishAlone(key: AesKey, active: number, step: number, at: number): void {
  for (let a = 0; a < active; a++) {
    const i = words[(k.ROWS >> 2) + a]!;
    const base = k.PLAIN - words[k.OFFSETS >> 2]!;
    const rest = base + words[(k.OFFSETS >> 2) + i]! + step * block_bytes;
    const end = base + words[(k.OFFSETS >> 2) + i + 1]!;
    const start = bytes.subarray(k.BLOCKS + a * block_bytes, k.BLOCKS + (a + 1) * block_bytes);
    const tag = tagAlone(key, start, bytes.subarray(Math.min(rest, end), end));
    bytes.set(tag, k.SEALED + words[(k.RESULT_OFFSETS >> 2) + i]! - at);
  }
}

/**
 * CMAC of one message with native CBC, whose last block it is.
 * @param start a block xored with the chain before it; when `rest` is empty, with its subkey too
 * @param rest the message after that block
 */
function tagAlone(key: AesKey, start: Uint8Array, rest: Uint8Array): Uint8Array {
  const complete = rest.length % block_bytes === 0;
  const input = new Uint8Array(block_bytes + Math.ceil(rest.length / block_bytes) * block_bytes);
  input.set(start);
  input.set(rest, block_bytes);
  if (rest.length > 0) {
    if (!complete) input[block_bytes + rest.length] = 0x80;
    const subkey = k.SUBKEYS + (complete ? 0 : block_bytes);
    for (let i = 0; i < block_bytes; i++) input[input.length - block_bytes + i]! ^= bytes[subkey + i]!;
  }
  const cipher = createCipheriv('aes-256-cbc', key.bytes, new Uint8Array(block_bytes)).setAutoPadding(false);
  return cipher.update(input).subarray(-TAG_BYTES);
}
