// GF(2^128) as GHASH uses it (NIST SP 800-38D section 6.3): the first bit of a block is the coefficient of x^0.
//
// Secret blocks (powers of H, products, sums) stand MIRRORED: the last byte first, so that they are little-endian
// integers, the coefficient of x^0 is the highest bit, and a factor x is a shift to the right. Public blocks stand
// as they are.
//
// Side channels. A power of H is secret. Here it meets two kinds of factors:
// - public bytes (associated data, ciphertext, lengths): `lookUp` finds the products in tables, and every index
//   is a byte the cloud also sees, so neither the cache lines touched nor the time depend on a secret;
// - secret blocks (other powers, partial sums): `multiply` works with masks only, without a table or a branch.

@inline const REDUCTION: u64 = 0xe100000000000000;

/**
 * Product of two secret blocks, given and returned in memory. Without branches or look-ups: carry-less products are
 * made of integer products of words with holes for the carries, which take the same time for all operands on 64-bit
 * processors; the upper halves come from the reversed operands; Karatsuba above (Thomas Pornin, "Constant-Time
 * Crypto", BearSSL's ghash_ctmul64).
 */
export function multiply(x: usize, y: usize, product: usize): void {
  const x1 = load<u64>(x, 8);
  const x0 = load<u64>(x);
  const y1 = load<u64>(y, 8);
  const y0 = load<u64>(y);
  const low = carryless(x0, y0);
  const high = carryless(x1, y1);
  const middle = carryless(x0 ^ x1, y0 ^ y1) ^ low ^ high;
  const x1r = reverse(x1);
  const x0r = reverse(x0);
  const y1r = reverse(y1);
  const y0r = reverse(y0);
  const lowR = carryless(x0r, y0r);
  const highR = carryless(x1r, y1r);
  const middleR = carryless(x0r ^ x1r, y0r ^ y1r) ^ lowR ^ highR;
  let z0 = low;
  let z1 = (reverse(lowR) >> 1) ^ middle;
  let z2 = (reverse(middleR) >> 1) ^ high;
  let z3 = reverse(highR) >> 1;
  // Bits stand reversed in the block, so the 255-bit product is moved up by one before it is reduced.
  z3 = (z3 << 1) | (z2 >> 63);
  z2 = (z2 << 1) | (z1 >> 63);
  z1 = (z1 << 1) | (z0 >> 63);
  z0 <<= 1;
  z2 ^= z0 ^ (z0 >> 1) ^ (z0 >> 2) ^ (z0 >> 7);
  z1 ^= (z0 << 63) ^ (z0 << 62) ^ (z0 << 57);
  z3 ^= z1 ^ (z1 >> 1) ^ (z1 >> 2) ^ (z1 >> 7);
  z2 ^= (z1 << 63) ^ (z1 << 62) ^ (z1 << 57);
  store<u64>(product, z3, 8);
  store<u64>(product, z2);
}

/** Lower 64 bits of the carry-less product. */
function carryless(x: u64, y: u64): u64 {
  const x0 = x & 0x1111111111111111;
  const x1 = x & 0x2222222222222222;
  const x2 = x & 0x4444444444444444;
  const x3 = x & 0x8888888888888888;
  const y0 = y & 0x1111111111111111;
  const y1 = y & 0x2222222222222222;
  const y2 = y & 0x4444444444444444;
  const y3 = y & 0x8888888888888888;
  const z0 = (x0 * y0) ^ (x1 * y3) ^ (x2 * y2) ^ (x3 * y1);
  const z1 = (x0 * y1) ^ (x1 * y0) ^ (x2 * y3) ^ (x3 * y2);
  const z2 = (x0 * y2) ^ (x1 * y1) ^ (x2 * y0) ^ (x3 * y3);
  const z3 = (x0 * y3) ^ (x1 * y2) ^ (x2 * y1) ^ (x3 * y0);
  return (
    (z0 & 0x1111111111111111) | (z1 & 0x2222222222222222) | (z2 & 0x4444444444444444) | (z3 & 0x8888888888888888)
  );
}

/** The bits of a word in reverse order. */
@inline function reverse(x: u64): u64 {
  x = ((x & 0x5555555555555555) << 1) | ((x >> 1) & 0x5555555555555555);
  x = ((x & 0x3333333333333333) << 2) | ((x >> 2) & 0x3333333333333333);
  x = ((x & 0x0f0f0f0f0f0f0f0f) << 4) | ((x >> 4) & 0x0f0f0f0f0f0f0f0f);
  return bswap(x);
}

/**
 * Writes the table of the block at `factor`: its product with every byte at the positions 0 to 7. Branch-free in the
 * block: all look-ups and branches follow the counters.
 */
export function tabulate(factor: usize, table: usize): void {
  let high = load<u64>(factor, 8);
  let low = load<u64>(factor);
  for (let position = 0; position < 8; position++, table += 4096) {
    for (let bit: usize = 2048; bit >= 16; bit >>= 1) {
      store<u64>(table + bit, low);
      store<u64>(table + bit, high, 8);
      const carry = 0 - (low & 1);
      low = (low >> 1) | (high << 63);
      high = (high >> 1) ^ (REDUCTION & carry);
    }
    v128.store(table, i64x2.splat(0));
    for (let bit: usize = 32; bit < 4096; bit <<= 1) {
      const single = v128.load(table + bit);
      for (let rest: usize = 16; rest < bit; rest += 16)
        v128.store(table + bit + rest, v128.xor(single, v128.load(table + rest)));
    }
  }
}

/**
 * `sum` plus the products of the factor of a table with the eight bytes of a PUBLIC word at the positions 0 to 7. The
 * additions are one chain, as the engine then keeps each look-up beside its addition.
 */
@inline
export function lookUp(sum: v128, table: usize, word: u64): v128 {
  sum = v128.xor(sum, v128.load(table + (<usize>(word << 4) & 0xff0)));
  sum = v128.xor(sum, v128.load(table + (<usize>(word >> 4) & 0xff0), 0x1000));
  sum = v128.xor(sum, v128.load(table + (<usize>(word >> 12) & 0xff0), 0x2000));
  sum = v128.xor(sum, v128.load(table + (<usize>(word >> 20) & 0xff0), 0x3000));
  sum = v128.xor(sum, v128.load(table + (<usize>(word >> 28) & 0xff0), 0x4000));
  sum = v128.xor(sum, v128.load(table + (<usize>(word >> 36) & 0xff0), 0x5000));
  sum = v128.xor(sum, v128.load(table + (<usize>(word >> 44) & 0xff0), 0x6000));
  return v128.xor(sum, v128.load(table + (<usize>(word >> 52) & 0xff0), 0x7000));
}

/** `sum` plus the products of the three bytes above the lowest of a PUBLIC number that ends a word, big endian. */
@inline
export function lookUpEnd(sum: v128, table: usize, number: u32): v128 {
  sum = v128.xor(sum, v128.load(table + ((<usize>number >> 4) & 0xff0), 0x6000));
  sum = v128.xor(sum, v128.load(table + ((<usize>number >> 12) & 0xff0), 0x5000));
  return v128.xor(sum, v128.load(table + ((<usize>number >> 20) & 0xff0), 0x4000));
}

/** `sum` plus the product of the lowest byte of a PUBLIC number that ends a word, big endian. */
@inline
export function lookUpLast(sum: v128, table: usize, number: u32): v128 {
  return v128.xor(sum, v128.load(table + ((<usize>number << 4) & 0xff0), 0x7000));
}

/**
 * first + second*x^64, where the sums are of products with the first and the second words of blocks. What is shifted
 * out of the block, 64 bits, stands for x^128 and up, and x^128 is 1 + x + x^2 + x^7.
 */
@inline
export function collapse(first: v128, second: v128): v128 {
  const zero = i64x2.splat(0);
  const out = i64x2.shuffle(zero, second, 0, 2);
  const carried = i64x2.shuffle(second, zero, 0, 2);
  const shifted = v128.xor(v128.xor(i64x2.shr_u(out, 1), i64x2.shr_u(out, 2)), i64x2.shr_u(out, 7));
  const carries = v128.xor(v128.xor(i64x2.shl(carried, 63), i64x2.shl(carried, 62)), i64x2.shl(carried, 57));
  return v128.xor(v128.xor(first, i64x2.shuffle(second, second, 1, 0)), v128.xor(shifted, carries));
}

/** Mirrors a block. */
@inline
export function mirror(block: v128): v128 {
  return i8x16.shuffle(block, block, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

/** Product of a PUBLIC block with the factor of a table. */
export function times(table: usize, block: v128): v128 {
  const zero = i64x2.splat(0);
  return collapse(
    lookUp(zero, table, <u64>i64x2.extract_lane(block, 0)), lookUp(zero, table, <u64>i64x2.extract_lane(block, 1)),
  );
}
