/**
 * The kernel: everything of batched AES-GCM and AES-CMAC but AES itself, in WebAssembly (src/crypto/kernel/*.as).
 * Its memory is fixed in size and never grows, so views on it stay valid; pages that were never used cost nothing.
 */
import { kernelBase64 } from './kernel.wasm.js';

/** The functions of the kernel, described where they are defined. Addresses are bytes from the start of memory. */
interface KernelFunctions {
  start(): void;
  buildTable(table: number, exponent: number): void;
  sealCounters(count: number, nullable: number, base: number, nonces: number): number;
  openCounters(count: number, nullable: number, base: number, epoch: number): number;
  seal(nonces: number, epoch: number): void;
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

export const kernel = exports as unknown as KernelFunctions;
export const bytes = new Uint8Array(memory.buffer);
export const words = new Uint32Array(memory.buffer);
export const doubles = new Float64Array(memory.buffer);

export const CELLS_MAX = constant('CELLS_MAX');
export const NONCES_MAX = constant('NONCES_MAX');
export const PLAIN_BYTES_MAX = constant('PLAIN_BYTES_MAX');
export const SEALED_BYTES_MAX = constant('SEALED_BYTES_MAX');
export const OTHER_EPOCH = constant('OTHER_EPOCH');
export const WRONG_ROW = constant('WRONG_ROW');
export const WRONG_OFFSETS = constant('WRONG_OFFSETS');
export const RESULT = constant('RESULT');
export const PREFIX = constant('PREFIX');
export const HASH_KEY = constant('HASH_KEY');
export const SUBKEYS = constant('SUBKEYS');
export const TABLES = constant('TABLES');
export const OFFSETS = constant('OFFSETS');
export const RESULT_OFFSETS = constant('RESULT_OFFSETS');
export const ROWS = constant('ROWS');
export const SKIP = constant('SKIP');
export const NONCES = constant('NONCES');
export const BLOCKS = constant('BLOCKS');
export const PLAIN = constant('PLAIN');
export const SEALED = constant('SEALED');
export const SLOTS = constant('SLOTS');
export const SLOT_BYTES = constant('SLOT_BYTES');
export const CELL_OVERHEAD_BYTES = constant('OVERHEAD');
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
