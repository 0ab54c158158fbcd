/**
 * Random 96-bit nonces, drawn in bulk from the operating system's generator by way of OpenSSL's. Each is given out
 * once: the place moves on before a nonce is used.
 */
import { randomFillSync } from 'node:crypto';
import { bytes, NONCES, NONCES_MAX } from './kernel.js';

const nonce_bytes = 12;
const store = bytes.subarray(NONCES, NONCES + NONCES_MAX * nonce_bytes);
let given = NONCES_MAX;

/** Address, in the kernel's memory, of `count` fresh nonces; valid until the next call. */
export function takeNonces(count: number): number {
  if (given + count > NONCES_MAX) {
    randomFillSync(store);
    given = 0;
  }
  const first = given;
  given += count;
  return NONCES + first * nonce_bytes;
}
