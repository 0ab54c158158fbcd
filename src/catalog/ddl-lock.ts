/** One transaction at a time changes the schema of a database: each derives from the catalogue that the one before left. */
import { ClarusError } from '../errors.js';
import { type Reader, readOne } from './reader.js';

/** Key of the advisory lock in the shadow database: the bytes of `clarus`. */
const DDL_LOCK = '109304467351923';
/**
 * First key of the advisory lock that tells of its holder, the bytes of `ddl`; the second is the number of the holder's
 * process in the cloud.
 */
const HOLDER = '6579308';
const WAIT_MS_MAX = 30_000;

/** The session that takes the lock. */
export interface DdlSession {
  /** its backend in the cloud */
  readonly cloud: Reader;
  /** waits between two tries, unless the client does not want to wait any longer */
  readonly pause: (wait_ms: number) => Promise<void>;
}

/**
 * Takes the lock until the transaction ends; taking it again does nothing. Whoever derives tables loads the
 * catalogue after it, once the journal holds no commit under way. The lock is tried, not waited for, because its
 * holder may wait for a lock of this session in the cloud, where no server would see the deadlock: that is looked for
 * as often as the cloud looks for its own (`deadlock_timeout`).
 * @param shadow a connection to the shadow database, inside a transaction
 * @param session undefined: it holds nothing that others wait for
 * @throws ClarusError 40P01 where the holder waits for the session, 55P03 after 30 s
 */
export async function lockDdl(shadow: Reader, session?: DdlSession): Promise<void> {
  const began_ms = performance.now();
  let every_ms: number | undefined;
  let looks_ms = 0;
  for (let wait_ms = 2; ; wait_ms = Math.min(wait_ms * 2, 200)) {
    const [row] = await shadow('SELECT pg_catalog.pg_try_advisory_xact_lock($1::bigint)', [DDL_LOCK]);
    if (row?.[0] === 't') break;
    const waited_ms = performance.now() - began_ms;
    if (waited_ms > WAIT_MS_MAX)
      throw new ClarusError('55P03', 'another transaction is changing the schema of this database', {
        hint: 'Try again when it has ended; keep transactions with DDL short.',
      });
    await (session?.pause ?? sleep)(wait_ms);
    if (!session) continue;
    every_ms ??= looks_ms = Number(await readOne(session.cloud, deadlockTimeout));
    if (waited_ms < looks_ms) continue;
    looks_ms = waited_ms + every_ms;
    if (await waitsForUs(shadow, session.cloud)) throw deadlock();
  }
  if (session)
    await shadow('SELECT pg_catalog.pg_advisory_xact_lock_shared($1::integer, $2::integer)', [
      HOLDER,
      await readOne(session.cloud, 'SELECT pg_catalog.pg_backend_pid()'),
    ]);
}

/** Does the holder of the lock wait for this session, on either side? */
async function waitsForUs(shadow: Reader, cloud: Reader): Promise<boolean> {
  for (const [here, there] of await shadow(holders, [HOLDER]))
    if (
      (await readOne(shadow, waitsFor, [here!])) === 't' ||
      (await readOne(cloud, waitsFor, [there!])) === 't'
    )
      return true;
  return false;
}

const deadlockTimeout = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'";

/** Processes of the lock's holder in the shadow and in the cloud. */
const holders = `SELECT pid::pg_catalog.text, objid::pg_catalog.text FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND classid::bigint = $1::bigint AND objsubid = 2 AND pid <> pg_catalog.pg_backend_pid()
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`;

/** Does a process wait for this one, or for one that does? */
const waitsFor = `WITH RECURSIVE awaited AS (
    SELECT pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1::integer)) AS u (pid)
  UNION
    SELECT u.pid FROM awaited, pg_catalog.unnest(pg_catalog.pg_blocking_pids(awaited.pid)) AS u (pid))
  SELECT pg_catalog.pg_backend_pid() IN (SELECT pid FROM awaited)`;

const deadlock = (): ClarusError =>
  new ClarusError('40P01', 'deadlock detected', {
    detail:
      'Another transaction that changes the schema of this database waits for this one, which waits for it to end.',
    hint: 'Try again.',
  });

const sleep = (wait_ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, wait_ms));
