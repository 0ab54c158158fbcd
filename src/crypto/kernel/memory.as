// The kernel's memory: where the caller puts its input and finds the results. Fixed addresses, no allocator.
// Everything a piece touches (about 300 KiB with three tables) stays in the L2 cache.

/** Most cells or messages of one piece. */
export const CELLS_MAX: i32 = 2048;
/** Most AES blocks of one piece: 64 KiB, so that the native call neither leaves L2 nor maps fresh pages. */
export const BLOCKS_MAX: i32 = 4096;
/** Longest value the kernel takes, in blocks; a longer one is cheaper with one native GCM call. */
export const VALUE_BLOCKS_MAX: i32 = 256;

@inline const KIB: usize = 1024;

/** u32 results of the counters functions: AES blocks, bytes of the shortest and of the longest value, cells. */
export const RESULT: usize = 1 * KIB;
/** 8 bytes: the first half of the associated data block of every cell. */
export const PREFIX: usize = 1 * KIB + 16;
/** 16 bytes: the GHASH key H while a table is built. */
export const HASH_KEY: usize = 1 * KIB + 32;
/** 32 bytes: the CMAC subkeys K1 and K2. */
export const SUBKEYS: usize = 1 * KIB + 64;
/** u32 addresses of the tables of H^1 .. H^8, at index 1 .. 8. */
export const TABLES: usize = 1 * KIB + 128;
/** 16 bytes of ones, then 16 of zeros: loaded at an offset, a mask for the last, partial block. */
export const MASKS: usize = 1 * KIB + 256;
/** 16 bytes: 15 to 0. */
export const BACKWARDS: usize = 1 * KIB + 320;
/** 16 bytes, in between. */
export const SCRATCH: usize = 1 * KIB + 304;
/** Folded constant parts by length, 0 .. 96 bytes: 16 bytes, and the upper half of the row ids they hold for (u64). */
export const FOLDED: usize = 2 * KIB;
/** H^8, H^16, H^24 ... */
export const WEIGHTS: usize = 6 * KIB;
/** Offsets of the input values or cells: `CELLS_MAX + 1` u32, counted from anywhere. Cells: then without NULLs. */
export const OFFSETS: usize = 8 * KIB;
/** Offsets of the results: likewise. */
export const RESULT_OFFSETS: usize = 20 * KIB;
/** Row ids: f64, then u64 without those of NULLs. Tags: indices of the messages that are not finished, u32. */
export const ROWS: usize = 32 * KIB;
/** One byte a cell: not 0 where there is nothing to do (NULL). */
export const SKIP: usize = 48 * KIB;
/** Nonces in store, `NONCES_MAX` of 12 bytes. */
export const NONCES: usize = 52 * KIB;
export const NONCES_MAX: i32 = 8192;
/** Counter blocks, then what AES made of them. */
export const BLOCKS: usize = 160 * KIB;
/** Values in the clear. Tags: messages. */
export const PLAIN: usize = 240 * KIB;
export const PLAIN_BYTES_MAX: u32 = 64 * 1024;
/** Cells. Tags: tags. */
export const SEALED: usize = 320 * KIB;
export const SEALED_BYTES_MAX: u32 = 128 * 1024;
/** The tables of powers, one after the other. */
export const SLOTS: usize = 512 * KIB;
/** One table: 8 byte positions of 256 entries of 16 bytes. */
export const SLOT_BYTES: usize = 32 * KIB;
