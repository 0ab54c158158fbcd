/**
 * How the rows of a carrier's query are had: a statement that the cloud answers, with the conditions that its encodings
 * answer exactly, and, where that leaves some, a statement that finishes each batch on the trusted side.
 */
import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { typeOids } from '../../wire/types.js';
import { physical } from '../compilation.js';
import { collect } from '../execute/collect.js';
import { FIRST_USER_OID } from '../functions.js';
import type { BoundParameters, PhysicalStatement, Plan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { deparseExpression } from '../raw/deparse.js';
import { list, paramRef, type RawFields, type RawNode, renumberAll, stringOf } from '../raw/node.js';
import { readingOf } from '../settings.js';
import { type CarrierQuery, type Condition, columnsIn, condition } from './carrier-query.js';
import { comparisonsOnly } from './comparisons.js';
import { printingExactly, rounds } from './exact.js';
import { type LeftCondition, ofNoColumn, type Reason, whyRefused } from './reasons.js';
import { type Seeds, sampleClause } from './sample-condition.js';
import { comparisonAsked, isShown, type Shown } from './shown.js';

/** A plan that rows come by. */
export type FetchPlan = Extract<Plan, { kind: 'pass' | 'protected' }>;

/** How the rows of a query come. */
export interface Delivery {
  readonly fetch: FetchPlan;
  /** what fetches, for telling fetches apart */
  readonly sql: string;
  /** columns that are fetched; undefined stands for NULL */
  readonly columns: readonly (string | undefined)[];
  /** places of the query's conditions that the cloud answers */
  readonly answered: readonly number[];
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
export type PlanStatement = (sql: string, parameterTypes?: readonly number[]) => Promise<Plan>;

/** What the statement that reads shows of itself. */
export interface ShowsItself {
  readonly shown: readonly Shown[];
  /** its conditions keep protected and unprotected columns apart */
  readonly apart: boolean;
  readonly bound: BoundParameters;
  /** absent: rows are fetched once */
  readonly seeds?: Seeds;
  /** policies keep rows from it */
  readonly secured?: boolean;
}

/** What was found out for a catalogue, as long as it is in force. */
interface Known {
  readonly comparisons: Map<string, Shown | undefined>;
  readonly deliveries: Map<string, Delivery>;
}

const knownMax = 1_000;
const known = new WeakMap<Catalog, Known>();

function knownFor(catalog: Catalog): Known {
  const found = known.get(catalog) ?? { comparisons: new Map(), deliveries: new Map() };
  known.set(catalog, found);
  return found;
}

/** Texts longer than that, of lists of values for instance, are not kept. */
const keptTextMax = 8 * 1024;

function remember<T>(map: Map<string, T>, key: string, value: T): T {
  if (key.length > keptTextMax) return value;
  map.set(key, value);
  if (map.size > knownMax) map.delete(map.keys().next().value!);
  return value;
}

/** What the meaning of a text depends on beside the catalogue. */
const circumstances = ({ user, settings }: SessionPort): string =>
  [user, settings.searchPath, readingOf(settings), rounds(settings)].join('\0');

/**
 * How the rows of a query come.
 * @param sql the query's text
 * @param plan the session's planning
 * @throws ClarusError of planning
 */
export async function deliveryOf(
  sql: string,
  query: CarrierQuery,
  table: LogicalTable,
  session: SessionPort,
  plan: PlanStatement,
  statement: ShowsItself,
): Promise<Delivery> {
  const catalog = session.catalog();
  const seen: Condition[] = [];
  for (const condition of query.conditions)
    if (!(await whyHidden(condition, table, session, statement))) seen.push(condition);
  const numbers = seen.map(condition => query.conditions.indexOf(condition));
  // more columns may be wanted than the text asks for
  const sample = query.sample ? sampleClause(query.sample, statement.seeds) : '';
  const key = [circumstances(session), sql, sample, query.columns.join(), numbers.join()].join('\0');
  const { deliveries } = knownFor(catalog);
  const found = deliveries.get(key);
  if (found) return found;
  const delivery = await planDelivery(query, sample, seen, table, session, plan);
  // another execution may want another sample
  return delivery.fetch.once || sample !== '' ? delivery : remember(deliveries, key, delivery);
}

async function planDelivery(
  query: CarrierQuery,
  sample: string,
  seen: readonly Condition[],
  table: LogicalTable,
  session: SessionPort,
  plan: PlanStatement,
): Promise<Delivery> {
  const deliver = async (pushed: readonly Condition[]): Promise<Delivery> => {
    const left = query.conditions.filter(c => !pushed.includes(c));
    const sorted = left.length === 0 && query.order.length > 0 && cloudSorts(query, table);
    const computes = (query.expressions?.length ?? 0) > 0;
    const finishing = left.length > 0 || computes || (query.order.length > 0 && !sorted);
    const columns = finishing ? neededColumns(query, left) : query.columns;
    const sql = fetchSql(columns, table, pushed, sample) + (sorted ? orderBy(query.order) : '');
    const fetch = await plan(sql);
    if (fetch.kind !== 'pass' && fetch.kind !== 'protected')
      throw new Error('rows of a table come from no cloud');
    if (fetch.kind === 'protected' && fetch.body.kind !== 'read')
      throw new ClarusError('0A000', 'the cloud cannot be asked for the rows in this way');
    return {
      fetch,
      sql,
      columns,
      answered: pushed.map(condition => query.conditions.indexOf(condition)),
      ...(finishing ? { finish: await finishOf(query, named(columns), left, table, session) } : {}),
    };
  };
  try {
    return await deliver(seen);
  } catch (error) {
    if (!isUnanswered(error) || seen.length === 0) throw error;
    return deliver(seen.length === 1 ? [] : await answered(seen, table, plan));
  }
}

const neededColumns = (query: CarrierQuery, left: readonly Condition[]): readonly string[] => [
  ...new Set([
    ...named(query.columns),
    ...left.flatMap(c => [...c.columns]),
    ...columnsIn(query.order.map(o => o.tree)),
    ...columnsIn(query.expressions ?? []),
  ]),
];

const isUnanswered = (error: unknown): boolean => error instanceof ClarusError && error.code === '0A000';

/** Types that every server sorts alike, whatever its collations. */
const sortedAlike: ReadonlySet<number> = new Set([
  typeOids.int2,
  typeOids.int4,
  typeOids.int8,
  typeOids.numeric,
  typeOids.float4,
  typeOids.float8,
  typeOids.bool,
  typeOids.date,
  typeOids.timestamp,
  typeOids.timestamptz,
  typeOids.uuid,
]);

/** Can the cloud give the order: of unprotected columns alone? */
const cloudSorts = ({ order }: CarrierQuery, table: LogicalTable): boolean =>
  order.every(({ tree }) => {
    const name = tree.ColumnRef && [...columnsIn(tree)][0];
    const column = table.columns.find(c => c.name === name);
    return column !== undefined && !column.protection && sortedAlike.has(column.type.oid);
  });

const orderBy = (order: CarrierQuery['order']): string =>
  order.length === 0
    ? ''
    : ` ORDER BY ${order.map(({ tree, how }) => `${deparseExpression(tree)} ${how}`).join(', ')}`;

const named = (columns: readonly (string | undefined)[]): string[] => columns.filter(c => c !== undefined);

/**
 * Why the cloud may not see a condition. A parameter may be a value of any column, and a constant too, by what PostgreSQL
 * concludes from equalities: it goes to protected columns only, as an encoding, or where the statement itself shows it.
 * @returns undefined: it may
 */
async function whyHidden(
  { tree, columns, valued, parameters }: Condition,
  table: LogicalTable,
  session: SessionPort,
  { shown, apart, bound }: ShowsItself,
): Promise<Reason | undefined> {
  if (parameters.length > 0) return ofOtherRows;
  if (columns.size === 0) return ofNoColumn;
  if (tree.NullTest && !valued) return undefined;
  const isOpen = (name: string): boolean =>
    table.columns.find(c => c.name === name)?.protection === undefined;
  if (![...columns].some(isOpen)) return undefined;
  if (![...columns].every(isOpen)) return ofBothKinds;
  if (apart && isPlain(tree, columns, table)) return undefined;
  if (!comparisonsOnly(tree)) return computes;
  if (!valued || shown.length === 0) return concluded;
  if (!comparesAlike(tree, columns, table)) return sortsOtherwise;
  const sql = fetchSql([undefined], table, [{ tree, columns, valued, parameters }]);
  const catalog = session.catalog();
  const { comparisons } = knownFor(catalog);
  const key = `${circumstances(session)}\0${sql}`;
  const asked = comparisons.has(key)
    ? comparisons.get(key)
    : remember(comparisons, key, comparisonAsked(await session.analyse(sql, []), catalog));
  return isShown(asked, tree, shown, bound) ? undefined : concluded;
}

/**
 * Why those of a query's conditions stay that a delivery does not have the cloud answer.
 * @throws ClarusError of planning
 */
export async function leftBy(
  { answered: places }: Delivery,
  query: CarrierQuery,
  table: LogicalTable,
  session: SessionPort,
  plan: PlanStatement,
  statement: ShowsItself,
): Promise<readonly LeftCondition[]> {
  const left: LeftCondition[] = [];
  for (const [i, condition] of query.conditions.entries()) {
    if (places.includes(i)) continue;
    const why =
      (await whyHidden(condition, table, session, statement)) ??
      (await whyRefused(() => plan(fetchSql([undefined], table, [condition]))));
    left.push({ condition, why: why ?? notTogether });
  }
  return left;
}

const ofOtherRows: Reason = {
  text: 'it compares with a value that other rows give, and values of rows go to no cloud',
};
const ofBothKinds: Reason = { text: 'it compares protected with unprotected columns' };
const concluded: Reason = {
  text: 'what it compares with may be a value of a protected column, by what the statement ties together',
  hint: 'Compare the unprotected column with a constant or parameter of its own.',
};
const computes: Reason = {
  text: 'it does more than compare, which may fail or come out otherwise in the cloud',
};
const sortsOtherwise: Reason = { text: 'it may come out otherwise under a collation of the cloud' };
const notTogether: Reason = { text: 'the cloud answers it alone, but not together with the others' };

/** Does a condition hold nothing but comparisons of columns with constants, which come out alike on every server? */
function isPlain(tree: RawNode, columns: ReadonlySet<string>, table: LogicalTable): boolean {
  const comparisons = comparisonsOnly(tree);
  if (!comparisons) return false;
  return [...columns].every(name => {
    const column = table.columns.find(c => c.name === name);
    return column !== undefined && (comparisons.equality || sortedAlike.has(column.type.oid));
  });
}

/** Does a comparison come out alike on every server: is it one for equality, or of a type without collations? */
function comparesAlike(tree: RawNode, columns: ReadonlySet<string>, table: LogicalTable): boolean {
  const [operator] = list((tree.A_Expr ?? {}) as RawFields, 'name');
  if (stringOf(operator) === '=') return true;
  return [...columns].every(name => {
    const column = table.columns.find(c => c.name === name);
    return column !== undefined && sortedAlike.has(column.type.oid);
  });
}

/** Those of the conditions that the cloud answers exactly. */
async function answered(
  seen: readonly Condition[],
  table: LogicalTable,
  plan: PlanStatement,
): Promise<readonly Condition[]> {
  const found: Condition[] = [];
  for (const condition of seen)
    try {
      await plan(fetchSql([undefined], table, [condition]));
      found.push(condition);
    } catch (error) {
      if (!isUnanswered(error)) throw error;
    }
  return found;
}

/** The statement that fetches; those that inherit from the table have carriers of their own. @param sample TABLESAMPLE */
function fetchSql(
  columns: readonly (string | undefined)[],
  { schema, name }: LogicalTable,
  conditions: readonly Condition[],
  sample = '',
): string {
  const where = conditions.map(({ tree }) => `(${deparseExpression(tree)})`);
  const list = columns.map(c => (c === undefined ? 'NULL' : quoteName(c))).join(', ');
  return `SELECT ${list} FROM ONLY ${quoteQualified(schema, name)}${sample}${where.length ? ` WHERE ${where.join(' AND ')}` : ''}`;
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

/** Types of the columns of a table by name, with their collations where those are not the types' own. */
export async function columnTypes(
  table: Pick<LogicalTable, 'oid'>,
  session: SessionPort,
): Promise<ReadonlyMap<string, string>> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const rows = await collect(session.trusted, typesQuery, [oid], [1], [0]);
  return new Map([
    ['ctid', 'pg_catalog.tid'],
    ['xmin', 'pg_catalog.xid'],
    ...rows
      .map(row => row.map(field => field && Buffer.from(field).toString()) as [string, string, string | null])
      .map(([name, type, collation]): [string, string] => [
        name,
        collation === null ? type : `${type} COLLATE ${collation}`,
      ]),
  ]);
}

async function finishOf(
  query: CarrierQuery,
  columns: readonly string[],
  left: readonly Condition[],
  table: LogicalTable,
  session: SessionPort,
): Promise<Finish> {
  const types = await columnTypes(table, session);
  const expressions = query.expressions ?? [];
  const computed = [...expressions, ...query.order.map(({ tree }) => tree)].map(condition);
  const parameters = [...new Set([...left, ...computed].flatMap(c => c.parameters))];
  const own = (tree: RawNode): RawNode => renumbered(tree, parameters, columns.length);
  const typed = columns.map((name, i) => `u.c${i}::${types.get(name)} AS ${quoteName(name)}`);
  const arrays = columns.map((_, i) => `pg_catalog.unnest($${i + 1}::pg_catalog.text[])`);
  const names = columns.map((_, i) => `c${i}`);
  const where = left.map(({ tree }) => `(${deparseExpression(own(tree))})`);
  const targets = [
    ...query.columns.map(c => (c === undefined ? 'NULL' : quoteName(c))),
    ...expressions.map(tree => deparseExpression(own(tree))),
  ];
  const outputs = [
    ...query.columns.map(name => table.columns.find(c => c.name === name)?.type.oid ?? typeOids.text),
    ...expressions.map(() => FIRST_USER_OID),
  ];
  const order = orderBy(query.order.map(({ tree, how }) => ({ tree: own(tree), how })));
  return {
    statement: printingExactly(
      physical(
        `SELECT ${targets.join(', ')} FROM (SELECT ${typed.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${names.join(', ')})) AS r` +
          (where.length ? ` WHERE ${where.join(' AND ')}` : '') +
          order,
        columns.map(() => 1009),
      ),
      outputs,
      session.settings,
    ),
    parameters,
    sorts: order !== '',
  };
}
