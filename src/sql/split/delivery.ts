/**
 * How the rows of a carrier's query are had: a statement that the cloud answers, with the conditions that its encodings
 * answer exactly, and, where that leaves some, a statement that finishes each batch on the trusted side.
 */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { physical } from '../compilation.js';
import { collect } from '../execute/collect.js';
import type { PhysicalStatement, Plan, SessionPort } from '../plan.js';
import { deparseExpression } from '../raw/deparse.js';
import { paramRef, type RawNode, renumberAll } from '../raw/node.js';
import { type CarrierQuery, type Condition, columnsIn, inCatalogue } from './carrier-query.js';

/** A plan that rows come by. */
export type FetchPlan = Extract<Plan, { kind: 'pass' | 'protected' }>;

/** How the rows of a query come. */
export interface Delivery {
  readonly fetch: FetchPlan;
  /** numbers of the query's parameters that the fetch has */
  readonly parameters: readonly number[];
  /** columns that are fetched */
  readonly width: number;
  /** absent: rows are delivered as they are fetched */
  readonly finish?: Finish;
}

/** What remains to be done with fetched rows. */
export interface Finish {
  /** its parameters are an array of texts a column, then parameters of the query */
  readonly statement: PhysicalStatement;
  readonly parameters: readonly number[];
  /** it needs all rows at once */
  readonly sorts: boolean;
}

/** Plans a statement of ours in the session. @throws ClarusError 0A000 for what no encoding answers */
export type PlanStatement = (sql: string) => Promise<Plan>;

/**
 * @param plan the session's planning
 * @throws ClarusError of planning
 */
export async function planDelivery(
  query: CarrierQuery,
  table: LogicalTable,
  session: SessionPort,
  plan: PlanStatement,
): Promise<Delivery> {
  const pushed = await pushable(query, table, plan);
  const left = query.conditions.filter(c => !pushed.includes(c));
  const finishing = left.length > 0 || query.order.length > 0;
  const columns = finishing
    ? [...new Set([...named(query.columns), ...left.flatMap(c => [...c.columns]), ...columnsIn(query.order)])]
    : query.columns;
  const { sql, parameters } = fetchSql(columns, table, pushed);
  const fetch = await plan(sql);
  if (fetch.kind !== 'pass' && fetch.kind !== 'protected') throw new Error('rows of a table come from no cloud');
  return {
    fetch,
    parameters,
    width: columns.length,
    ...(finishing ? { finish: await finishOf(query, named(columns), left, table, session) } : {}),
  };
}

const named = (columns: readonly (string | undefined)[]): string[] => columns.filter(c => c !== undefined);

/**
 * The conditions that the cloud may see and answers. A constant may have come from a protected column, by what
 * PostgreSQL concludes from equalities, and so may a parameter: they go only to protected columns, as encodings.
 */
async function pushable(
  { conditions }: CarrierQuery,
  table: LogicalTable,
  plan: PlanStatement,
): Promise<readonly Condition[]> {
  const isProtected = (name: string): boolean =>
    table.columns.find(c => c.name === name)?.protection !== undefined;
  const candidates = conditions.filter(({ columns, valued }) => !valued || [...columns].every(isProtected));
  const answered = async (tried: readonly Condition[]): Promise<boolean> => {
    try {
      await plan(fetchSql([undefined], table, tried).sql);
      return true;
    } catch (error) {
      if (error instanceof ClarusError && error.code === '0A000') return false;
      throw error;
    }
  };
  if (candidates.length === 0 || (await answered(candidates))) return candidates;
  if (candidates.length === 1) return [];
  const found: Condition[] = [];
  for (const candidate of candidates) if (await answered([candidate])) found.push(candidate);
  return found;
}

function fetchSql(
  columns: readonly (string | undefined)[],
  { schema, name }: LogicalTable,
  conditions: readonly Condition[],
): { readonly sql: string; readonly parameters: readonly number[] } {
  const parameters = [...new Set(conditions.flatMap(c => c.parameters))];
  const where = conditions.map(({ tree }) => `(${deparseExpression(renumbered(tree, parameters, 0))})`);
  const list = columns.map(c => (c === undefined ? 'NULL' : quoteName(c))).join(', ');
  return {
    sql: `SELECT ${list} FROM ${quoteQualified(schema, name)}${where.length ? ` WHERE ${where.join(' AND ')}` : ''}`,
    parameters,
  };
}

const renumbered = (tree: RawNode, parameters: readonly number[], before: number): RawNode =>
  renumberAll(tree, number => paramRef(before + parameters.indexOf(number) + 1));

const typesQuery = physical(
  `SELECT a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod),
          CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT pg_catalog.format('%I.%I', n.nspname, c.collname) FROM pg_catalog.pg_collation c
                    JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation) END
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`,
  [26],
);

async function finishOf(
  query: CarrierQuery,
  columns: readonly string[],
  left: readonly Condition[],
  table: LogicalTable,
  session: SessionPort,
): Promise<Finish> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const rows = await collect(session.trusted, typesQuery, [oid], [1], [0]);
  const types = new Map(
    rows.map(row => row.map(field => field && Buffer.from(field).toString()) as [string, string, string | null]).map(
      ([name, type, collation]) => [name, collation === null ? type : `${type} COLLATE ${collation}`],
    ),
  );
  const parameters = [...new Set(left.flatMap(c => c.parameters))];
  const typed = columns.map((name, i) => `u.c${i}::${types.get(name)} AS ${quoteName(name)}`);
  const arrays = columns.map((_, i) => `pg_catalog.unnest($${i + 1}::pg_catalog.text[])`);
  const names = columns.map((_, i) => `c${i}`);
  const where = left.map(
    ({ tree }) => `(${deparseExpression(inCatalogue(renumbered(tree, parameters, columns.length)))})`,
  );
  const targets = query.columns.map(c => (c === undefined ? 'NULL' : quoteName(c)));
  const order = query.order.map(orderSql);
  return {
    statement: physical(
      `SELECT ${targets.join(', ')} FROM (SELECT ${typed.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${names.join(', ')})) AS r` +
        (where.length ? ` WHERE ${where.join(' AND ')}` : '') +
        (order.length ? ` ORDER BY ${order.join(', ')}` : ''),
      columns.map(() => 1009),
    ),
    parameters,
    sorts: order.length > 0,
  };
}

/** postgres_fdw writes direction and place of NULLs always. */
function orderSql({ SortBy: sort }: RawNode): string {
  if (!sort || (sort.useOp !== undefined && (sort.useOp as readonly unknown[]).length > 0))
    throw new ClarusError('0A000', 'an order by an operator of its own is not delivered yet');
  const direction = sort.sortby_dir === 'SORTBY_DESC' ? 'DESC' : 'ASC';
  const nulls = sort.sortby_nulls === 'SORTBY_NULLS_FIRST' ? 'NULLS FIRST' : 'NULLS LAST';
  return `${deparseExpression(inCatalogue(sort.node as RawNode))} ${direction} ${nulls}`;
}
