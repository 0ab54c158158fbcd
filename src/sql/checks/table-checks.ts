/** The CHECK constraints of a table that read protected columns, as the trusted side evaluates them. */
import type { Catalog, LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { numberIn, readNodes, walk } from '../analysed/node.js';
import { functionsIn } from '../analysed/query.js';
import { physical } from '../compilation.js';
import { plainExpressions } from '../defaults.js';
import type { Row } from '../execute/collect.js';
import { quotedType } from '../execute/convert.js';
import { FIRST_USER_OID } from '../functions.js';
import { readsMoment } from '../moment.js';
import { withTime } from '../operand.js';
import type { SessionPort } from '../ports.js';
import { deparseExpression } from '../raw/deparse.js';
import { paramRef, renumberAll } from '../raw/node.js';
import { parseExpression } from '../raw/parse.js';
import { routinesCalled } from '../routines.js';

/** A check as an expression over the names of its columns. */
export interface CheckExpression {
  readonly name: string;
  readonly columns: readonly LogicalColumn[];
  /** every name in it is qualified; it may ask for the time of the transaction by `$n` */
  readonly sql: (timeParameter: number) => string;
  readonly time: boolean;
  /** equal as long as it says the same */
  readonly text: string;
}

/** How the columns of a table are given to expressions. */
export interface ColumnTypes {
  readonly table: LogicalTable;
  /** types of all columns that they read, by column number */
  readonly types: ReadonlyMap<number, CheckedType>;
}

/** The checks of a table, by name. */
export interface TableChecks extends ColumnTypes {
  readonly checks: readonly CheckExpression[];
}

/** A generated column with its expression. */
export interface GeneratedExpression {
  readonly column: LogicalColumn;
  /** the columns that it reads */
  readonly columns: readonly LogicalColumn[];
  /** what is assigned to it, over the names of these columns */
  readonly sql: string;
}

/** The protected generated columns of a table. */
export interface GeneratedColumns extends ColumnTypes {
  readonly expressions: readonly GeneratedExpression[];
}

/** A condition of a client, over the names of a table's columns. */
export interface RowCondition extends ColumnTypes {
  /** the columns that it reads */
  readonly columns: readonly LogicalColumn[];
  /** it may ask for the time of the transaction by `$n` */
  readonly sql: (timeParameter: number) => string;
  readonly time: boolean;
}

/** How a column's values are read on the trusted side. */
export interface CheckedType {
  /** as SQL takes it, with its collation where that is not the type's own */
  readonly name: string;
  readonly collation: string;
  readonly isArray: boolean;
}

/** Up to version 17 every check is enforced, and pg_constraint has no column that says so. */
const checksQuery = physical(
  `SELECT c.conname, pg_catalog.pg_get_expr(c.conbin, c.conrelid) FROM pg_catalog.pg_constraint c
    WHERE c.conrelid = $1 AND c.contype = 'c'
      AND coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::pg_catalog.bool, true)`,
  [26],
);

const boundsQuery = physical(
  'SELECT coalesce(pg_catalog.pg_get_partition_constraintdef($1::pg_catalog.oid), $$true$$)',
  [26],
);

const typesQuery = physical(
  `SELECT a.attnum::pg_catalog.text, pg_catalog.format_type(a.atttypid, NULL),
          CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT pg_catalog.format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_catalog.pg_collation c
                    JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation) END,
          (t.typlen = -1 AND t.typelem <> 0 AND t.typcategory = 'A')::pg_catalog.text,
          (t.oid >= ${FIRST_USER_OID} AND t.typtype NOT IN ('e', 'd')
            AND NOT (t.typtype = 'b' AND t.typcategory <> 'A'))::pg_catalog.text, t.oid::pg_catalog.text
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`,
  [26],
);

const known = new WeakMap<Catalog, Map<number, Promise<TableChecks>>>();

/**
 * Reads the checks of a table from the shadow.
 * @returns undefined: none reads a protected column
 * @throws ClarusError 0A000 for a check that the trusted side cannot evaluate over the values of one row
 */
export function checksOf(table: LogicalTable, session: SessionPort): Promise<TableChecks | undefined> {
  if (!table.checks?.length) return Promise.resolve(undefined);
  const catalog = session.catalog();
  const found = known.get(catalog) ?? new Map<number, Promise<TableChecks>>();
  known.set(catalog, found);
  const checks = found.get(table.oid) ?? read(table, session);
  found.set(table.oid, checks);
  checks.catch(() => found.delete(table.oid));
  return checks;
}

async function read(table: LogicalTable, session: SessionPort): Promise<TableChecks> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [expressions, columns] = await plainExpressions(session, [
    { query: checksQuery, parameters: [oid] },
    { query: typesQuery, parameters: [oid] },
  ]);
  const texts = new Map(expressions!.map(textsOf).map(([name, sql]) => [name!, sql!]));
  const checks = (table.checks ?? []).flatMap(({ name, columns: numbers }): CheckExpression[] => {
    const text = texts.get(name);
    if (text === undefined) return [];
    return [
      {
        name,
        columns: table.columns.filter(c => numbers.includes(c.number)),
        ...expression(text, table, name),
      },
    ];
  });
  const types = typesOf(columns!.map(textsOf), table, checks);
  await mustComputeOnly(table, checks, session);
  return { table, checks, types };
}

const textsOf = (row: Row): readonly string[] => row.map(field => Buffer.from(field ?? []).toString());

/**
 * The bounds of a partition, which only the trusted side can look at, as a check.
 * @throws ClarusError 0A000 where they read a column that cannot be given here
 */
export async function boundsOf(table: LogicalTable, session: SessionPort): Promise<TableChecks> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [bounds, rows] = await plainExpressions(session, [
    { query: boundsQuery, parameters: [oid] },
    { query: typesQuery, parameters: [oid] },
  ]);
  const [text] = textsOf(bounds![0]!);
  const { parsed } = await session.analyse(
    `SELECT (${text!}) FROM ${quoteQualified(table.schema, table.name)}`,
    [],
  );
  const read = new Set<number>();
  for (const tree of parsed.flatMap(readNodes))
    walk(tree, node => {
      if (node.kind === 'VAR') read.add(numberIn(node, 'varattno'));
      return true;
    });
  const columns = table.columns.filter(({ attnum }) => read.has(attnum));
  const check = { name: 'bounds', columns, ...expression(text!, table, 'bounds') };
  return { table, checks: [check], types: typesOf(rows!.map(textsOf), table, [check]) };
}

/**
 * Looks whether expressions can be evaluated over the values of one row, and how these are given to them.
 * @param expressions by the names of what they belong to
 * @throws ClarusError 0A000 for one that does more than compute
 */
export async function computedTypes(
  table: LogicalTable,
  expressions: readonly Pick<CheckExpression, 'name' | 'columns' | 'text'>[],
  session: SessionPort,
  kind: Computing = 'generated column',
): Promise<ColumnTypes['types']> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [rows] = await plainExpressions(session, [{ query: typesQuery, parameters: [oid] }]);
  for (const { name, text } of expressions)
    if (readsMoment(parseExpression(text))) throw refused(table, name, momentary, kind);
  await mustComputeOnly(table, expressions, session, kind);
  return typesOf(rows!.map(textsOf), table, expressions, kind);
}

function typesOf(
  rows: readonly (readonly string[])[],
  table: LogicalTable,
  checks: readonly Pick<CheckExpression, 'name' | 'columns'>[],
  kind: Computing = 'check constraint',
): TableChecks['types'] {
  const wanted = new Set(checks.flatMap(({ columns }) => columns));
  const types = new Map<number, CheckedType>();
  for (const column of wanted) {
    const [, name, collation, isArray, isComposed, oid] = rows.find(
      ([attnum]) => Number(attnum) === column.attnum,
    )!;
    if (isComposed === 'true')
      throw refused(
        table,
        checks.find(({ columns }) => columns.includes(column))!.name,
        'it reads a column of a composed type of users',
        kind,
      );
    types.set(column.number, {
      // without a length, which some names would mean
      name: quotedType(Number(oid), name!),
      collation: collation!,
      isArray: isArray === 'true',
    });
  }
  return types;
}

function expression(
  text: string,
  table: LogicalTable,
  name: string,
): Pick<CheckExpression, 'sql' | 'time' | 'text'> {
  const raw = parseExpression(text);
  if (readsMoment(raw)) throw refused(table, name, momentary);
  const { tree, time } = withTime(raw, 1);
  const sql = (parameter: number): string =>
    time ? deparseExpression(renumberAll(tree, () => paramRef(parameter))) : text;
  return { sql, time, text };
}

/** A function that reads a table would find it empty in the shadow, where its rows are not. */
async function mustComputeOnly(
  table: LogicalTable,
  checks: readonly Pick<CheckExpression, 'name' | 'text'>[],
  session: SessionPort,
  kind: Computing = 'check constraint',
): Promise<void> {
  for (const { name, text } of checks) {
    const called = await functionsOf(table, text, session);
    const users = [...called].filter(oid => oid >= FIRST_USER_OID);
    if (users.length === 0) continue;
    const { doubt, tables, writes, catalogue, sequences, time } = await routinesCalled(
      new Set(users),
      session,
    );
    const why =
      doubt ??
      (tables.size > 0 || catalogue || writes || sequences || time
        ? 'a function that it calls does more than compute: it touches tables or sequences, or asks for the time'
        : undefined);
    if (why !== undefined) throw refused(table, name, why, kind);
  }
}

/** OIDs of the functions that a check calls. */
export async function functionsOf(
  { schema, name }: LogicalTable,
  text: string,
  session: SessionPort,
): Promise<ReadonlySet<number>> {
  const { parsed } = await session.analyse(`SELECT (${text}) FROM ${quoteQualified(schema, name)}`, []);
  return functionsIn(parsed.flatMap(readNodes));
}

/** The first check that reads an unprotected column beside protected ones. */
export const openInChecks = ({ checks }: TableChecks): CheckExpression | undefined =>
  checks.find(({ columns }) => columns.some(({ protection }) => protection === undefined));

/**
 * The cloud computes what it gets for unprotected columns, so a check of both is asked once all is known here.
 * @throws ClarusError 0A000
 */
export function refuseOpenInChecks(checks: TableChecks | undefined): void {
  const found = checks && openInChecks(checks);
  if (found) throw needsBoth(checks.table, found.name);
}

/** Why a write is split. */
export const needsBoth = ({ name }: LogicalTable, constraint: string): ClarusError =>
  new ClarusError(
    '0A000',
    `check constraint "${constraint}" of table "${name}" reads protected and unprotected columns together`,
    { constraint },
  );

const momentary = 'it reads a time from a text that means the present moment';

/** What the trusted side computes of a row. */
export type Computing =
  | 'check constraint'
  | 'generated column'
  | 'exclusion constraint'
  | 'unique index'
  | 'COPY condition';

const simply: Readonly<Record<Computing, string>> = {
  'check constraint': 'Write the check over the columns of the row and functions that only compute.',
  'generated column': 'Write the expression over the columns of the row and functions that only compute.',
  'exclusion constraint': 'Write it over columns of types of PostgreSQL and functions that only compute.',
  'unique index': 'Write it over columns of types of PostgreSQL and functions that only compute.',
  'COPY condition': 'Write it over columns of types of PostgreSQL and functions that only compute.',
};

const refused = (
  table: LogicalTable,
  name: string,
  why: string,
  kind: Computing = 'check constraint',
): ClarusError => {
  if (kind === 'COPY condition')
    return new ClarusError(
      '0A000',
      `the WHERE of a COPY into the table "${table.name}" cannot be evaluated`,
      {
        detail: `The trusted PostgreSQL evaluates it over the values of a row, and ${why}.`,
        hint: simply[kind],
        table: table.name,
      },
    );
  const isColumn = kind === 'generated column';
  return new ClarusError(
    '0A000',
    `${kind} "${name}" of table "${table.name}" cannot be ${isColumn ? 'computed' : 'evaluated'}`,
    {
      detail: `${isColumn ? 'It is protected' : 'It reads a protected column'}, and ${why}.`,
      hint: simply[kind],
      schema: table.schema,
      table: table.name,
      ...(isColumn ? { column: name } : { constraint: name }),
    },
  );
};
