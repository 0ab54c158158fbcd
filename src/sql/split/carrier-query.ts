/**
 * What postgres_fdw asks a carrier for (deparse.c of postgres_fdw): columns of one table, conditions that PostgreSQL's
 * planner gave to it, and perhaps an order. Functions, operators and types stand there without a schema and mean those
 * of pg_catalog, which a search_path has first unless it says otherwise.
 */
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { ASSIGNED } from '../execute/convert.js';
import { child, fieldsOf, list, type RawNode, stringOf, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { type Sample, sampleOf } from './sample-condition.js';

/** A query over one carrier. */
export interface CarrierQuery {
  /** shadow OID of the table */
  readonly table: number;
  /** columns by name; undefined stands for NULL, where only the number of rows matters */
  readonly columns: readonly (string | undefined)[];
  /** what is computed of each row, after the columns; absent: nothing */
  readonly expressions?: readonly RawNode[];
  /** its rows are a sample; absent: they are all */
  readonly sample?: Sample;
  /** conditions that all must hold */
  readonly conditions: readonly Condition[];
  readonly order: readonly Order[];
}

/** An entry of ORDER BY. */
export interface Order {
  readonly tree: RawNode;
  /** `ASC NULLS LAST` and the like: postgres_fdw always says all of it */
  readonly how: string;
}

/** One of the conditions. */
export interface Condition {
  readonly tree: RawNode;
  /** names of the columns that it reads */
  readonly columns: ReadonlySet<string>;
  /** numbers of the parameters that it reads */
  readonly parameters: readonly number[];
  /** it compares with something beside columns: a constant or a parameter */
  readonly valued: boolean;
}

/**
 * Parses what postgres_fdw sends. It writes the number -0 as `(-0)` (deparseConst in deparse.c), which PostgreSQL reads as
 * the integer 0.
 */
export const parseCarried = (sql: string): RawNode =>
  parseOne(
    sql.replace(
      /('(?:[^']|'')*'|"(?:[^"]|"")*")|\(-0\)(?=::(?:double precision|real))/g,
      (_all, quoted: string | undefined) => quoted ?? "'-0'",
    ),
  );

/** @throws Error for what postgres_fdw does not ask of one table in a read */
export function readCarrierQuery(sql: string): CarrierQuery {
  const select = parseCarried(sql).SelectStmt;
  const [from, ...more] = list(select ?? {}, 'fromClause');
  const { schemaname, relname } = (from?.RangeVar ?? {}) as { schemaname?: string; relname?: string };
  if (!select || more.length > 0 || schemaname !== OWN_SCHEMA || !/^\d+$/.test(relname ?? ''))
    throw new Error('a carrier is asked for something else than rows of its table');
  // rows that are to be written are asked for with their ctid, and locked when it is known which are written
  for (const field of ['groupClause', 'limitCount', 'limitOffset', 'distinctClause', 'havingClause'])
    if (select[field] !== undefined) throw new Error(`a carrier is asked for ${field}`);
  const where = child(select, 'whereClause');
  const all = where === undefined ? [] : conjuncts(where);
  const samples = all.flatMap(tree => sampleOf(tree) ?? []);
  if (samples.length > 1) throw new Error('a carrier is asked for several samples at once');
  return {
    table: Number(relname),
    columns: list(select, 'targetList').map(target => nameOf(child(fieldsOf(target), 'val')!)),
    ...(samples[0] ? { sample: samples[0] } : {}),
    conditions: all.filter(tree => !sampleOf(tree)).map(condition),
    order: list(select, 'sortClause').map(orderOf),
  };
}

function nameOf(value: RawNode): string | undefined {
  if (value.A_Const?.isnull === true) return undefined;
  const [name, ...more] = value.ColumnRef ? list(value.ColumnRef, 'fields') : [];
  if (!name?.String || more.length > 0) throw new Error('a carrier is asked for something else than columns');
  return stringOf(name);
}

function orderOf({ SortBy: sort }: RawNode): Order {
  if (!sort || (sort.useOp as readonly unknown[] | undefined)?.length)
    throw new ClarusError('0A000', 'rows are asked for in the order of an operator of users');
  const direction = sort.sortby_dir === 'SORTBY_DESC' ? 'DESC' : 'ASC';
  const nulls = sort.sortby_nulls === 'SORTBY_NULLS_FIRST' ? 'NULLS FIRST' : 'NULLS LAST';
  return { tree: sort.node as RawNode, how: `${direction} ${nulls}` };
}

/** The conditions of which all must hold. */
export const conjuncts = (tree: RawNode): readonly RawNode[] =>
  tree.BoolExpr?.boolop === 'AND_EXPR'
    ? list(tree.BoolExpr, 'args').flatMap(conjuncts)
    : (equalRows(tree)?.flatMap(conjuncts) ?? [tree]);

/** `(a, b) = (x, y)` as `a = x` and `b = y`: it is true where they are. @returns undefined: it is something else */
function equalRows({ A_Expr: comparison }: RawNode): readonly RawNode[] | undefined {
  if (comparison?.kind !== 'AEXPR_OP') return undefined;
  const name = list(comparison, 'name');
  const [left, right] = ['lexpr', 'rexpr'].map(side => list(child(comparison, side)?.RowExpr ?? {}, 'args'));
  const isEqual = name.length === 1 && stringOf(name[0]) === '=';
  if (!isEqual || left!.length === 0 || left!.length !== right!.length) return undefined;
  // a star stands for several
  if ([...left!, ...right!].some(arg => list(arg.ColumnRef ?? {}, 'fields').at(-1)?.A_Star)) return undefined;
  return left!.map((lexpr, i) => ({ A_Expr: { ...comparison, lexpr, rexpr: right![i]! } }));
}

/** What a condition reads. */
export function condition(tree: RawNode): Condition {
  const parameters = new Set<number>();
  let valued = false;
  visit(tree, (kind, fields) => {
    if (kind === 'A_Const') valued = true;
    else if (kind === 'ParamRef') {
      valued = true;
      parameters.add(fields.number as number);
    }
  });
  return { tree, columns: columnsIn(tree), parameters: [...parameters], valued };
}

/** Names of the columns that a tree reads. */
export function columnsIn(tree: unknown): ReadonlySet<string> {
  const columns = new Set<string>();
  visit(tree, (kind, fields) => {
    if (kind !== 'ColumnRef') return;
    const names = list(fields, 'fields').map(stringOf);
    if (names.length === 1 || names[0] !== ASSIGNED) columns.add(names.at(-1)!);
  });
  return columns;
}
