/**
 * The one way out: every protected row that goes to a cloud passes here. Values are turned into the physical columns
 * of each encoding, a column at a time.
 */

import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { type ByteColumn, columnOf, type PlainColumn } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { arrayOf, rowIdArray } from '../../wire/arrays.js';
import type { SessionPort } from '../ports.js';
import type { WrittenColumn } from './bodies.js';
import { collect } from './collect.js';
import { statement } from './convert.js';
import type { ExecutionServices } from './portal.js';

/** Rows of a side table to insert. */
export interface SideWrites {
  /** physical name, qualified and quoted */
  readonly table: string;
  readonly names: readonly string[];
  readonly types: readonly string[];
  readonly rows: Float64Array;
  readonly columns: readonly ByteColumn[];
}

/** A protected batch: physical columns by operand number, and rows for side tables. */
export interface ProtectedRows {
  readonly columns: ReadonlyMap<number, ByteColumn>;
  readonly sides: readonly SideWrites[];
}

/**
 * Protects the columns of a batch of rows, and takes down which rows are written.
 * @param rows row ids, one a row
 * @param values one column a written column, in binary form of its type
 */
export async function protectRows(
  written: readonly WrittenColumn[],
  rows: Float64Array,
  values: readonly PlainColumn[],
  context: EncodingContext,
  session: SessionPort,
): Promise<ProtectedRows> {
  const touching = session.touching?.();
  const table = written[0]?.forms[0]?.encoded.table;
  if (touching && table !== undefined) await touching(table, 'written', rows);
  const columns = new Map<number, ByteColumn>();
  const sides: SideWrites[] = [];
  for (const [i, { forms }] of written.entries())
    for (const { encoding, encoded, operands } of forms) {
      const writes = await encoding.protect(encoded, { rows, values: values[i]! }, context);
      for (const role in operands) columns.set(operands[role]!, writes.columns[role]!);
      for (const [role, side] of Object.entries(writes.tables ?? {})) {
        const spec = encoding.relations(encoded).find(r => r.kind === 'table' && r.role === role);
        if (spec?.kind !== 'table') throw new Error(`the encoding has no side table "${role}"`);
        sides.push({
          table: encoded.tables[role]!,
          names: spec.columns.map(c => c.name),
          types: spec.columns.map(c => c.type),
          rows: side.rows,
          columns: side.columns,
        });
      }
    }
  return { columns, sides };
}

/** Row ids for rows that a table gets, reserved before they are used. */
export async function newRowIds(
  table: LogicalTable,
  count: number,
  { rowIds }: Pick<ExecutionServices, 'rowIds'>,
): Promise<Float64Array> {
  const first = await rowIds(table.number, count);
  return Float64Array.from({ length: count }, (_, i) => first + i);
}

/** Protected columns in the order of their operands. */
export const inOrder = ({ columns }: ProtectedRows): readonly ByteColumn[] =>
  [...columns].sort(([a], [b]) => a - b).map(([, column]) => column);

/** Writes the rows of side tables, in the session's transaction. */
export async function writeSides(
  sides: readonly SideWrites[],
  session: SessionPort,
  only?: ReadonlySet<number>,
): Promise<void> {
  for (const side of sides) {
    const keep = only ? Array.from(side.rows.keys()).filter(i => only.has(side.rows[i]!)) : undefined;
    const rows = keep ? Float64Array.from(keep, i => side.rows[i]!) : side.rows;
    const columns = keep
      ? side.columns.map(c =>
          columnOf(keep.map(i => (c.nulls?.[i] ? null : c.data.subarray(c.offsets[i]!, c.offsets[i + 1]!)))),
        )
      : side.columns;
    if (rows.length === 0) continue;
    const names = ['clarus_row', ...side.names].map(quoteName).join(', ');
    const arrays = side.types.map((type, k) => `pg_catalog.unnest($${k + 2}::${type}[])`).join(', ');
    await collect(
      session.cloud,
      statement(
        `INSERT INTO ${side.table} (${names}) SELECT * FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int8[]), ${arrays})`,
        [],
      ),
      [rowIdArray(rows), ...columns.map((c, k) => arrayOf(c, physicalOid(side.types[k]!)))],
      columns.map(() => 1 as const).concat(1),
      [],
    );
  }
}

/** Deletes what side tables hold of rows. */
export async function deleteSides(
  table: LogicalTable,
  only: readonly LogicalColumn[] | undefined,
  rows: Float64Array,
  session: SessionPort,
): Promise<void> {
  if (rows.length === 0) return;
  for (const column of only ?? table.columns)
    for (const { encoded } of column.protection?.encodings ?? [])
      for (const side of Object.values(encoded.tables))
        await collect(
          session.cloud,
          statement(`DELETE FROM ${side} WHERE clarus_row = ANY ($1::pg_catalog.int8[])`, []),
          [rowIdArray(rows)],
          [1],
          [],
        );
}

/** OID of a physical type by its SQL name, for arrays in binary form. */
export function physicalOid(type: string): number {
  const oid = physicalOids[type];
  if (oid === undefined) throw new Error(`no OID is known for the physical type ${type}`);
  return oid;
}
const physicalOids: Readonly<Record<string, number>> = {
  uuid: 2950,
  bytea: 17,
  int2: 21,
  int4: 23,
  int8: 20,
  bigint: 20,
  integer: 23,
  numeric: 1700,
  text: 25,
  float8: 701,
  boolean: 16,
};
