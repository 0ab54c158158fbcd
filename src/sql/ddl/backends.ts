/** The session's two backends as DDL uses them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { lockDdl } from '../../catalog/ddl-lock.js';
import type { SchemaConnection } from '../../catalog/reader.js';
import { detachSql } from '../../trusted/carriers.js';
import type { Diagnostic } from '../../wire/diagnostic.js';
import { tell } from '../notices.js';
import { inCloudsWords, namesIn } from '../opaque/index.js';
import { pausing } from '../pausing.js';
import type { SessionPort, StatementPort } from '../ports.js';
import { readerOn } from '../reading.js';
import type { DdlBody, DdlDependencies } from './body.js';

/** A backend of the session as a connection that reads and changes a schema. */
export const schemaConnection = (port: StatementPort): SchemaConnection => ({
  read: readerOn(port),
  run: sql => port.run(sql),
});

/**
 * Puts the shadow into the transaction, takes the lock on DDL and brings the catalogue up to date.
 * @throws ClarusError 40P01, 55P03, 57014 when another transaction holds the lock for too long
 */
export async function beginDdl(session: SessionPort, deps: DdlDependencies): Promise<void> {
  await session.transaction.touchTrusted();
  await lockDdl(readerOn(session.trusted), { cloud: readerOn(session.cloud), pause: pausing(session) });
  await deps.settle(session);
}

/**
 * Runs the client's own statement in the shadow, and tells the client what is noticed there: the cloud, which gets
 * what follows from it, says that of physical names or not at all.
 * @returns the command tag
 */
export async function runInShadow(session: SessionPort, sql: string): Promise<string> {
  const noticed: Diagnostic[] = [];
  try {
    return await session.trusted.run(sql, diagnostic => noticed.push(diagnostic));
  } finally {
    await tell(session, noticed);
  }
}

/**
 * Drops the carriers of tables that a statement changes, so that it meets nothing but them (trusted/carriers.ts). Locks
 * the tables as the statement is going to.
 */
export async function detachCarriers(session: SessionPort, tables: Iterable<LogicalTable>): Promise<void> {
  if (!session.residual) return;
  for (const { oid } of tables) await session.trusted.run(detachSql(oid));
}

/** Runs a statement on the trusted side only. */
export async function inShadow(session: SessionPort, { text }: DdlBody): Promise<{ readonly tag: string }> {
  const tag = await runInShadow(session, text);
  session.transaction.record(text, []);
  return { tag };
}

/** Does an object of this name stand in the cloud? */
export async function inCloud(
  session: SessionPort,
  lookUp: 'to_regtype' | 'to_regclass',
  name: string,
): Promise<boolean> {
  const parts = lookUp === 'to_regclass' ? namesIn(name) : undefined;
  const there = parts?.length === 2 ? inCloudsWords(session.catalog(), parts[0]!, parts[1]!) : name;
  const [row] = await readerOn(session.cloud)(`SELECT pg_catalog.${lookUp}($1) IS NOT NULL`, [there]);
  return row?.[0] === 't';
}
