/** The values of protected generated columns: computed by the trusted PostgreSQL over the columns that they read. */

import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { columnOf, type PlainColumn, plain } from '../../crypto/column.js';
import { CatalogueBehind } from '../columns.js';
import { physical } from '../compilation.js';
import { plainExpressions } from '../defaults.js';
import { fieldsAt, type Row } from '../execute/collect.js';
import { assignment, statement } from '../execute/convert.js';
import type { DataRows, SessionPort, StatementPort } from '../ports.js';
import { readingOf } from '../settings.js';
import { castNames } from '../split/typed-source.js';
import { type CheckedValues, rowsOver } from './broken.js';
import { computedTypes, type GeneratedColumns, type GeneratedExpression } from './table-checks.js';

const expressionsQuery = physical(
  `SELECT a.attnum::pg_catalog.text, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = $1 AND a.attgenerated = 's' AND NOT a.attisdropped`,
  [26],
);

const known = new WeakMap<Catalog, Map<number, Promise<GeneratedColumns>>>();

/**
 * Reads the expressions of a table's protected generated columns from the shadow.
 * @returns undefined: it has none
 * @throws ClarusError 0A000 for an expression that the trusted side cannot evaluate over the values of one row
 */
export function generatedOf(
  table: LogicalTable,
  session: SessionPort,
): Promise<GeneratedColumns | undefined> {
  if (table.columns.every(({ generatedFrom }) => generatedFrom === undefined))
    return Promise.resolve(undefined);
  const catalog = session.catalog();
  const found = known.get(catalog) ?? new Map<number, Promise<GeneratedColumns>>();
  known.set(catalog, found);
  const generated = found.get(table.oid) ?? read(table, session);
  found.set(table.oid, generated);
  generated.catch(() => found.delete(table.oid));
  return generated;
}

async function read(table: LogicalTable, session: SessionPort): Promise<GeneratedColumns> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [rows] = await plainExpressions(session, [{ query: expressionsQuery, parameters: [oid] }]);
  const texts = new Map(
    rows!.map(row => row.map(field => Buffer.from(field ?? []).toString()) as [string, string]),
  );
  const columns = table.columns.filter(({ generatedFrom }) => generatedFrom !== undefined);
  for (const { attnum } of columns)
    if (!texts.has(String(attnum))) throw new CatalogueBehind('the shadow lacks a generated column');
  const casts = await castNames(columns, session);
  const expressions = columns.map(
    (column, i): GeneratedExpression => ({
      column,
      columns: table.columns.filter(({ number }) => column.generatedFrom!.includes(number)),
      sql: assignment(`(${texts.get(String(column.attnum))!})::${casts[i]}`, column.type),
    }),
  );
  const wanted = expressions.map(({ column, columns: from }) => ({
    name: column.name,
    columns: from,
    text: texts.get(String(column.attnum))!,
  }));
  return { table, expressions, types: await computedTypes(table, wanted, session) };
}

/** What was computed, up to the first row of which PostgreSQL says that it cannot be. */
export interface GeneratedValues {
  /** by column number, in binary form */
  readonly columns: ReadonlyMap<number, PlainColumn>;
  readonly refusal: { readonly row: number; readonly error: unknown } | undefined;
}

/**
 * Computes generated columns row by row.
 * @param expressions of `of`
 * @param values of the columns that they read; what is not there is NULL
 * @param count of rows
 * @param trusted where they are evaluated
 */
export async function generatedValues(
  expressions: readonly GeneratedExpression[],
  of: GeneratedColumns,
  values: CheckedValues,
  count: number,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<GeneratedValues> {
  const read = [...new Set(expressions.flatMap(({ columns }) => columns))];
  const { from, arrays } = await rowsOver(read, of, values, count, session);
  // an expression may read no column at all
  const rows =
    arrays.length > 0 ? from : `FROM pg_catalog.generate_series(1, ${count}) AS ${quoteName(of.table.name)}`;
  const query = statement(
    `SELECT ${expressions.map(({ sql }) => sql).join(', ')} ${rows}`,
    read.map(() => 0),
    readingOf(session.settings),
  );
  const found: Row[] = [];
  const port = trusted.bind(query, arrays, { parameters: arrays.map(() => 1), results: [1] });
  const outcome = port.execute(0, {
    rows({ buffer, starts, count: some }: DataRows): void {
      for (let i = 0; i < some; i++)
        found.push(fieldsAt(buffer, starts[i]!).map(field => field && Uint8Array.from(field)));
    },
  });
  trusted.flush();
  let refusal: GeneratedValues['refusal'];
  try {
    await outcome;
  } catch (error) {
    // rows before the one with the error have come
    refusal = { row: Math.min(found.length, count - 1), error };
  }
  const rowsBefore = found.slice(0, refusal?.row ?? count);
  return {
    columns: new Map(
      expressions.map(({ column }, i) => [column.number, plain(columnOf(rowsBefore.map(row => row[i]!)))]),
    ),
    refusal,
  };
}
