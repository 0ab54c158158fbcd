/** The session's two backends as DDL uses them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { lockDdl } from '../../catalog/ddl-lock.js';
import { quoteQualified } from '../../catalog/quote.js';
import type { Reader, SchemaConnection, TextRow } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { detachSql } from '../../trusted/carriers.js';
import type { Diagnostic } from '../../wire/diagnostic.js';
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

/**
 * Puts the shadow into the transaction, takes the lock on DDL and brings the catalogue up to date.
 * @throws ClarusError 55P03, 57014 when another transaction holds the lock for too long
 */
export async function beginDdl(session: SessionPort, deps: DdlDependencies): Promise<void> {
  await session.transaction.touchTrusted();
  await lockDdl(readerOn(session.trusted), pausing(session));
  await deps.settle(session);
}

/**
 * Waits as the client's own lock wait in PostgreSQL would: as long as the cloud's timeouts allow, and asleep in the
 * cloud, where a request to cancel finds it; one that comes between is counted.
 */
function pausing(session: SessionPort): (wait_ms: number) => Promise<void> {
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

/**
 * Takes the cloud's locks of a statement that locks its tables against everybody, before the shadow's: whoever uses
 * such a table meanwhile is analysed in the shadow, and must not wait there while this one waits in the cloud for it.
 * @throws PostgresError 55P03 by the session's lock_timeout, 40P01
 */
export async function lockInCloud(session: SessionPort, tables: Iterable<LogicalTable>): Promise<void> {
  const names = [...tables].map(({ physical }) => quoteQualified(physical.schema, physical.name));
  if (names.length > 0) await session.cloud.run(`LOCK TABLE ${names.join(', ')} IN ACCESS EXCLUSIVE MODE`);
}

/** Severities of notices, as `client_min_messages` orders them; below are LOG and what is for debugging. */
const severities = ['NOTICE', 'WARNING', 'ERROR'];

/**
 * Runs the client's own statement in the shadow, and tells the client what is noticed there: the cloud, which gets
 * what follows from it, says that of physical names or not at all.
 * @returns the command tag
 */
export async function runInShadow(session: SessionPort, sql: string): Promise<string> {
  const noticed: Diagnostic[] = [];
  const tag = await session.trusted.run(sql, diagnostic => noticed.push(diagnostic));
  const told = noticed.filter(notice => rankOf(notice) >= 0 || severityOf(notice) === 'INFO');
  if (told.length === 0) return tag;
  const [[least] = []] = await readerOn(session.cloud)(
    "SELECT pg_catalog.upper(pg_catalog.current_setting('client_min_messages'))",
    [],
  );
  // INFO is always told (PostgreSQL manual, client_min_messages)
  for (const notice of told)
    if (severityOf(notice) === 'INFO' || rankOf(notice) >= severities.indexOf(least ?? ''))
      session.client.notice({ ...notice, severity: severityOf(notice) });
  return tag;
}

const severityOf = ({ severity, severityPlain }: Diagnostic): string => severityPlain ?? severity;
const rankOf = (notice: Diagnostic): number => severities.indexOf(severityOf(notice));

/**
 * Drops the carriers of tables that a statement changes, so that it meets nothing but them (trusted/carriers.ts). Locks
 * the tables as the statement is going to.
 */
export async function detachCarriers(session: SessionPort, tables: Iterable<LogicalTable>): Promise<void> {
  if (!session.residual) return;
  for (const { oid } of tables) await session.trusted.run(detachSql(oid));
}
