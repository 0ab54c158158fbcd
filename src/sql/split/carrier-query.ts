/**
 * What postgres_fdw asks a carrier for (deparse.c of postgres_fdw): columns of one table, conditions that PostgreSQL's
 * planner gave to it, and perhaps an order. Functions, operators and types stand without a schema there and mean those
 * of pg_catalog.
 */
import { CARRIER_SCHEMA } from '../../trusted/carriers.js';
import { child, fieldsOf, list, type RawFields, type RawNode, rewrite, str, stringOf, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';

/** A query over one carrier. */
export interface CarrierQuery {
  /** shadow OID of the table */
  readonly table: number;
  /** columns by name; undefined stands for NULL, where only the number of rows matters */
  readonly columns: readonly (string | undefined)[];
  /** conditions that all must hold */
  readonly conditions: readonly Condition[];
  /** entries of ORDER BY */
  readonly order: readonly RawNode[];
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

/** @throws Error for what postgres_fdw does not ask of one table in a read */
export function readCarrierQuery(sql: string): CarrierQuery {
  const select = parseOne(sql).SelectStmt;
  const [from, ...more] = list(select ?? {}, 'fromClause');
  const { schemaname, relname } = (from?.RangeVar ?? {}) as { schemaname?: string; relname?: string };
  if (!select || more.length > 0 || schemaname !== CARRIER_SCHEMA || !/^\d+$/.test(relname ?? ''))
    throw new Error('a carrier is asked for something else than rows of its table');
  for (const field of ['lockingClause', 'groupClause', 'limitCount', 'limitOffset', 'distinctClause', 'havingClause'])
    if (select[field] !== undefined) throw new Error(`a carrier is asked for ${field}`);
  const where = child(select, 'whereClause');
  return {
    table: Number(relname),
    columns: list(select, 'targetList').map(target => nameOf(child(fieldsOf(target), 'val')!)),
    conditions: (where === undefined ? [] : conjuncts(where)).map(condition),
    order: list(select, 'sortClause'),
  };
}

function nameOf(value: RawNode): string | undefined {
  if (value.A_Const?.isnull === true) return undefined;
  const [name, ...more] = value.ColumnRef ? list(value.ColumnRef, 'fields') : [];
  if (!name?.String || more.length > 0) throw new Error('a carrier is asked for something else than columns');
  return stringOf(name);
}

const conjuncts = (tree: RawNode): readonly RawNode[] =>
  tree.BoolExpr?.boolop === 'AND_EXPR' ? list(tree.BoolExpr, 'args').flatMap(conjuncts) : [tree];

function condition(tree: RawNode): Condition {
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
    if (kind === 'ColumnRef') columns.add(stringOf(list(fields, 'fields').at(-1)));
  });
  return columns;
}

const catalogue = str('pg_catalog');
/** Kinds of A_Expr whose operator can be written with its schema. */
const named: ReadonlySet<unknown> = new Set(['AEXPR_OP', 'AEXPR_OP_ANY', 'AEXPR_OP_ALL']);

/** The same with schemas written out, so that it means the same under every search_path. */
export const inCatalogue = <T>(tree: T): T =>
  rewrite(typed(tree), (kind, fields) => {
    if (kind === 'FuncCall') return one(fields, 'funcname', kind);
    if (kind === 'A_Expr' && named.has(fields.kind)) return one(fields, 'name', kind);
    return undefined;
  });

const one = (fields: RawFields, name: string, kind: string): RawNode | undefined =>
  list(fields, name).length === 1 ? { [kind]: { ...fields, [name]: [catalogue, ...list(fields, name)] } } : undefined;

/** The names of types, which are no nodes of their own kind in casts. */
function typed<T>(value: T): T {
  if (Array.isArray(value)) return value.map(typed) as T;
  if (value === null || typeof value !== 'object') return value;
  const copy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    const names = key === 'typeName' ? list(field as RawFields, 'names') : [];
    copy[key] =
      names.length === 1 ? { ...(field as RawFields), names: [catalogue, names[0]] } : typed(field);
  }
  return copy as T;
}

