/**
 * Locks the rows of a statement in the cloud, as PostgreSQL would lock them. They must stand there in the version in
 * which they were fetched.
 */
import { type LogicalTable, ROW_COLUMN } from '../../../catalog/catalog.js';
import { lockCollected, physicalCollectors } from '../../../catalog/key-tables.js';
import { keyColumnName } from '../../../catalog/physical-keys.js';
import type { RowLock } from '../../execute/bodies.js';
import { collect } from '../../execute/collect.js';
import { statement } from '../../execute/convert.js';
import { ROWS_MAX } from '../../execute/portal.js';
import type { SessionPort } from '../../ports.js';
import { isProtected, nameOf, tidArray } from './batch-statement.js';
import type { CloudWrites, RowsToWrite } from './cloud-writes.js';
import { lockStrength } from './key-change.js';

/** Row ids of locked rows by their ctid; 0 for those of an unprotected table. */
export type Locked = ReadonlyMap<string, number>;

/** The rows of a statement's writes, locked. */
export type LockedRows = ReadonlyMap<RowsToWrite, Locked>;

/**
 * Locks the rows that a statement updates or deletes, and those that it leaves as they are because of what they hold
 * (ExecOnConflictUpdate of nodeModifyTable.c).
 * @returns undefined: one of them is not any more what it was when it was fetched
 * @throws PostgresError of the cloud: 40001 where the transaction has one snapshot and a row has changed since
 */
export async function lockRows(writes: CloudWrites, session: SessionPort): Promise<LockedRows | undefined> {
  const locked = new Map<RowsToWrite, Locked>();
  for (const [table, ctids] of writes.untouched) {
    const found = await lock({ table, strength: 'NO KEY UPDATE', wait: '' }, [...ctids], writes, session);
    if (found.size < ctids.size) return undefined;
  }
  for (const batch of writes.batches) {
    if (batch.kind === 'insert') continue;
    const strength = batch.kind === 'delete' ? 'UPDATE' : lockStrength(batch);
    const found = await lock({ table: batch.table, strength, wait: '' }, batch.ctids, writes, session);
    if (found.size < batch.ctids.length) return undefined;
    if (strength === 'UPDATE') await lockKeys(batch, session);
    locked.set(batch, found);
  }
  return locked;
}

/** Locks keys to which rows of other tables may refer where they are collected from the partitions. */
async function lockKeys({ table, ctids }: RowsToWrite, session: SessionPort): Promise<void> {
  for (const collector of physicalCollectors(table, column => keyColumnName(column) ?? '')) {
    const sql = lockCollected(collector);
    await collect(session.cloud, statement(sql, []), [tidArray(ctids)], [0], [0]);
  }
}

/**
 * Locks rows of one table.
 * @returns those that are what they were when they were fetched
 * @throws PostgresError 55P03 where others hold one and it is not to be waited for
 */
export const lock = (
  { table, strength, wait }: RowLock,
  ctids: readonly string[],
  writes: CloudWrites,
  session: SessionPort,
): Promise<Locked> => unchanged(table, ctids, `FOR ${strength} ${wait}`, writes, session);

/** Row ids of rows of a table that are what they were when they were fetched. */
export const rowIdsAt = (
  table: LogicalTable,
  ctids: readonly string[],
  writes: CloudWrites,
  session: SessionPort,
): Promise<Locked> => unchanged(table, ctids, '', writes, session);

async function unchanged(
  table: LogicalTable,
  ctids: readonly string[],
  locking: string,
  writes: CloudWrites,
  session: SessionPort,
): Promise<Locked> {
  const found = new Map<string, number>();
  const row = isProtected(table) ? `t.${ROW_COLUMN}::pg_catalog.text` : "'0'";
  const query = statement(
    `SELECT t.ctid::pg_catalog.text, t.xmin::pg_catalog.text, ${row} FROM ONLY ${nameOf(table)} AS t
      WHERE t.ctid = ANY ($1::pg_catalog.tid[]) ${locking}`,
    [],
  );
  for (let from = 0; from < ctids.length; from += ROWS_MAX) {
    const part = ctids.slice(from, from + ROWS_MAX);
    for (const fields of await collect(session.cloud, query, [tidArray(part)], [0], [])) {
      const [ctid, xmin, id] = fields.map(field => Buffer.from(field ?? []).toString());
      if (writes.fetched(table).xmin(ctid!) === xmin) found.set(ctid!, Number(id));
    }
  }
  return found;
}
