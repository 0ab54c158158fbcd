/** COPY ... FROM STDIN into a partitioned table. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { oidArray } from '../../catalog/reader.js';
import { heirsOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import { checksOf } from '../checks/table-checks.js';
import { counterOf, type DefaultExpression } from '../defaults.js';
import type { CopyFilling, RoutedCopyBody } from '../execute/bodies.js';
import type { ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import { markersOf } from './markers.js';
import {
  type CopyIn,
  type CopyPlanning,
  checkReads,
  copyInto,
  filledForWhere,
  noRows,
  refuseDefaultInChecks,
  refuseDefaultInGenerated,
  selectOf,
} from './planning.js';

/**
 * @throws ClarusError 0A000 where an unprotected column that the data lack has another default in a partition
 */
export async function planRoutedCopy(
  copy: CopyIn,
  session: SessionPort,
  planning: CopyPlanning,
): Promise<ProtectedPlan> {
  const { fields, table, columns, options, where } = copy;
  const defaults = await planning.defaults(table);
  const missing = table.columns.filter(c => !columns.includes(c) && defaults.has(c.attnum));
  const read = await filledForWhere(copy, defaults, planning.homes, session);
  const fillings = missing.flatMap(
    column =>
      read.find(filling => filling.column === column) ?? fillingOf(column, defaults.get(column.attnum)!),
  );
  const tables = [table, ...heirsOf(session.catalog(), table)].filter(({ partitioned }) => !partitioned);
  const left = missing.filter(column => !fillings.some(filling => filling.column === column));
  await mustBeFilledAlike(table, tables, left, session);
  const filled = [...columns, ...fillings.map(({ column }) => column)];
  const { analysis } = await planning.touch(
    selectOf(
      fields,
      columns.map(({ name }) => name),
    ),
  );
  const { registry } = await planning.compilation(analysis);
  const leaves = [];
  for (const leaf of tables) {
    const own = filled.map(({ name }) => leaf.columns.find(c => c.name === name)!);
    const ownDefaults = await planning.defaults(leaf);
    refuseDefaultInChecks(await checksOf(leaf, session), own, ownDefaults, checkReads);
    const generated = await planning.generated(leaf);
    refuseDefaultInGenerated(generated, own, ownDefaults);
    const computed = (generated?.expressions ?? []).map(({ column }) => column);
    leaves.push({ ...copyInto(leaf, [...own, ...computed], registry, options), generated });
  }
  const markers = await markersOf(table, columns, options, defaults, planning.homes, session);
  const body: RoutedCopyBody = {
    kind: 'routed-copy',
    table,
    columns,
    fillings,
    options,
    markers,
    where,
    leaves,
  };
  return { kind: 'protected', command: 'COPY', shape: noRows, copy: 'in', body };
}

/** What a column gets here that the data lack; none: the cloud fills it in. */
function fillingOf(column: LogicalColumn, found: DefaultExpression): readonly CopyFilling[] {
  if (column.protection) return [{ column, kind: 'default', ...found }];
  const sequence = found.identity ? counterOf(found) : undefined;
  return sequence === undefined ? [] : [{ column, kind: 'counter', sequence }];
}

const defaultsQuery = `SELECT a.attname::text FROM pg_catalog.pg_attribute a
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  GROUP BY a.attname HAVING count(DISTINCT coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '')) > 1`;

/** In PostgreSQL the defaults of the table that is named count. */
async function mustBeFilledAlike(
  table: LogicalTable,
  leaves: readonly LogicalTable[],
  columns: readonly LogicalColumn[],
  session: SessionPort,
): Promise<void> {
  if (columns.length === 0) return;
  const oids = oidArray([table, ...leaves].map(({ oid }) => oid));
  const otherwise = (await readerOn(session.trusted)(defaultsQuery, [oids])).map(([name]) => name);
  const found = columns.find(({ name }) => otherwise.includes(name!));
  if (found)
    throw new ClarusError('0A000', `COPY without the column "${found.name}" is not supported`, {
      detail: 'It has another default in a partition than in the table, and the cloud fills it in.',
      hint: 'Name the column in the COPY, with its values.',
      table: table.name,
      column: found.name,
    });
}
