/** Opens the key store: the leases are compared with the cloud's memory before a key can be used. */
import type { Pool } from 'pg';
import { KeyStore } from './keys.js';
import { LeaseBook } from './lease-book.js';
import { compareLeases, type LeaseReport } from './put-back.js';
import { leaseKey, mustUnwrap } from './root-key.js';
import type { LeaseWitness } from './witness.js';

/**
 * @returns the key store, and what comparing the leases found
 * @throws ClarusError XX001 when a key or a record of a lease does not open; the witness's own errors when the cloud
 *   cannot be asked: nothing may be sealed then
 */
export async function openKeyStore(options: {
  readonly state: Pool;
  /** 32 bytes */
  readonly rootKey: Uint8Array;
  readonly witness: LeaseWitness;
  /** false: the primary process has compared the leases already */
  readonly compare?: boolean;
}): Promise<{ readonly keys: KeyStore; readonly report: LeaseReport }> {
  const { state, rootKey, witness } = options;
  const current = leaseKey(rootKey);
  const report =
    options.compare === false
      ? { putBack: false, unknownLeases: 0, newEpochs: 0 }
      : await compareLeases(state, [current, ...(await retiredLeaseKeys(state, rootKey))], witness);
  const keys = new KeyStore(state, rootKey, new LeaseBook(state, current, witness));
  await keys.refresh();
  return { keys, report };
}

async function retiredLeaseKeys(state: Pool, rootKey: Uint8Array): Promise<readonly Uint8Array[]> {
  const { rows } = await state.query<{ wrapped: Buffer }>(
    'SELECT wrapped FROM clarus.retired_lease_keys ORDER BY retired_at DESC',
  );
  return rows.map(({ wrapped }) => mustUnwrap(rootKey, wrapped, 'of earlier lease records'));
}
