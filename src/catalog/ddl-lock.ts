/** One transaction at a time changes the schema of a database: each derives from the catalogue that the one before left. */
import { ClarusError } from '../errors.js';
import type { Reader } from './reader.js';

/** Key of the advisory lock in the shadow database: the bytes of `clarus`. */
const DDL_LOCK = '109304467351923';
const WAIT_MS_MAX = 30_000;

/**
 * Takes the lock until the transaction ends; taking it again does nothing. Whoever derives tables loads the
 * catalogue after it, once the journal holds no commit under way. The lock is tried, not waited for, because its
 * holder may wait for a lock of this session in the cloud, where no server would see the deadlock.
 * @param shadow a connection to the shadow database, inside a transaction
 * @param pause waits between two tries, unless the client does not want to wait any longer
 * @throws ClarusError 55P03 after 30 s
 */
export async function lockDdl(shadow: Reader, pause = sleep): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX;
  for (let wait_ms = 2; ; wait_ms = Math.min(wait_ms * 2, 200)) {
    const [row] = await shadow('SELECT pg_catalog.pg_try_advisory_xact_lock($1::bigint)', [DDL_LOCK]);
    if (row?.[0] === 't') return;
    if (Date.now() > deadline)
      throw new ClarusError('55P03', 'another transaction is changing the schema of this database', {
        hint: 'Try again when it has ended; keep transactions with DDL short.',
      });
    await pause(wait_ms);
  }
}

const sleep = (wait_ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, wait_ms));
