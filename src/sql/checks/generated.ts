/** The values of protected generated columns: computed by the trusted PostgreSQL over the columns that they read. */

import {
  type Catalog,
  computedColumns,
  generates,
  type LogicalColumn,
  type LogicalTable,
} from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { heirsOf } from '../../catalog/trees.js';
import { type ByteColumn, columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import { CatalogueBehind } from '../columns.js';
import { physical } from '../compilation.js';
import { plainExpressions } from '../defaults.js';
import { fieldsAt, type Row } from '../execute/collect.js';
import { convert, decided } from '../execute/conversion.js';
import { assignment, fromBinary, statement } from '../execute/convert.js';
import type { DataRows, SessionPort, StatementPort } from '../ports.js';
import { readingOf } from '../settings.js';
import { printingFetched } from '../split/fetching.js';
import { castNames } from '../split/typed-source.js';
import { type CheckedValues, rowsOver } from './broken.js';
import { computedTypes, type GeneratedColumns, type GeneratedExpression } from './table-checks.js';

const expressionsQuery = physical(
  `SELECT a.attnum::pg_catalog.text, pg_catalog.pg_get_expr(d.adbin, d.adrelid),
          (SELECT pg_catalog.array_to_json(pg_catalog.array_agg(DISTINCT g.refobjsubid)) FROM pg_catalog.pg_depend g
            WHERE g.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND g.refobjid = a.attrelid
              AND g.refobjsubid > 0 AND g.refobjsubid <> a.attnum
              AND (g.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND g.objid = d.oid
                OR g.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND g.objid = a.attrelid
                  AND g.objsubid = a.attnum))::pg_catalog.text
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = $1 AND a.attgenerated <> '' AND NOT a.attisdropped`,
  [26],
);

/** Unique indexes of expressions, or with a predicate: what it says, and each of their keys. */
const keysQuery = physical(
  `SELECT c.relname, coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), ''),
          (SELECT pg_catalog.jsonb_agg(pg_catalog.pg_get_indexdef(i.indexrelid, n, false) ORDER BY n)
             FROM pg_catalog.generate_series(1, i.indnkeyatts) AS n)::pg_catalog.text
     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = $1 AND i.indisunique AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)`,
  [26],
);

type Known = WeakMap<Catalog, Map<number, Promise<GeneratedColumns>>>;
const known: Known = new WeakMap();
const knownWhole: Known = new WeakMap();

/**
 * Reads the expressions of a table's protected generated columns from the shadow, and those that its unique indexes stand on.
 * @returns undefined: it has none
 * @throws ClarusError 0A000 for an expression that the trusted side cannot evaluate over the values of one row
 */
export function generatedOf(
  table: LogicalTable,
  session: SessionPort,
): Promise<GeneratedColumns | undefined> {
  if (!generates(table)) return Promise.resolve(undefined);
  return remembered(known, table, session, async () => {
    const columns = await read(table, session, ({ generatedFrom }) => generatedFrom !== undefined);
    const keys = await readKeys(table, session);
    return {
      table,
      expressions: [...columns.expressions, ...keys.expressions],
      types: new Map([...columns.types, ...keys.types]),
    };
  });
}

/**
 * The same of all generated columns: the cloud computes those in the clear, and what is returned before it has done so is
 * computed on the trusted side too.
 * @returns of a table without generated columns: none
 * @throws ClarusError as `generatedOf`
 */
export const allGeneratedOf = (table: LogicalTable, session: SessionPort): Promise<GeneratedColumns> =>
  remembered(knownWhole, table, session, () => read(table, session, () => true));

/**
 * Are the generated columns of partitions and heirs computed as those of a table are? Each may have an expression of its own.
 */
export async function areAlikeBelow(table: LogicalTable, session: SessionPort): Promise<boolean> {
  const said = async (one: LogicalTable): Promise<ReadonlyMap<string, string>> => {
    const { expressions } = await allGeneratedOf(one, session);
    return new Map(expressions.map(({ column, sql }) => [column.name, sql]));
  };
  const own = await said(table);
  // a column of theirs that stands in the table too is computed where that is (MergeAttributesIntoExisting of tablecmds.c)
  if (own.size === 0) return true;
  for (const heir of heirsOf(session.catalog(), table)) {
    const theirs = await said(heir);
    if (table.columns.some(({ name }) => own.get(name) !== theirs.get(name))) return false;
  }
  return true;
}

function remembered(
  of: Known,
  { oid }: LogicalTable,
  session: SessionPort,
  reading: () => Promise<GeneratedColumns>,
): Promise<GeneratedColumns> {
  const catalog = session.catalog();
  const found = of.get(catalog) ?? new Map<number, Promise<GeneratedColumns>>();
  of.set(catalog, found);
  const generated = found.get(oid) ?? reading();
  found.set(oid, generated);
  generated.catch(() => found.delete(oid));
  return generated;
}

async function read(
  table: LogicalTable,
  session: SessionPort,
  isMeant: (column: LogicalColumn) => boolean,
): Promise<GeneratedColumns> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [rows] = await plainExpressions(session, [{ query: expressionsQuery, parameters: [oid] }]);
  const found = rows!.map(row => row.map(field => Buffer.from(field ?? []).toString()));
  const texts = new Map(found.map(([attnum, text]) => [Number(attnum), text!]));
  const reads = new Map(
    found.map(([attnum, , from]) => [Number(attnum), from ? (JSON.parse(from) as number[]) : []]),
  );
  for (const { attnum, generatedFrom } of table.columns)
    if (generatedFrom && !texts.has(attnum)) throw new CatalogueBehind('the shadow lacks a generated column');
  const columns = table.columns.filter(column => texts.has(column.attnum) && isMeant(column));
  if (columns.length === 0) return { table, expressions: [], types: new Map() };
  const casts = await castNames(columns, session);
  const expressions = columns.map(
    (column, i): GeneratedExpression => ({
      column,
      columns: table.columns.filter(({ attnum }) => reads.get(column.attnum)!.includes(attnum)),
      sql: assignment(`(${texts.get(column.attnum)!})::${casts[i]}`, column.type),
    }),
  );
  const wanted = expressions.map(({ column, columns: from }) => ({
    name: column.name,
    columns: from,
    text: texts.get(column.attnum)!,
  }));
  return { table, expressions, types: await computedTypes(table, wanted, session) };
}

/** What unique indexes stand on: of a row that the predicate leaves out there is nothing. */
async function readKeys(table: LogicalTable, session: SessionPort): Promise<GeneratedColumns> {
  const columns = computedColumns(table);
  if (columns.length === 0) return { table, expressions: [], types: new Map() };
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [rows] = await plainExpressions(session, [{ query: keysQuery, parameters: [oid] }]);
  const found = new Map(
    rows!.map(row => {
      const [index, predicate, keys] = row.map(field => Buffer.from(field ?? []).toString());
      return [index!, { predicate: predicate!, keys: JSON.parse(keys!) as readonly string[] }];
    }),
  );
  const casts = await castNames(columns, session);
  const of = (table.computedKeys ?? []).flatMap(({ name, keys }) =>
    keys.flatMap((column, i) => {
      const said = found.get(name);
      if (!said) throw new CatalogueBehind('the shadow lacks a unique index');
      if (typeof column === 'number') return [];
      return { column, name, text: keySql(said.keys[i]!, said.predicate) };
    }),
  );
  const expressions = of.map(
    ({ column, text }, i): GeneratedExpression => ({
      column,
      columns: table.columns.filter(({ number }) => column.generatedFrom!.includes(number)),
      sql: assignment(`(${text})::${casts[i]}`, column.type),
    }),
  );
  const wanted = expressions.map(({ columns: read }, i) => ({
    name: of[i]!.name,
    columns: read,
    text: of[i]!.text,
  }));
  return { table, expressions, types: await computedTypes(table, wanted, session, 'unique index') };
}

/**
 * What a key of a unique index is of a row.
 * @param predicate of the index; empty: it has none
 */
export const keySql = (key: string, predicate: string): string =>
  predicate === '' ? `(${key})` : `CASE WHEN ${predicate} THEN (${key}) END`;

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

/**
 * The values of generated columns for rows of which all that these read is known.
 * @param expressions of `of`
 * @param names of the columns of `rows`; a column that is not among them is NULL
 * @param rows values as text
 * @returns a row each: a value an expression, as text on its way to another side
 * @throws PostgresError where one cannot be computed
 */
export async function generatedTexts(
  expressions: readonly GeneratedExpression[],
  of: GeneratedColumns,
  names: readonly string[],
  rows: readonly Row[],
  session: SessionPort,
): Promise<readonly Row[]> {
  if (expressions.length === 0 || rows.length === 0) return rows.map(() => []);
  const read = [...new Set(expressions.flatMap(({ columns }) => columns))].filter(({ name }) =>
    names.includes(name),
  );
  const values = await decided(
    read.map(({ name, type }) => {
      const place = names.indexOf(name);
      return convert(columnOf(rows.map(row => row[place]!)), 0, type, session);
    }),
    session,
  );
  const given = new Map(read.map((column, i) => [column.number, values[i]!]));
  const { columns, refusal } = await generatedValues(expressions, of, given, rows.length, session);
  if (refusal) throw refusal.error;
  const printing = printingFetched(session, session.client);
  const texts: ByteColumn[] = [];
  for (const { column } of expressions)
    texts.push(await fromBinary(columns.get(column.number)!, column.type.oid, 0, printing));
  return rows.map((_, i) => texts.map(column => valueAt(column, i)));
}
