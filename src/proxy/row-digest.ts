/**
 * A digest of rows in any order: the sum modulo 2^256 of the SHA-256 of each row's line in COPY's text format.
 * Two sides that hold the same rows have the same sum, whatever order they send them in. It finds mistakes; against
 * somebody who chooses rows to collide it is no proof.
 */
import { createHash } from 'node:crypto';

const modulus = 1n << 256n;
const newline = 0x0a;

/** Takes the stream of COPY ... TO STDOUT (FORMAT text), cut anywhere. Line ends inside values are escaped there. */
export class RowDigest {
  #sum = 0n;
  #count = 0;
  #rest: Uint8Array[] = [];

  push(data: Uint8Array): void {
    let from = 0;
    for (let end = data.indexOf(newline); end >= 0; end = data.indexOf(newline, from)) {
      this.#row(data.subarray(from, end));
      from = end + 1;
    }
    if (from < data.length) this.#rest.push(Uint8Array.from(data.subarray(from)));
  }

  #row(end: Uint8Array): void {
    const hash = createHash('sha256');
    for (const part of this.#rest) hash.update(part);
    this.#rest = [];
    this.#sum = (this.#sum + BigInt(`0x${hash.update(end).digest('hex')}`)) % modulus;
    this.#count++;
  }

  /** rows so far */
  get count(): number {
    return this.#count;
  }

  /** 64 hexadecimal digits */
  get value(): string {
    return this.#sum.toString(16).padStart(64, '0');
  }
}
