/** The session's two backends as DDL uses them. */
import type { Reader, SchemaConnection, TextRow } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { physical } from '../compilation.js';
import type { PhysicalStatement, SessionPort, StatementPort } from '../plan.js';
import type { DdlDependencies } from './body.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();
/** One statement a text, so that a session prepares it once. */
const statements = new Map<string, PhysicalStatement>();

function statementFor(sql: string): PhysicalStatement {
  const known = statements.get(sql);
  if (known) return known;
  const made = physical(sql, []);
  statements.set(sql, made);
  return made;
}

/** Reads through a backend of the session. Only for texts of a fixed set: each is prepared once a session. */
export const readerOn =
  (port: StatementPort): Reader =>
  async (sql, parameters): Promise<readonly TextRow[]> => {
    const values = parameters.map(value => (value === null ? null : encoder.encode(value)));
    const { rows } = await port.gather(statementFor(sql), values, false);
    return rows.map(row => row.map(value => (value === null ? null : decoder.decode(value))));
  };

/** A backend of the session as a connection that reads and changes a schema. */
export const schemaConnection = (port: StatementPort): SchemaConnection => ({
  read: readerOn(port),
  run: sql => port.run(sql),
});

/** Key of the advisory lock on DDL: the bytes of `clarus`. */
const DDL_LOCK = '109304467351923';
const LOCK_WAIT_MS_MAX = 30_000;

/**
 * Puts the shadow into the transaction, takes the lock on DDL and brings the catalogue up to date. One
 * transaction at a time changes the schema of a database: each derives from the catalogue that the one before
 * left. The lock is tried, not waited for, because its holder may wait for a lock of this session in the cloud,
 * where no server would see the deadlock.
 * @throws ClarusError 55P03 after 30 s
 */
export async function beginDdl(session: SessionPort, deps: DdlDependencies): Promise<void> {
  await session.transaction.touchTrusted();
  const read = readerOn(session.trusted);
  const deadline = Date.now() + LOCK_WAIT_MS_MAX;
  for (let wait_ms = 2; ; wait_ms = Math.min(wait_ms * 2, 200)) {
    const [row] = await read('SELECT pg_catalog.pg_try_advisory_xact_lock($1::bigint)', [DDL_LOCK]);
    if (row?.[0] === 't') break;
    if (Date.now() > deadline)
      throw new ClarusError('55P03', 'another transaction is changing the schema of this database', {
        hint: 'Try again when it has ended; keep transactions with DDL short.',
      });
    await new Promise(resolve => setTimeout(resolve, wait_ms));
  }
  await deps.settle(session);
}
