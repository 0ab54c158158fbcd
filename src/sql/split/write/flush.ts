/**
 * Brings what a statement writes to the cloud: what was computed from rows that are locked now is protected and written.
 */
import { actsHere, refersTo } from '../../../catalog/foreign-keys.js';
import { keyTableIn } from '../../../catalog/key-tables.js';
import { heirsOf } from '../../../catalog/trees.js';
import { ClarusError } from '../../../errors.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { logicalError } from '../../client-error.js';
import { collect, collectTagged } from '../../execute/collect.js';
import { statement } from '../../execute/convert.js';
import { type ExecutionServices, ROWS_MAX } from '../../execute/portal.js';
import { deleteSides, newRowIds, writeSides } from '../../execute/protecting.js';
import type { OutcomeListener, SessionPort } from '../../ports.js';
import { hasSideTables } from '../../write/modify.js';
import { routeActedRows } from './acted-rows.js';
import {
  type BatchServices,
  type BatchStatement,
  deleteStatement,
  isProtected,
  writeStatement,
} from './batch-statement.js';
import type { CloudWrites, RowsToWrite } from './cloud-writes.js';
import { lockStrength } from './key-change.js';
import { type IdentifiedBatch, isActedOn, mustNotLeaveActions, withActions } from './referential-actions.js';
import type { Locked, LockedRows } from './row-locks.js';

/** What writing needs beside the session. */
export interface FlushServices extends BatchServices, Pick<ExecutionServices, 'rowIds'> {}

/** Writes what a statement has computed. @throws PostgresError what the cloud says to it */
export async function flushWrites(
  writes: Pick<CloudWrites, 'batches'>,
  locked: LockedRows,
  session: SessionPort,
  services: FlushServices,
): Promise<void> {
  for (const batch of writes.batches) mustNotLeaveActions(batch, session);
  await flushBatches(writes, locked, session, services).catch(error => {
    throw writes.batches.some(({ leaves }) => leaves) ? ofWholeTable(error) : error;
  });
}

/** Of a row that goes to another partition PostgreSQL tells by the name of the partitioned table. */
function ofWholeTable(error: unknown): unknown {
  if (!(error instanceof PostgresError) || keyTableIn(error.message) === undefined) return error;
  const { where: _partition, ...told } = error.diagnostic;
  return new PostgresError(told);
}

async function flushBatches(
  writes: Pick<CloudWrites, 'batches'>,
  locked: LockedRows,
  session: SessionPort,
  services: FlushServices,
): Promise<void> {
  if (writes.batches.some(batch => isActedOn(batch, session)) || mustBeTogether(writes.batches, session)) {
    const own: IdentifiedBatch[] = [];
    for (const batch of writes.batches)
      own.push({ batch, rows: await rowsOf(batch, locked.get(batch), services) });
    await writeTogether(own, session, services);
    return;
  }
  for (const batch of writes.batches) {
    for (let from = 0; from < rowCount(batch); from += ROWS_MAX) {
      const part: RowsToWrite = {
        ...batch,
        ctids: batch.ctids.slice(from, from + ROWS_MAX),
        values: batch.values.slice(from, from + ROWS_MAX),
      };
      await writeAlone(
        { batch: part, rows: await rowsOf(part, locked.get(batch), services) },
        session,
        services,
      );
    }
  }
}

/**
 * PostgreSQL looks at foreign keys, and at keys that are deferrable, when the statement ends, not after each batch or
 * part of one.
 */
function mustBeTogether(batches: readonly RowsToWrite[], session: SessionPort): boolean {
  const isParted = (batch: RowsToWrite): boolean => rowCount(batch) > ROWS_MAX;
  if (batches.length === 1 && !isParted(batches[0]!)) return false;
  const catalog = session.catalog();
  return batches.some(
    batch =>
      (batches.length > 1 && changesCollected(batch)) ||
      batches.some(other => refersTo(catalog, batch.table, other.table)) ||
      (isParted(batch) && batch.kind === 'update' && lockStrength(batch) === 'UPDATE'),
  );
}

/** The key of a row may go from one partition to another within a statement. */
const changesCollected = ({ kind, table, columns }: RowsToWrite): boolean =>
  kind !== 'insert' &&
  (table.collectedKeys ?? []).some(
    key =>
      kind === 'delete' ||
      table.columns.some(({ number, name }) => key.columns.includes(number) && columns.includes(name)),
  );

const rowCount = ({ ctids, values }: RowsToWrite): number => Math.max(ctids.length, values.length);

const rowsOf = (
  batch: RowsToWrite,
  ids: Locked | undefined,
  services: FlushServices,
): Promise<Float64Array> | Float64Array =>
  ids ? Float64Array.from(batch.ctids, ctid => ids.get(ctid)!) : newRows(batch, services);

const newRows = (
  { table, values }: RowsToWrite,
  services: FlushServices,
): Promise<Float64Array> | Float64Array =>
  isProtected(table) ? newRowIds(table, values.length, services) : new Float64Array(values.length);

/**
 * Starts an UPDATE of one batch of a table, after which nothing is to be written.
 * @param listener hears how it ends
 * @returns false: there is more to be done, and nothing has been
 */
export async function startUpdate(
  { batches }: CloudWrites,
  locked: LockedRows,
  session: SessionPort,
  services: FlushServices,
  listener: OutcomeListener,
): Promise<boolean> {
  const [batch, ...more] = batches;
  if (!batch || more.length > 0 || batch.kind !== 'update') return false;
  if (batch.values.length > ROWS_MAX || hasSideTables(batch.table) || isActedOn(batch, session)) return false;
  const ids = locked.get(batch)!;
  const rows = Float64Array.from(batch.ctids, ctid => ids.get(ctid)!);
  const { sql, parameters, formats, broken } = await writeStatement(batch, rows, session, services);
  const portal = session.cloud.bind(statement(sql(1), []), parameters, { parameters: formats, results: [] });
  portal.start(0, { rows: () => undefined }, broken?.listening(listener) ?? listener);
  return true;
}

const statementOf = (
  { batch, rows }: IdentifiedBatch,
  session: SessionPort,
  services: FlushServices,
): Promise<BatchStatement> | BatchStatement =>
  batch.kind === 'delete' ? deleteStatement(batch) : writeStatement(batch, rows, session, services);

async function writeAlone(
  part: IdentifiedBatch,
  session: SessionPort,
  services: FlushServices,
): Promise<void> {
  const { sql, parameters, formats, sides, broken } = await statementOf(part, session, services);
  const running = collectTagged(session.cloud, statement(sql(1), []), parameters, formats, []);
  const { tag } = await (broken?.refused(running) ?? running);
  mustBeAll(Number(/\d+$/.exec(tag)?.[0]), part);
  await followSides(part, sides, session);
}

/** Writes what a statement writes and what foreign keys do of it, in one statement of the cloud. */
async function writeTogether(
  own: readonly IdentifiedBatch[],
  session: SessionPort,
  services: FlushServices,
): Promise<void> {
  const { batches, isRefused } = await withActions(own, session, services);
  const parts = isRefused ? batches : await routeActedRows(batches, session, services);
  const [isolation] = await collect(session.cloud, isolationQuery, [], [], [0]);
  const statements: BatchStatement[] = [];
  for (const part of parts) statements.push(await statementOf(part, session, services));
  const parameters = statements.flatMap(s => s.parameters);
  const formats = statements.flatMap(s => s.formats);
  let first = 1;
  const written = statements.map(({ sql, parameters: own }, i) => {
    const text = `w${i} AS (${sql(first)} RETURNING 1)`;
    first += own.length;
    return text;
  });
  // in this order, so that of several errors the statement's own come first
  const counts = written.map((_, i) => `(SELECT pg_catalog.count(*) FROM w${i})`);
  const query = statement(`WITH ${written.join(', ')} SELECT ${counts.join(', ')}`, []);
  const running = collect(session.cloud, query, parameters, formats, [0]).catch(error => {
    const keepsSnapshot = textOf(isolation?.[0]) !== 'read committed';
    throw !isRefused && keepsSnapshot && isOfUnseenRow(error, own, session) ? serialisation() : error;
  });
  const broken = statements.find(s => s.broken)?.broken;
  const [row] = await (broken?.refused(running) ?? running);
  // NO ACTION is content with another row that has the key: what was to follow has not been found out
  if (isRefused)
    throw new ClarusError('0A000', 'the statement takes away a key to which rows refer, and gives it again', {
      hint: 'Write the rows in two statements of one transaction, with DEFERRABLE foreign keys.',
    });
  for (const [i, part] of parts.entries()) {
    mustBeAll(Number(textOf(row?.[i])), part);
    await followSides(part, statements[i]!.sides, session);
  }
}

const isolationQuery = statement('SHOW transaction_isolation', []);
const textOf = (field: Uint8Array | null | undefined): string => Buffer.from(field ?? []).toString();

/**
 * Did a row break a key that refers to one that goes, though the snapshot of the transaction does not hold it? It does
 * where an action should have changed it, and the statement itself gives no references.
 */
function isOfUnseenRow(error: unknown, own: readonly IdentifiedBatch[], session: SessionPort): boolean {
  if (!(error instanceof PostgresError) || !['23503', '23001'].includes(error.code)) return false;
  const catalog = session.catalog();
  const { schema, table: name, constraint } = logicalError(error, catalog).diagnostic;
  const child = [...catalog.tables.values()].find(t => t.schema === schema && t.name === name);
  const key = child?.keys.find(
    ({ name: own, parts }) => own === constraint || parts?.some(part => part.name === constraint),
  );
  if (!child || !key?.actions || !actsHere(child, key)) return false;
  // a default may be the key of a row that goes
  const { onDelete, onUpdate } = key.actions;
  if (key.references?.collected && (onDelete === 'd' || onUpdate === 'd')) return false;
  const names = child.columns.filter(c => key.columns.includes(c.number)).map(c => c.name);
  const numbers = [child, ...heirsOf(catalog, child)].map(({ number }) => number);
  return !own.some(
    ({ batch }) => numbers.includes(batch.table.number) && batch.columns.some(c => names.includes(c)),
  );
}

/** ri_PerformCheck of ri_triggers.c, where its query meets a row that came later */
const serialisation = (): ClarusError =>
  new ClarusError('40001', 'could not serialize access due to concurrent update');

/** Rows are locked before they are written, so what changes them is of the statement itself (ExecUpdate, ExecDelete). */
const alreadyModified = (kind: RowsToWrite['kind']): ClarusError =>
  new ClarusError(
    '27000',
    `tuple to be ${kind}d was already modified by an operation triggered by the current command`,
    {
      hint: 'Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows.',
    },
  );

function mustBeAll(count: number, { batch, rows }: IdentifiedBatch): void {
  if (count !== rows.length) throw alreadyModified(batch.kind);
}

/** Brings side tables to what the rows of a batch are now. */
async function followSides(
  { batch: { table, kind, columns }, rows }: IdentifiedBatch,
  sides: BatchStatement['sides'],
  session: SessionPort,
): Promise<void> {
  if (kind === 'delete') await deleteSides(table, undefined, rows, session);
  if (kind === 'update' && hasSideTables(table))
    await deleteSides(
      table,
      table.columns.filter(c => c.protection && columns.includes(c.name)),
      rows,
      session,
    );
  await writeSides(sides, session);
}
