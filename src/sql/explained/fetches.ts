/** What a split statement asks of the cloud for each of its tables, and what of it stays on the trusted side. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { physical } from '../compilation.js';
import { generatedColumns } from '../defaults.js';
import type { ReadBody, SplitBody } from '../execute/bodies.js';
import type { Bound } from '../execute/portal.js';
import type { ResidualPort } from '../ports.js';
import { list, stringOf, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { type CarrierQuery, type Condition, condition, readCarrierQuery } from '../split/carrier-query.js';
import { generatedReturned, identified, type SplitServices } from '../split/cloud-rows.js';
import { deliveryOf, type FetchPlan, leftBy, type ShowsItself } from '../split/delivery.js';
import { fetching } from '../split/fetching.js';
import type { GivenFetch } from '../split/given-columns.js';
import { givenJoin } from '../split/given-join.js';
import { givenTable } from '../split/given-table.js';
import { givenTables } from '../split/given-tables.js';
import { withoutTurns } from '../split/in-turn.js';
import type { LeftCondition } from '../split/reasons.js';
import { castNames } from '../split/typed-source.js';
import { readByWrite } from '../split/write/by-carrier.js';
import { carrierPlan } from './carrier-plan.js';
import { expressionIn, masked, unqualified } from './masked.js';
import type { Fact } from './report.js';

/** What finding it out takes. */
export interface FetchingServices {
  readonly bound: Bound;
  readonly residual: ResidualPort;
  readonly split: SplitServices;
}

/** What is asked of the cloud for rows of one table. */
interface TableFetch {
  readonly table: LogicalTable;
  readonly columns: readonly (string | undefined)[];
  readonly fetch: FetchPlan;
  readonly answered: readonly Condition[];
  readonly left: readonly LeftCondition[];
}

/**
 * Facts about the tables of a statement: one for each time that one is fetched.
 * @throws ClarusError of planning
 */
export async function fetchFacts(body: SplitBody, services: FetchingServices): Promise<readonly Fact[]> {
  if (body.tables.length === 0) return [];
  const { bound, residual, split } = services;
  const { session } = bound;
  const one = await givenTable(body, bound, split);
  if (one) return [factOf(one, services)];
  if (residual.changesSchema) {
    const all = await givenTables(body, session, split);
    return (all?.fetches ?? []).map(fetch => factOf(fetch, services));
  }
  const join = body.writes ? undefined : await givenJoin(body, session, split);
  return join ? join.fetches.map(fetch => factOf(fetch, services)) : ofCarriers(body, services);
}

/** PostgreSQL's plan says what each carrier is asked for. */
async function ofCarriers(body: SplitBody, services: FetchingServices): Promise<readonly Fact[]> {
  const { bound, residual, split } = services;
  if (bound.bound.values.length < bound.plan.shape.parameterTypes.length)
    return [{ label: 'Tables', value: 'what each is asked for is decided when the parameters have values' }];
  const explain: SplitBody = {
    ...body,
    statement: physical(
      `EXPLAIN (VERBOSE, COSTS off, FORMAT json) ${body.statement.sql}`,
      body.statement.parameterTypes,
    ),
    oneTable: false,
    joins: false,
    writes: undefined,
  };
  const told = await carrierPlan(explain, bound, residual, split);
  const facts: Fact[] = [];
  const joins: Fact[] = [];
  for (const node of nodesOf(JSON.parse(told.join('\n')))) {
    const asked = node['Remote SQL'];
    const read = typeof asked === 'string' ? await readOf(asked, body, services) : undefined;
    if (read) facts.push(factOf(await deliveredBy(read, node.Filter, body, services), services));
    for (const property of ['Hash Cond', 'Merge Cond', 'Join Filter']) {
      const tied = node[property];
      if (typeof tied === 'string') joins.push({ label: 'Joins', value: maskedText(withoutTurns(tied)) });
    }
  }
  return [...facts, ...joins];
}

type PlanNode = Readonly<Record<string, unknown>>;

/** The nodes of a plan in JSON, the upper ones first. */
function nodesOf(told: unknown): readonly PlanNode[] {
  if (Array.isArray(told)) return told.flatMap(nodesOf);
  if (told === null || typeof told !== 'object') return [];
  const node = told as PlanNode;
  return [node, ...nodesOf(node.Plan), ...nodesOf(node.Plans)];
}

/** What a carrier is asked for. */
interface Asked {
  readonly sql: string;
  readonly query: CarrierQuery;
  readonly table: LogicalTable;
}

/** @returns undefined: rows are written that have been read before */
async function readOf(
  sql: string,
  { writes }: SplitBody,
  { bound: { session } }: FetchingServices,
): Promise<Asked | undefined> {
  const tableOf = (oid: number): LogicalTable => {
    const table = session.catalog().tables.get(oid);
    if (!table) throw new Error('a plan reads a carrier of no table');
    return table;
  };
  if (!sql.startsWith('SELECT')) {
    const query = await readByWrite(sql, {
      table: tableOf,
      castNames: columns => castNames(columns, session),
      computed: async (table, written, returning) =>
        generatedReturned(await generatedColumns(table, session), table, written, returning, session),
    });
    return query && { sql, query, table: tableOf(query.table) };
  }
  const query = readCarrierQuery(sql);
  const table = tableOf(query.table);
  if (!query.columns.includes('ctid')) return { sql, query, table };
  return {
    sql,
    query: { ...query, columns: identified(query, table, writes?.returns ?? false) },
    table,
  };
}

/** @param filter what PostgreSQL itself looks at in the rows of the carrier */
async function deliveredBy(
  { sql, query, table }: Asked,
  filter: unknown,
  { shown, apart }: SplitBody,
  { bound, split: { plan } }: FetchingServices,
): Promise<TableFetch> {
  const session = fetching(bound.session);
  const shows: ShowsItself = { shown, apart, bound: bound.bound };
  const delivery = await deliveryOf(sql, query, table, session, plan, shows);
  const left = await leftBy(delivery, query, table, session, plan, shows);
  const own = typeof filter === 'string' ? expressionIn(withoutTurns(filter)) : undefined;
  return {
    table,
    columns: delivery.columns,
    fetch: delivery.fetch,
    answered: delivery.answered.map(place => query.conditions[place]!),
    left: own ? [...left, { condition: condition(unqualified(own)), why: notSentOn }] : left,
  };
}

/** is_foreign_expr in deparse.c of postgres_fdw */
const notSentOn = {
  text: 'it calls a function of users or an extension, depends on a setting, a collation or a subquery, or may fail for rows that another takes away',
};

function maskedText(text: string): string {
  const tree = expressionIn(text);
  // of a subplan: there are no constants but in quotes and numbers
  return tree ? masked(tree) : text.replace(/'(?:[^']|'')*'(?:::[\w." ]+)?|(?<![\w$])\d[\w.]*/g, '?');
}

function factOf(
  { table, columns, fetch, answered, left }: TableFetch | GivenFetch,
  { bound: { session } }: FetchingServices,
): Fact {
  const sql = fetch.kind === 'pass' ? fetch.sql : (fetch.body as ReadBody).cloud.statement.sql;
  const tables = [...session.catalog().tables.values()];
  const used = columnsOfWhere(sql);
  const names = columns.flatMap(name => name ?? []);
  return {
    label: 'Table',
    value: `${table.schema}.${table.name}`,
    facts: [
      { label: 'Rows', value: answered.length > 0 ? 'those that meet what the cloud answers' : 'all' },
      { label: 'Columns', value: names },
      ...answered.map(
        (each): Fact => ({
          label: 'Cloud Answers',
          value: masked(each.tree),
          facts: [{ label: 'By', value: answeredBy(each, used, table, tables) }],
        }),
      ),
      ...left.map(
        ({ condition: { tree }, why }): Fact => ({
          label: 'Stays',
          value: masked(tree),
          facts: [
            { label: 'Because', value: why.text },
            ...(why.policy === undefined ? [] : [{ label: 'Policy', value: why.policy }]),
            ...(why.hint === undefined ? [] : [{ label: 'Hint', value: why.hint }]),
          ],
        }),
      ),
      { label: 'Cloud', value: sql },
    ],
  };
}

/** Names of the columns by which a statement of the cloud chooses rows. */
function columnsOfWhere(sql: string): ReadonlySet<string> {
  const found = new Set<string>();
  visit(parseOne(sql).SelectStmt?.whereClause, (kind, fields) => {
    if (kind === 'ColumnRef') found.add(stringOf(list(fields, 'fields').at(-1)));
  });
  return found;
}

/** Encodings of the columns that a condition reads, of its own table or of one that it is tied to. */
function answeredBy(
  { columns }: Condition,
  used: ReadonlySet<string>,
  table: LogicalTable,
  tables: readonly LogicalTable[],
): readonly string[] {
  const told: string[] = [];
  for (const name of columns) {
    const owners = table.columns.some(column => column.name === name) ? [table] : tables;
    for (const { columns: all } of owners) {
      const column = all.find(each => each.name === name);
      if (!column) continue;
      const forms = (column.protection?.encodings ?? []).filter(({ encoded }) =>
        Object.values(encoded.columns).some(role => used.has(role)),
      );
      if (!column.protection && used.has(name)) told.push(`"${name}" in the clear`);
      told.push(...forms.map(({ kind }) => `${kind} of "${name}"`));
    }
  }
  return [...new Set(told)];
}
