/**
 * The one way out: every protected row that goes to a cloud passes here. Values are evaluated, checked against
 * NOT NULL and turned into the physical columns of each encoding, a column at a time.
 */

import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { type ByteColumn, columnOf, type PlainColumn, plain } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { ClarusError } from '../../errors.js';
import { arrayOf, rowIdArray } from '../../wire/arrays.js';
import type { BoundParameters, SessionPort } from '../plan.js';
import type { WrittenColumn, WrittenSource } from './bodies.js';
import { collect } from './collect.js';
import { assignment, statement, toBinary, typeNameOf } from './convert.js';
import { evaluateSql } from './operands.js';

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
 * Protects the columns of a batch of rows.
 * @param rows row ids, one a row
 * @param values one column a written column, in binary form of its type
 */
export async function protectRows(
  written: readonly WrittenColumn[],
  rows: Float64Array,
  values: readonly PlainColumn[],
  context: EncodingContext,
): Promise<ProtectedRows> {
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

/** Defaults see no parameters of the statement. */
export const nothingBound: BoundParameters = { values: [], formats: [] };

/**
 * Values of a written column, one a source, as assigned to it. Whether NULL may stand there is asked once rows are
 * written (`mustNotBeNull`): an UPDATE of no rows may set anything to NULL.
 * @throws PostgresError as PostgreSQL words a wrong value
 */
export async function writtenValues(
  column: LogicalColumn,
  sources: readonly WrittenSource[],
  bound: BoundParameters,
  parameterTypes: readonly number[],
  session: SessionPort,
): Promise<PlainColumn> {
  const { oid, modifier } = column.type;
  const values: (Uint8Array | null)[] = new Array(sources.length).fill(null);
  // Values by how they come, so that each kind is converted as one batch.
  const batches: { format: 0 | 1; indexes: number[]; values: (Uint8Array | null)[] }[] = [
    { format: 0, indexes: [], values: [] },
    { format: 1, indexes: [], values: [] },
  ];
  const add = (format: 0 | 1, i: number, value: Uint8Array | null): void => {
    batches[format]!.indexes.push(i);
    batches[format]!.values.push(value);
  };
  for (const [i, source] of sources.entries()) {
    if (source.kind === 'constant' && (source.type === oid || source.value === null)) add(1, i, source.value);
    else if (source.kind === 'parameter' && source.type === oid)
      add(bound.formats[source.index] ?? 0, i, bound.values[source.index] ?? null);
    else values[i] = await assignedValue(column, source, bound, parameterTypes, session);
  }
  for (const batch of batches) {
    if (batch.indexes.length === 0) continue;
    const converted = await toBinary(columnOf(batch.values), batch.format, { oid, modifier }, session);
    batch.indexes.forEach((at, k) => {
      values[at] = converted.nulls?.[k]
        ? null
        : converted.data.subarray(converted.offsets[k]!, converted.offsets[k + 1]!);
    });
  }
  return plain(columnOf(values));
}

async function assignedValue(
  column: LogicalColumn,
  source: WrittenSource,
  bound: BoundParameters,
  parameterTypes: readonly number[],
  session: SessionPort,
): Promise<Uint8Array | null> {
  const base = await typeNameOf(column.type.oid, session);
  switch (source.kind) {
    case 'default':
      return evaluateSql(assignment(`(${source.sql})::${base}`, column.type), nothingBound, [], session);
    case 'expression':
      return evaluateSql(assignment(`(${source.sql})::${base}`, column.type), bound, parameterTypes, session);
    case 'parameter':
      return evaluateSql(
        assignment(`($${source.index + 1})::${base}`, column.type),
        bound,
        parameterTypes,
        session,
      );
    case 'constant': {
      const from = await typeNameOf(source.type, session);
      const rows = await collect(
        session.trusted,
        statement(`SELECT ${assignment(`($1::${from})::${base}`, column.type)}`, [0]),
        [source.value],
        [1],
        [1],
      );
      return rows[0]?.[0] ?? null;
    }
  }
}

/**
 * @throws ClarusError 23502 as PostgreSQL words it
 */
export function mustNotBeNull(values: ByteColumn, column: LogicalColumn, table: LogicalTable): void {
  if (!column.notNull || !values.nulls?.includes(1)) return;
  throw new ClarusError(
    '23502',
    `null value in column "${column.name}" of relation "${table.name}" violates not-null constraint`,
    {
      schema: table.schema,
      table: table.name,
      column: column.name,
    },
  );
}

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
    const names = ['clarus_row', ...side.names].map(quote).join(', ');
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

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

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
