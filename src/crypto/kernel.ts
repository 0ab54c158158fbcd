/**
 * The kernel: everything of batched AES-GCM and AES-CMAC but AES itself, in WebAssembly (src/crypto/kernel/*.as).
 * Its memory is fixed in size and never grows, so views on it stay valid; pages that were never used cost nothing.
 */
import { kernelBase64 } from './kernel.wasm.js';

/** The functions of the kernel, described where they are defined. Addresses are bytes from the start of memory. */
interface KernelFunctions {
  start(): void;
  buildTable(table: number, exponent: number): void;
  sealCounters(count: number, nullable: number, base: number, nonces: number, epoch: number): number;
  openCounters(count: number, nullable: number, base: number, epoch: number): number;
  seal(): void;
  open(): number;
  deriveSubkeys(): void;
  listMessages(count: number, base: number): number;
  stepMessages(active: number, step: number, base: number): number;
}

/** What this file uses of the global WebAssembly, which @types/node leaves out. */
declare const WebAssembly: {
  Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> };
};

/** Tables of powers kept at once (32 KiB each): 16 MiB, 170 keys of short values. */
export const TABLES_MAX = 512;

const page_bytes = 65536;
const slot_bytes = 32768;
const scratch_pages = 8;
const memory = (() => {
  const pages = scratch_pages + (TABLES_MAX * slot_bytes) / page_bytes;
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
})();
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(kernelBase64, 'base64')), {
  env: { memory, abort: () => undefined },
});
const constant = (name: string): number => (exports[name] as { readonly value: number }).value;

/** The functions. They work on one piece at a time, in the one memory below. */
export const kernel = exports as unknown as KernelFunctions;
/** The kernel's memory; an index is an address. */
export const bytes = new Uint8Array(memory.buffer);
/** The same memory as u32: an index is an address / 4. */
export const words = new Uint32Array(memory.buffer);
/** The same memory as f64: an index is an address / 8. */
export const doubles = new Float64Array(memory.buffer);

/** Most cells or messages of one piece. */
export const CELLS_MAX = constant('CELLS_MAX');
/** Nonces in store at NONCES. */
export const NONCES_MAX = constant('NONCES_MAX');
/** Bytes at PLAIN. */
export const PLAIN_BYTES_MAX = constant('PLAIN_BYTES_MAX');
/** Bytes at SEALED. */
export const SEALED_BYTES_MAX = constant('SEALED_BYTES_MAX');
/** Result of `openCounters`: the only fault is that a cell is of another epoch. */
export const OTHER_EPOCH = constant('OTHER_EPOCH');
/** Result of the counters functions: a row id is no integer that a cell can be bound to. */
export const WRONG_ROW = constant('WRONG_ROW');
/** Result of the counters functions: the offsets are not those of a column. */
export const WRONG_OFFSETS = constant('WRONG_OFFSETS');
/** Address of four u32: AES blocks, bytes of the shortest and of the longest value, and cells of a piece. */
export const RESULT = constant('RESULT');
/** Address of 8 bytes: the first half of the associated data block of every cell. */
export const PREFIX = constant('PREFIX');
/** Address of 16 bytes: the GHASH key H while a table is built. Secret. */
export const HASH_KEY = constant('HASH_KEY');
/** Address of 32 bytes: the CMAC subkeys K1 and K2 (RFC 4493 section 2.3). Secret. */
export const SUBKEYS = constant('SUBKEYS');
/** Address of the u32 addresses of the tables of H^1 .. H^8, at index 1 .. 8. */
export const TABLES = constant('TABLES');
/** Address of the offsets of values or cells that go in: up to `CELLS_MAX + 1` u32. */
export const OFFSETS = constant('OFFSETS');
/** Address of the offsets of what comes out: likewise. */
export const RESULT_OFFSETS = constant('RESULT_OFFSETS');
/** Address of the row ids (f64 going in); for tags, of the u32 indices of the messages that are not finished. */
export const ROWS = constant('ROWS');
/** Address of one byte a cell: not 0 for NULL. */
export const SKIP = constant('SKIP');
/** Address of the nonces in store, 12 bytes each. */
export const NONCES = constant('NONCES');
/** Address of the counter blocks, and then of what AES made of them (keystream). Secret. */
export const BLOCKS = constant('BLOCKS');
/** Address of the values in the clear; for tags, of the messages. Secret. */
export const PLAIN = constant('PLAIN');
/** Address of the cells; for tags, of the tags. */
export const SEALED = constant('SEALED');
/** Address of the tables of powers of H, one after the other. Secret. */
export const SLOTS = constant('SLOTS');
/** Bytes of one table: 8 byte positions of 256 entries of 16 bytes. */
export const SLOT_BYTES = constant('SLOT_BYTES');
/** Bytes a cell is longer than its value: header 4, nonce 12, tag 16. */
export const CELL_OVERHEAD_BYTES = constant('OVERHEAD');
/** Bytes of a tag of AES-CMAC. */
export const TAG_BYTES = constant('TAG_BYTES');

/** Where batches leave keystream, plaintext and products of keys: all but constants, nonces and tables. */
export const SECRETS: readonly (readonly [number, number])[] = [
  [SUBKEYS, SUBKEYS + 32],
  [constant('SCRATCH'), constant('SCRATCH') + 16],
  [constant('FOLDED'), OFFSETS],
  [BLOCKS, SLOTS],
];

if (SLOTS !== scratch_pages * page_bytes || SLOT_BYTES !== slot_bytes)
  throw new Error('the kernel was built for another layout');
kernel.start();
