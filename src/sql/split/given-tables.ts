/**
 * A split read in a transaction that has changed the schema: only the backend that analyses knows the tables as they are,
 * and carriers cannot ask for rows on it while it runs the statement. So all rows of its tables are fetched first, and it
 * runs over WITH queries that stand for the tables.
 */
import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { hasHeirs, heirsOf } from '../../catalog/trees.js';
import { flag, type Node, nodesIn, numberIn, readNodes, textIn, walk } from '../analysed/node.js';
import { RTE } from '../analysed/query.js';
import { physical } from '../compilation.js';
import type { SplitBody } from '../execute/bodies.js';
import type { PhysicalStatement } from '../plan.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, list, type RawFields, type RawNode, rewrite, text, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { SplitServices } from './cloud-rows.js';
import { columnTypes } from './delivery.js';
import { type GivenFetch, travelOf } from './given-columns.js';
import { columnsNeeded } from './given-table.js';
import { saysSample } from './sample-condition.js';

/** A statement as one over the rows of tables. */
export interface GivenTables {
  readonly fetches: readonly GivenFetch[];
  /** its parameters are the statement's own, then an array a column, table by table */
  readonly statement: PhysicalStatement;
}

/** @returns undefined: rows of WITH queries would not do for its tables */
export async function givenTables(
  body: SplitBody,
  session: SessionPort,
  services: SplitServices,
): Promise<GivenTables | undefined> {
  const { sql, parameterTypes } = body.statement;
  if (saysSample(sql)) return undefined;
  const raw = parseOne(sql);
  const catalog = session.catalog();
  const tables = body.tables.map(oid => catalog.tables.get(oid)).filter(table => table !== undefined);
  const analysis = await session.analyse(sql, parameterTypes);
  if (!raw.SelectStmt || body.writes || body.routinesRead || tables.length !== body.tables.length)
    return undefined;
  if (!readsPlainly(analysis, new Set(body.tables))) return undefined;
  const ranges = rangesOf(analysis, catalog);
  const named = ranges && inPlace(raw, ranges);
  if (!named) return undefined;
  const fetches: GivenFetch[] = [];
  const queries: string[] = [];
  let parameter = parameterTypes.length;
  const types = [...parameterTypes];
  for (const [i, range] of ranges.entries()) {
    const columnType = await columnTypes(range.table, session);
    const columns = columnsOf(raw, range.table);
    if (columns.length === 0) return undefined;
    const selects: string[] = [];
    for (const member of range.members) {
      const fetch = await fetchOf(columns, member, catalog, services);
      if (!fetch) return undefined;
      fetches.push(fetch);
      const { travels } = fetch;
      const typed = columns.map((c, k) => `u.c${k}::${columnType.get(c)} AS ${quoteName(c)}`);
      const arrays = columns.map(() => `pg_catalog.unnest($${++parameter})`);
      types.push(...travels.map(({ array }) => array));
      selects.push(
        `SELECT ${typed.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${columns.map((_, k) => `c${k}`).join(', ')})`,
      );
    }
    queries.push(`${nameOf(i)} AS (${selects.join(' UNION ALL ')})`);
  }
  const statement = deparse(withQueries(named, queries));
  const { shape } = await session.analyse(statement, types);
  return sameColumns(shape.columns ?? [], analysis.shape.columns ?? [])
    ? { fetches, statement: physical(statement, types) }
    : undefined;
}

const nameOf = (i: number): string => `clarus_rows_${i + 1}`;

const sameColumns = (
  ours: NonNullable<Analysis['shape']['columns']>,
  theirs: NonNullable<Analysis['shape']['columns']>,
): boolean =>
  ours.length === theirs.length &&
  ours.every(
    ({ name, typeOid, typeModifier }, i) =>
      name === theirs[i]!.name && typeOid === theirs[i]!.typeOid && typeModifier === theirs[i]!.typeModifier,
  );

/**
 * Does it read its tables themselves, not by views, and of each row columns only? Groups that stand on a table's key stand
 * on no key of a WITH query.
 */
function readsPlainly({ parsed }: Analysis, tables: ReadonlySet<number>): boolean {
  let plainly = true;
  walk(parsed.flatMap(readNodes), node => {
    if (node.kind === 'QUERY') plainly &&= node.fields.constraintDeps === null && isPlain(node, tables);
    if (node.kind === 'VAR') plainly &&= numberIn(node, 'varattno') > 0;
    return plainly;
  });
  return plainly;
}

const isPlain = (query: Node, tables: ReadonlySet<number>): boolean =>
  nodesIn(query, 'rtable').every(
    rte =>
      numberIn(rte, 'rtekind') !== RTE.relation ||
      (['r', 'p'].includes(textIn(rte, 'relkind')!) && tables.has(numberIn(rte, 'relid'))),
  ) && nodesIn(query, 'rowMarks').length === 0;

/** A table as FROM names it, and the tables of the cloud whose rows it means. */
interface Range {
  readonly table: LogicalTable;
  readonly members: readonly LogicalTable[];
}

/** @returns undefined: one is named with ONLY and without it, or has no rows of its own */
function rangesOf({ parsed }: Analysis, catalog: Catalog): readonly Range[] | undefined {
  const ranges = new Map<number, Range>();
  let certain = true;
  walk(parsed.flatMap(readNodes), node => {
    const isEntry = node.kind === 'RANGETBLENTRY' || node.kind === 'RTE';
    if (!isEntry || numberIn(node, 'rtekind') !== RTE.relation) return certain;
    const table = catalog.tables.get(numberIn(node, 'relid'))!;
    const whole = flag(node, 'inh') && hasHeirs(catalog, table);
    const members = [table, ...(whole ? heirsOf(catalog, table) : [])].filter(one => !one.partitioned);
    const before = ranges.get(table.oid);
    certain &&= members.length > 0 && (!before || before.members.length === members.length);
    ranges.set(table.oid, { table, members });
    return certain;
  });
  return certain ? [...ranges.values()] : undefined;
}

/** The statement with names of WITH queries in place of those of tables; undefined: it is not certain which is which. */
function inPlace(raw: RawNode, ranges: readonly Range[]): RawNode | undefined {
  const tables = ranges.map(({ table }) => table);
  let certain = new Set(tables.map(({ name }) => name)).size === tables.length;
  visit(raw, (kind, fields) => {
    if (kind === 'CommonTableExpr') certain &&= tables.every(({ name }) => name !== text(fields, 'ctename'));
    // a column by the name of its table's schema
    if (kind === 'ColumnRef') certain &&= list(fields, 'fields').length <= 2;
  });
  if (!certain) return undefined;
  return rewrite(raw, (kind, range) => {
    if (kind !== 'RangeVar') return undefined;
    const i = tables.findIndex(
      ({ schema, name }) =>
        name === text(range, 'relname') && (text(range, 'schemaname') ?? schema) === schema,
    );
    if (i < 0) return undefined;
    const { schemaname: _schema, ...rest } = range;
    return { RangeVar: { alias: { aliasname: tables[i]!.name }, ...rest, relname: nameOf(i), inh: true } };
  });
}

function withQueries(raw: RawNode, queries: readonly string[]): RawNode {
  const select = fieldsOf(raw);
  const ours = parseOne(`WITH ${queries.join(', ')} SELECT`).SelectStmt!.withClause as RawFields;
  const theirs = (select.withClause ?? {}) as RawFields;
  const withClause = { ...theirs, ctes: [...list(ours, 'ctes'), ...list(theirs, 'ctes')] };
  return { SelectStmt: { ...select, withClause } };
}

/** How many rows there are matters too: where no column is needed, one is fetched. */
function columnsOf(raw: RawNode, table: LogicalTable): readonly string[] {
  const all = table.columns.map(c => c.name);
  const needed = namesByPlace(raw) ? all : columnsNeeded(raw, all);
  return needed.length > 0 ? needed : all.slice(0, 1);
}

async function fetchOf(
  columns: readonly string[],
  table: LogicalTable,
  catalog: Catalog,
  { plan }: SplitServices,
): Promise<GivenFetch | undefined> {
  const only = hasHeirs(catalog, table) ? 'ONLY ' : '';
  const fetch = await plan(
    `SELECT ${columns.map(quoteName).join(', ')} FROM ${only}${quoteQualified(table.schema, table.name)}`,
    [],
  );
  if (fetch.kind !== 'pass' && (fetch.kind !== 'protected' || fetch.body.kind !== 'read')) return undefined;
  const travels = columns.map(name => travelOf(table.columns.find(c => c.name === name)!.type.oid));
  return { table, fetch, columns, travels, locks: false, answered: [], left: [] };
}

/** NATURAL, USING and lists of names for columns (`t AS x (a, b)`) name columns in another way. */
function namesByPlace(raw: RawNode): boolean {
  let found = false;
  visit(raw, (kind, fields) => {
    if (kind === 'JoinExpr') found ||= fields.isNatural === true || list(fields, 'usingClause').length > 0;
    if (kind === 'JoinExpr' || kind === 'RangeVar')
      found ||= list((fields.alias ?? {}) as RawFields, 'colnames').length > 0;
  });
  return found;
}
