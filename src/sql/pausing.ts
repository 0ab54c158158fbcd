/** Waiting for what another session holds, without a lock that a server would know of. */
import type { TextRow } from '../catalog/reader.js';
import { ClarusError } from '../errors.js';
import type { SessionPort } from './ports.js';
import { readerOn } from './reading.js';

/**
 * Waits as the client's own lock wait in PostgreSQL would: as long as the cloud's timeouts allow, and asleep in the
 * cloud, where a request to cancel finds it; one that comes between is counted.
 * @returns waits between two looks. @throws ClarusError 55P03, 57014
 */
export function pausing(session: SessionPort): (wait_ms: number) => Promise<void> {
  const began_ms = performance.now();
  const { cancelRequests } = session;
  const cloud = readerOn(session.cloud);
  let limits: readonly TextRow[] | undefined;
  return async wait_ms => {
    if (session.cancelRequests > cancelRequests)
      throw new ClarusError('57014', 'canceling statement due to user request');
    limits ??= await cloud(
      "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('lock_timeout', 'statement_timeout') AND setting <> '0' ORDER BY setting::bigint LIMIT 1",
      [],
    );
    const [[name, limit_ms] = []] = limits;
    const left_ms = limit_ms ? Number(limit_ms) - (performance.now() - began_ms) : wait_ms;
    if (left_ms <= 0)
      throw name === 'lock_timeout'
        ? new ClarusError('55P03', 'canceling statement due to lock timeout')
        : new ClarusError('57014', 'canceling statement due to statement timeout');
    await cloud('SELECT pg_catalog.pg_sleep($1::pg_catalog.float8)', [
      String(Math.min(wait_ms, left_ms) / 1_000),
    ]);
  };
}
