/** What the tests of this room share: a directory, a root key, and a cloud that remembers leases. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenTrustedOptions, openTrusted, type Trusted } from './open.js';
import { type LeaseWitness, putBack } from './witness.js';

export const rootKey = new Uint8Array(32).fill(7);

/** A directory for an embedded trusted database. */
export const temporaryDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'clarus-trusted-'));

export const remove = (directory: string): Promise<void> => rm(directory, { recursive: true, force: true });

/** Opens the embedded trusted database of a directory. */
export const openIn = (
  directory: string,
  options: Partial<Omit<OpenTrustedOptions, 'trusted'>> = {},
): Promise<Trusted> =>
  openTrusted({
    trusted: { database: 'embedded', directory, key: { kind: 'env', name: 'UNUSED' } },
    rootKey,
    resolveSecret: () => {
      throw new Error('there is no secret');
    },
    ...options,
  });

/** A cloud's memory in memory. */
export class MemoryWitness implements LeaseWitness {
  readonly records = new Map<number, Uint8Array>();

  async record(id: number, sealed: Uint8Array): Promise<number> {
    if (this.records.has(id)) throw putBack();
    this.records.set(id, sealed);
    return Math.max(...this.records.keys());
  }

  async all() {
    return [...this.records].map(([id, sealed]) => ({ id, sealed }));
  }

  async forget(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.records.delete(id);
  }
}
