/**
 * Types whose values stand sealed in a cloud, as text. Where PostgreSQL keeps what a change of the type leaves alone (the
 * OID of a label, the columns of a row), the text goes on saying what it said.
 */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { oidArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import type { RawFields } from '../raw/node.js';
import { readerOn } from '../reading.js';
import type { DdlDependencies } from './body.js';
import type { ChangedTable } from './changed-table.js';
import { mayHoldRows } from './refill/index.js';
import { nameText } from './resolve.js';

/** Columns of a type and of those that hold its values: domains, arrays, ranges and composites. */
const columnsOfTypes = (types: string): string => `
WITH RECURSIVE users (oid) AS (
  ${types}
  UNION SELECT x.oid FROM users u, LATERAL (
    SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typbasetype = u.oid OR t.typelem = u.oid
    UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
      WHERE a.atttypid = u.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0
    UNION ALL SELECT m.oid FROM pg_catalog.pg_range r, LATERAL (VALUES (r.rngtypid), (r.rngmultitypid)) m (oid)
      WHERE r.rngsubtype = u.oid) x)
SELECT a.attrelid::text, a.attnum::text FROM users u JOIN pg_catalog.pg_attribute a ON a.atttypid = u.oid
 WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2`;
const columnsOfType = columnsOfTypes('SELECT pg_catalog.to_regtype($1)::pg_catalog.oid');
const ofRows =
  'SELECT c.reltype FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND c.reltype <> 0';

/** A protected column that holds values of a type. */
export interface Holder {
  readonly table: LogicalTable;
  readonly column: LogicalColumn;
}

/** @param type as `to_regtype` takes it @returns the protected columns that hold its values */
export async function holdersOf(session: SessionPort, type: string): Promise<readonly Holder[]> {
  const { tables } = session.catalog();
  const found = await readerOn(session.trusted)(columnsOfType, [type]);
  return found.flatMap(([relation, attnum]) => {
    const table = tables.get(Number(relation));
    const column = table?.columns.find(c => c.attnum === Number(attnum));
    return table?.state === 'protected' && column?.protection ? [{ table, column }] : [];
  });
}

/** Tables with columns of the row types of tables, or of types made of these. @param of shadow OIDs */
export async function tablesHolding(
  session: SessionPort,
  of: Iterable<number>,
): Promise<readonly LogicalTable[]> {
  const { tables } = session.catalog();
  const rows = await readerOn(session.trusted)(columnsOfTypes(ofRows), [oidArray(of)]);
  const found = rows.map(([relation]) => tables.get(Number(relation)));
  return [
    ...new Set(found.filter(table => table !== undefined && table.state !== 'blocked')),
  ] as LogicalTable[];
}

/**
 * Some function of the cloud may mean a type that no unprotected column uses, and so it stands there.
 * @param type as `to_regtype` takes it
 * @throws ClarusError 0A000 where what the type is changed to would tell the cloud of protected columns alone
 */
export async function refuseToTell(session: SessionPort, type: string): Promise<void> {
  const { tables } = session.catalog();
  const found = await readerOn(session.trusted)(columnsOfType, [type]);
  const columns = found.flatMap(([relation, attnum]) => {
    const table = tables.get(Number(relation));
    const column = table?.columns.find(c => c.attnum === Number(attnum));
    return table && column ? [{ table, column }] : [];
  });
  if (columns.some(({ column }) => !column.protection)) return;
  const [holder] = columns;
  if (!holder) return;
  throw new ClarusError(
    '0A000',
    `type ${type} stands in the cloud, which would learn what it is changed to`,
    {
      detail: `The protected column "${holder.column.name}" of table "${holder.table.name}" uses it, and no unprotected one.`,
      hint: 'Drop the functions of the cloud whose bodies hold the name of the type first, and make them again afterwards.',
    },
  );
}

/**
 * Locks their tables until the transaction ends: nobody writes by a plan of before, even where there are no rows.
 * @returns the first that may have rows
 */
async function firstWithRows(
  session: SessionPort,
  deps: DdlDependencies,
  holders: readonly Holder[],
): Promise<Holder | undefined> {
  const asked = await deps.changing.begin(session, new Set(holders.map(({ table }) => table)));
  try {
    for (const holder of holders) if (await mayHoldRows(session, holder.table)) return holder;
    return undefined;
  } finally {
    asked();
  }
}

/**
 * ALTER TYPE ... RENAME VALUE: cells and tags are made of the text of labels.
 * @throws ClarusError 0A000 where a table with rows has a protected column that may hold the label
 */
export async function refuseOtherLabel(
  session: SessionPort,
  deps: DdlDependencies,
  fields: RawFields,
  name: readonly string[],
): Promise<void> {
  if (typeof fields.oldVal !== 'string') return;
  const found = await firstWithRows(session, deps, await holdersOf(session, nameText(name)));
  if (!found) return;
  const { table, column } = found;
  throw new ClarusError('0A000', `the values of protected column "${column.name}" hold the text of labels`, {
    detail: `Table "${table.name}" has rows, in which the label would keep its old name.`,
    hint: 'Rename the value while the table is empty, or add a value, update the rows and leave the old one.',
    table: table.name,
    column: column.name,
  });
}

/**
 * A table whose row type others use gets or loses a column.
 * @throws ClarusError 0A000 where a table with rows has a protected column of such rows
 */
export async function refuseOtherRows(
  session: SessionPort,
  deps: DdlDependencies,
  changed: readonly ChangedTable[],
): Promise<void> {
  for (const { before, after } of changed) {
    if (!before || !after || attnumsOf(before.table) === attnumsOf(after.table)) continue;
    const { schema, name } = after.table;
    const found = await firstWithRows(session, deps, await holdersOf(session, nameText([schema, name])));
    if (!found) continue;
    const { table, column } = found;
    throw new ClarusError('0A000', `the columns of table "${name}" cannot change`, {
      detail: `Protected column "${column.name}" of table "${table.name}" holds the text of its rows as they are.`,
      hint: `Change them while table "${table.name}" is empty.`,
      schema,
      table: name,
    });
  }
}

/**
 * Attributes of a composite type come, go or get another type: cells hold the text of its values as they were.
 * @param type as `to_regtype` takes it
 * @throws ClarusError 0A000 where a table with rows has a protected column of such values
 */
export async function refuseOtherAttributes(
  session: SessionPort,
  deps: DdlDependencies,
  type: string,
): Promise<void> {
  const found = await firstWithRows(session, deps, await holdersOf(session, type));
  if (!found) return;
  const { table, column } = found;
  throw new ClarusError('0A000', `the attributes of type ${type} cannot change`, {
    detail: `Protected column "${column.name}" of table "${table.name}" holds the text of its values as they are.`,
    hint: `Change them while table "${table.name}" is empty.`,
    table: table.name,
    column: column.name,
  });
}

/**
 * A table that becomes protected: its row is another one in the cloud from then on.
 * @throws ClarusError 0A000 where an unprotected column of a table has its row type, or one made of it
 */
export async function refuseOpenRows(session: SessionPort, changed: readonly ChangedTable[]): Promise<void> {
  const { tables } = session.catalog();
  for (const { before, after } of changed) {
    if (before?.table.state !== 'open' || after?.table.state !== 'protected') continue;
    const { schema, name, oid } = after.table;
    for (const [relation, attnum] of await readerOn(session.trusted)(columnsOfTypes(ofRows), [
      oidArray([oid]),
    ])) {
      const holder = tables.get(Number(relation));
      const column = holder?.columns.find(c => c.attnum === Number(attnum));
      if (!holder || !column || column.protection) continue;
      throw new ClarusError('0A000', `the row type of table "${name}" is that of a column in the clear`, {
        detail: `Column "${column.name}" of table "${holder.name}" would lose what the table no longer holds in the clear.`,
        hint: 'Protect that column first, or give it a type of its own with CREATE TYPE.',
        schema,
        table: name,
      });
    }
  }
}

const attnumsOf = ({ columns }: LogicalTable): string => columns.map(({ attnum }) => attnum).join();
