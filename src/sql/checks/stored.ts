/** Values of columns as they stand in the cloud, opened: what a check reads beside the columns that are written. */
import { type LogicalColumn, type LogicalTable, ROW_COLUMN } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { columnOf, type PlainColumn, plain } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import type { EncodingRegistry } from '../../encodings/registry.js';
import { readRowId, rowIdArray } from '../../wire/arrays.js';
import { openingEncoding } from '../compilation.js';
import type { StoredColumns } from '../execute/bodies.js';
import { collect, fieldsAt, type Row, sizeOf } from '../execute/collect.js';
import { statement } from '../execute/convert.js';
import { openCells } from '../execute/opening.js';
import type { DataRows, SessionPort } from '../ports.js';

/** Rows that are opened at a time. */
const batchRows = 2_000;
/** A portal's name where it must outlive other statements. */
const named = 'stored';

/** How columns of a table are had. */
export function storedColumns(
  table: LogicalTable,
  columns: readonly LogicalColumn[],
  registry: EncodingRegistry,
): StoredColumns {
  return {
    table,
    columns: columns.map(column => {
      const form = column.protection && openingEncoding(registry, column);
      return { column, form, names: form ? Object.values(form.encoded.columns) : [column.name] };
    }),
  };
}

/** What a server's plan of a statement that reads them goes by: it is another one when a column has another type. */
const typesOf = ({ columns }: StoredColumns): string =>
  columns.map(({ column: { type } }) => `${type.oid} ${type.modifier}`).join();

/**
 * Reads columns of rows that the transaction has locked.
 * @returns by column number, in the order of the rows
 */
export async function storedValues(
  stored: StoredColumns,
  rows: Float64Array,
  session: SessionPort,
  context: EncodingContext,
): Promise<ReadonlyMap<number, PlainColumn>> {
  if (stored.columns.length === 0) return new Map();
  const sql = `${selection(stored)} WHERE t.${ROW_COLUMN} = ANY ($1::pg_catalog.int8[])`;
  const found = await collect(
    session.cloud,
    statement(sql, [], typesOf(stored)),
    [rowIdArray(rows)],
    [1],
    [1],
  );
  const byId = new Map(found.map(row => [readRowId(row[0]!, 0), row]));
  const ordered = Array.from(rows, id => {
    const row = byId.get(id);
    if (!row) throw new Error('a row that is locked is not there');
    return row;
  });
  return opened(stored, rows, ordered, session, context);
}

/** A condition over the physical columns of `t`, and its parameters in binary form. */
export interface StoredCondition {
  readonly sql: string;
  readonly parameters: Row;
}

/**
 * Reads columns of all rows of a table, a batch at a time.
 * @param take gets their row ids too
 * @param where the rows meet; undefined: all are read
 */
export async function eachStored(
  stored: StoredColumns,
  session: SessionPort,
  context: EncodingContext,
  take: (values: ReadonlyMap<number, PlainColumn>, count: number, ids: Float64Array) => Promise<void>,
  where?: StoredCondition,
): Promise<void> {
  const { cloud } = session;
  const sql = `${selection(stored)}${where ? ` WHERE ${where.sql}` : ''}`;
  const parameters = where?.parameters ?? [];
  const formats = { parameters: parameters.map(() => 1 as const), results: [1] as const };
  const portal = cloud.bind(statement(sql, [], typesOf(stored)), parameters, formats, named);
  try {
    for (let over = false; !over; ) {
      const rows: Row[] = [];
      const outcome = portal.execute(batchRows, {
        rows({ buffer, starts, count }: DataRows) {
          for (let i = 0; i < count; i++) rows.push(fieldsAt(buffer, starts[i]!));
        },
      });
      cloud.flush();
      over = (await outcome).kind === 'complete';
      const ids = Float64Array.from(rows, row => readRowId(row[0]!, 0));
      await take(await opened(stored, ids, rows, session, context), rows.length, ids);
    }
  } finally {
    portal.close();
  }
}

function selection({ table: { physical }, columns }: StoredColumns): string {
  const names = [ROW_COLUMN, ...columns.flatMap(c => c.names)].map(name => `t.${quoteName(name)}`);
  return `SELECT ${names.join(', ')} FROM ONLY ${quoteQualified(physical.schema, physical.name)} AS t`;
}

async function opened(
  { table, columns }: StoredColumns,
  ids: Float64Array,
  rows: readonly Row[],
  session: SessionPort,
  context: EncodingContext,
): Promise<ReadonlyMap<number, PlainColumn>> {
  session.fetched(
    table,
    columns.map(({ column }) => column.name),
    rows.length,
    sizeOf(rows),
  );
  const values = new Map<number, PlainColumn>();
  let place = 1;
  for (const { column, form, names } of columns) {
    const fields = names.map((_, i) => columnOf(rows.map(row => row[place + i]!)));
    place += names.length;
    if (!form) values.set(column.number, plain(fields[0]!));
    else {
      const roles = Object.keys(form.encoded.columns).map((role, k) => [role, fields[k]!] as const);
      values.set(column.number, await openCells(form, ids, Object.fromEntries(roles), context));
    }
  }
  return values;
}
