/** One batch of rows as a statement of the cloud. */
import {
  generatedWith,
  type LogicalColumn,
  type LogicalTable,
  ROW_COLUMN,
  storedWith,
} from '../../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../../catalog/quote.js';
import { type ByteColumn, columnOf, valueAt } from '../../../crypto/column.js';
import type { EncodingContext } from '../../../encodings/encoding.js';
import type { EncodingRegistry } from '../../../encodings/registry.js';
import { arrayOf, rowIdArray } from '../../../wire/arrays.js';
import { typeOids } from '../../../wire/types.js';
import { type BrokenRow, checksReading, firstBroken, timeOf } from '../../checks/broken.js';
import { generatedOf, generatedValues } from '../../checks/generated.js';
import { storedColumns, storedValues } from '../../checks/stored.js';
import { checksOf } from '../../checks/table-checks.js';
import type { WrittenColumn } from '../../execute/bodies.js';
import type { Row } from '../../execute/collect.js';
import { convert, decided } from '../../execute/conversion.js';
import { fromBinary } from '../../execute/convert.js';
import { physicalOid, protectRows, type SideWrites } from '../../execute/protecting.js';
import type { SessionPort } from '../../ports.js';
import { formsIn, physicalType } from '../../write/forms.js';
import { printingFetched } from '../fetching.js';
import type { RowsToWrite } from './cloud-writes.js';

/** What protecting a batch needs beside the session. */
export interface BatchServices {
  readonly registry: EncodingRegistry;
  readonly context: EncodingContext;
}

/** The physical name of a table. */
export const nameOf = ({ physical }: LogicalTable): string => quoteQualified(physical.schema, physical.name);
/** Has the table row ids and cells? */
export const isProtected = ({ state }: LogicalTable): boolean => state === 'protected';
/** Places of rows as a parameter, in text form. */
export const tidArray = (ctids: readonly string[]): Uint8Array =>
  Buffer.from(`{${ctids.map(ctid => `"${ctid}"`).join()}}`);

/** Deletes a batch. */
export const deleteStatement = ({ table, ctids }: RowsToWrite): BatchStatement => ({
  sql: first => `DELETE FROM ONLY ${nameOf(table)} AS t WHERE t.ctid = ANY ($${first}::pg_catalog.tid[])`,
  parameters: [tidArray(ctids)],
  formats: [0],
  sides: [],
  broken: undefined,
});

/** The head of an array of row ids, and the length of its first element. */
const rowIdsHead_bytes = 24;

/** The new values of a column: their type, what is assigned of one, and how they travel. */
interface NewValues {
  readonly column: string;
  readonly type: string;
  readonly value: (name: string) => string;
  readonly format: 0 | 1;
  readonly array: () => Uint8Array;
  /** that of the first row */
  readonly first: () => Uint8Array | null;
}

/** A statement that writes a batch, and what is to be written beside it. */
export interface BatchStatement {
  /** @param first number of its first parameter */
  readonly sql: (first: number) => string;
  readonly parameters: Row;
  readonly formats: readonly (0 | 1)[];
  readonly sides: readonly SideWrites[];
  /** a row that the cloud refuses, for it breaks a check */
  readonly broken: BrokenRow | undefined;
}

/**
 * Protects the values of a batch that is inserted or updated.
 * @param rows row ids
 */
export async function writeStatement(
  given: RowsToWrite,
  rows: Float64Array,
  session: SessionPort,
  services: BatchServices,
): Promise<BatchStatement> {
  const batch = await withGenerated(given, rows, session, services);
  const { table, kind, ctids } = batch;
  const stored = storedWith(table);
  const columns = batch.columns.map(name => stored.find(c => c.name === name)!);
  const valuesOf = (i: number) => columnOf(batch.values.map(row => row[i]!));
  const places = columns.flatMap((column, i) => (column.protection ? [i] : []));
  const formsOf = formsIn(services.registry, 0);
  const written = places
    .map(i => columns[i]!)
    .map((column): WrittenColumn => ({ column, sources: [], forms: formsOf(column) }));
  const values = await decided(
    places.map(i => convert(valuesOf(i), 0, columns[i]!.type, session)),
    session,
  );
  const { columns: forms, sides } = await protectRows(written, rows, values, services.context, session);
  const broken = await brokenIn(batch, columns, valuesOf, rows, session, services);
  const open = columns.flatMap((column, i): NewValues[] =>
    column.protection
      ? []
      : [
          {
            column: column.name,
            type: 'pg_catalog.text',
            value: name => `${name}::${column.typeName}`,
            format: 1,
            array: () => arrayOf(valuesOf(i), typeOids.text),
            first: () => batch.values[0]![i]!,
          },
        ],
  );
  const physical = written.flatMap(w =>
    w.forms.flatMap(form =>
      Object.entries(form.operands).map(([role, operand]): NewValues => {
        const type = physicalType(form, role);
        return {
          column: form.encoded.columns[role]!,
          type,
          value: name => name,
          format: 1,
          array: () => arrayOf(forms.get(operand)!, physicalOid(type)),
          first: () => valueAt(forms.get(operand)!, 0),
        };
      }),
    ),
  );
  const place: NewValues[] =
    kind === 'update'
      ? [
          {
            column: 'ctid',
            type: 'pg_catalog.tid',
            value: name => name,
            format: 0,
            array: () => tidArray(ctids),
            first: () => Buffer.from(ctids[0]!),
          },
        ]
      : [];
  const ids = (): Uint8Array => rowIdArray(broken ? rows.with(broken.row, broken.rowId) : rows);
  const identity: NewValues[] =
    isProtected(table) && (kind === 'insert' || broken)
      ? [
          {
            column: ROW_COLUMN,
            type: 'pg_catalog.int8',
            value: name => name,
            format: 1,
            array: ids,
            first: () => ids().subarray(rowIdsHead_bytes),
          },
        ]
      : [];
  const all = [...place, ...identity, ...open, ...physical];
  const count = batch.values.length;
  return {
    sql: first =>
      kind === 'update' ? updateSql(table, all, count, first) : insertSql(table, all, count, first),
    parameters: all.map(v => (count === 1 ? v.first() : v.array())),
    formats: all.map(v => v.format),
    sides,
    broken,
  };
}

/** A batch with the columns that are computed from what it writes; what it is not given stays as it is. */
async function withGenerated(
  batch: RowsToWrite,
  rows: Float64Array,
  session: SessionPort,
  { context, registry }: BatchServices,
): Promise<RowsToWrite> {
  const { table, kind } = batch;
  const of = await generatedOf(table, session);
  if (!of) return batch;
  const anew = generatedWith(table, batch.columns);
  const expressions =
    // SET column = DEFAULT alone computes it anew
    kind === 'insert' || batch.columns.length === 0
      ? of.expressions
      : of.expressions.filter(({ column }) => anew.includes(column));
  if (expressions.length === 0) return batch;
  const read = [...new Set(expressions.flatMap(({ columns }) => columns))];
  const given = read.filter(({ name }) => batch.columns.includes(name));
  const values = await decided(
    given.map(({ name, type }) => {
      const place = batch.columns.indexOf(name);
      return convert(columnOf(batch.values.map(row => row[place]!)), 0, type, session);
    }),
    session,
  );
  const others = kind === 'insert' ? [] : read.filter(column => !given.includes(column));
  const all = new Map(await storedValues(storedColumns(table, others, registry), rows, session, context));
  for (const [i, column] of given.entries()) all.set(column.number, values[i]!);
  const { columns, refusal } = await generatedValues(expressions, of, all, rows.length, session);
  if (refusal) throw refusal.error;
  const printing = printingFetched(session, session.client);
  const texts: ByteColumn[] = [];
  for (const { column } of expressions)
    texts.push(await fromBinary(columns.get(column.number)!, column.type.oid, 0, printing));
  // what the statement says of them is DEFAULT
  const kept = batch.columns.flatMap((name, i) =>
    expressions.some(({ column }) => column.name === name) ? [] : [i],
  );
  return {
    ...batch,
    columns: [...kept.map(i => batch.columns[i]!), ...expressions.map(({ column }) => column.name)],
    values: batch.values.map((row, i) => [
      ...kept.map(k => row[k]!),
      ...texts.map(column => valueAt(column, i)),
    ]),
  };
}

/** The first row of a batch that breaks a check; what it is not given stays as it is. */
async function brokenIn(
  { table, kind }: RowsToWrite,
  columns: readonly LogicalColumn[],
  valuesOf: (place: number) => ByteColumn,
  rows: Float64Array,
  session: SessionPort,
  { context, registry }: BatchServices,
): Promise<BrokenRow | undefined> {
  const of = await checksOf(table, session);
  const checks = of && (kind === 'insert' ? of.checks : checksReading(of, columns));
  if (!of || !checks?.length) return undefined;
  const read = [...new Set(checks.flatMap(check => check.columns))];
  const given = read.filter(column => columns.includes(column));
  const values = await decided(
    given.map(column => convert(valuesOf(columns.indexOf(column)), 0, column.type, session)),
    session,
  );
  const others = kind === 'insert' ? [] : read.filter(column => !columns.includes(column));
  const all = new Map(await storedValues(storedColumns(table, others, registry), rows, session, context));
  for (const [i, column] of given.entries()) all.set(column.number, values[i]!);
  return firstBroken(checks, of, all, rows.length, await timeOf(checks, session), session);
}

/**
 * Where the rows come from, and what their values are called. That of one row needs no array: so PostgreSQL plans the
 * statement once, and not anew for each, as it does where an array tells how many rows there are (plancache.c).
 */
const source = (
  values: readonly NewValues[],
  rows: number,
  first: number,
): { readonly from: string; readonly names: readonly string[] } =>
  rows === 1
    ? { from: '', names: values.map(({ type }, i) => `$${first + i}::${type}`) }
    : {
        from: ` FROM ROWS FROM (${values.map(({ type }, i) => `pg_catalog.unnest($${first + i}::${type}[])`).join(', ')}) AS u (${values.map((_, i) => `c${i}`).join(', ')})`,
        names: values.map((_, i) => `u.c${i}`),
      };

function updateSql(table: LogicalTable, values: readonly NewValues[], rows: number, first: number): string {
  const { from, names } = source(values, rows, first);
  const [place, ...assigned] = values.map(({ column, value }, i) => ({ column, value: value(names[i]!) }));
  const given = assigned.map(({ column, value }) => `${quoteName(column)} = ${value}`);
  // what the cloud computes by itself
  const sets = given.length === 0 && isProtected(table) ? [`${ROW_COLUMN} = t.${ROW_COLUMN}`] : given;
  return `UPDATE ONLY ${nameOf(table)} AS t SET ${sets.join(', ')}${from} WHERE t.ctid = ${place!.value}`;
}

function insertSql(table: LogicalTable, values: readonly NewValues[], rows: number, first: number): string {
  // a row of defaults alone
  if (values.length === 0)
    return `INSERT INTO ${nameOf(table)} SELECT FROM pg_catalog.generate_series(1, ${rows})`;
  const columns = values.map(({ column }) => quoteName(column));
  const { from, names } = source(values, rows, first);
  const given = values.map(({ value }, i) => value(names[i]!));
  return `INSERT INTO ${nameOf(table)} (${columns.join(', ')}) OVERRIDING SYSTEM VALUE SELECT ${given.join(', ')}${from}`;
}
