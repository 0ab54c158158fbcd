/** Rotation of the root key: wraps anew what it wraps, and renews what is derived from it. */
import pg from 'pg';
import { rootKeyFingerprint, wrapKey } from '../crypto/keys.js';
import { formatVerifier, makeVerifier } from '../wire/scram.js';
import { leaseKey, mustBeRootKey, mustUnwrap, rootKeyCheck, superuserPassword } from './root-key.js';
import { inTransaction } from './server.js';

/**
 * Replaces the root key, in one transaction. Every Clarus that uses the trusted database must be stopped, and is
 * started with the new key after; roles of users take their new passwords then.
 * @param database the state database, opened with the old key
 * @throws ClarusError 28000 when `oldRoot` is not the key in force
 */
export async function rewrapAll(
  database: { readonly state: pg.Pool; readonly server: { readonly embedded: boolean } },
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
): Promise<void> {
  const rewrap = (wrapped: Buffer): Buffer =>
    Buffer.from(wrapKey(newRoot, mustUnwrap(oldRoot, wrapped, 'to rotate')));
  await inTransaction(database.state, async client => {
    const known = await client.query<{ fingerprint: string; check: Buffer }>(
      'SELECT root_fingerprint AS fingerprint, root_check AS check FROM clarus.installation FOR UPDATE',
    );
    mustBeRootKey(oldRoot, known.rows[0]!);
    for (const table of ['keys', 'retired_lease_keys']) {
      const { rows } = await client.query<{ place: string; wrapped: Buffer }>(
        `SELECT ctid::text AS place, wrapped FROM clarus.${table} FOR UPDATE`,
      );
      for (const { place, wrapped } of rows)
        await client.query(`UPDATE clarus.${table} SET wrapped = $2 WHERE ctid = $1::tid`, [
          place,
          rewrap(wrapped),
        ]);
    }
    // Records of leases that lie in the cloud keep the key that they were sealed with.
    await client.query('INSERT INTO clarus.retired_lease_keys (wrapped) VALUES ($1)', [
      wrapKey(newRoot, leaseKey(oldRoot)),
    ]);
    await client.query('UPDATE clarus.installation SET root_fingerprint = $1, root_check = $2', [
      rootKeyFingerprint(newRoot),
      rootKeyCheck(newRoot),
    ]);
    if (!database.server.embedded) return;
    const verifier = pg.escapeLiteral(formatVerifier(makeVerifier(superuserPassword(newRoot))));
    await client.query(`ALTER ROLE CURRENT_USER PASSWORD ${verifier}`);
  });
  await database.state.query('VACUUM (FULL) clarus.keys');
}
