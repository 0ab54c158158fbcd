/**
 * Random 96-bit nonces, drawn in bulk from the operating system's generator by way of OpenSSL's. Each is
 * used once.
 */
import { randomFillSync } from 'node:crypto';
import { bytes, NONCES, NONCES_MAX } from './kernel.js';

const nonce_bytes = 12;
const store = bytes.subarray(NONCES, NONCES + NONCES_MAX * nonce_bytes);
let used = NONCES_MAX;

/** Address, in the kernel's memory, of `count` fresh nonces. They are not used before `useNonces` says so. */
export function offerNonces(count: number): number {
  if (used + count > NONCES_MAX) {
    randomFillSync(store);
    used = 0;
  }
  return NONCES + used * nonce_bytes;
}

/** Marks the first `count` of the nonces offered last as used: called before anything is encrypted under them. */
export function useNonces(count: number): void {
  used += count;
}
