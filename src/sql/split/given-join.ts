/**
 * A split SELECT that joins a few tables and reads nothing else: of each table the cloud chooses the rows that have
 * partners in the others, by those of the conditions that it answers, and the statement runs over them all.
 */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { nodesIn, numberIn } from '../analysed/node.js';
import { RTE } from '../analysed/query.js';
import { physical } from '../compilation.js';
import type { ReadBody, SplitBody } from '../execute/bodies.js';
import type { BoundParameters } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { deparse, deparseExpression } from '../raw/deparse.js';
import {
  child,
  list,
  paramRef,
  type RawFields,
  type RawNode,
  renumberAll,
  stringOf,
  text,
  visit,
} from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { Touch } from '../touch.js';
import { type Condition, condition, conjuncts } from './carrier-query.js';
import type { SplitServices } from './cloud-rows.js';
import { comparisonsOnly } from './comparisons.js';
import type { FetchPlan } from './delivery.js';
import type { GivenFetch } from './given-columns.js';
import { sharesParameters } from './given-table.js';
import { type GivenTables, givenTables } from './given-tables.js';
import { mayFailEarlier, type Reason, showsParameter, whyRefused } from './reasons.js';

/** Tables of which one statement may be given rows. */
const tablesMax = 6;

/** A fetch, and the parameters of the statement that it takes, in order. */
export interface JoinedFetch extends GivenFetch {
  readonly parameters: readonly number[];
}

/** A statement over the rows of the tables that it joins. */
export interface GivenJoin extends GivenTables {
  readonly fetches: readonly JoinedFetch[];
}

/** Does an analysed SELECT join tables, each once, and nothing else, to its end? */
export function joinsTables({ query, tables, views, functions }: Touch): boolean {
  if (!query || tables.length < 2 || tables.length > tablesMax || views || functions.length > 0) return false;
  const { fields } = query;
  const kinds = nodesIn(query, 'rtable').map(rte => numberIn(rte, 'rtekind'));
  const isWhole = fields.limitCount === null && fields.limitOffset === null;
  return (
    kinds.filter(kind => kind === RTE.relation).length === tables.length &&
    kinds.every(kind => kind === RTE.relation || kind === RTE.group || kind === RTE.join) &&
    fields.hasSubLinks === 'false' &&
    (isWhole || fields.sortClause !== null) &&
    [fields.cteList, fields.setOperations, fields.constraintDeps].every(field => field === null)
  );
}

/** What was found out for a statement, as long as it is kept. */
const known = new WeakMap<SplitBody, GivenJoin | undefined>();

/** @returns undefined: it needs carriers */
export async function givenJoin(
  body: SplitBody,
  session: SessionPort,
  services: SplitServices,
): Promise<GivenJoin | undefined> {
  if (!body.joins) return undefined;
  if (known.has(body)) return known.get(body);
  const found = await planJoin(body, session, services).catch(error => {
    if (error instanceof ClarusError && error.code === '0A000') return undefined;
    throw error;
  });
  if (!found?.fetches.some(({ fetch }) => fetch.once)) known.set(body, found);
  return found;
}

/** From now on the statement is run over carriers: its tables give more rows than can be given at once. */
export const joinNeedsCarriers = (body: SplitBody): void => void known.set(body, undefined);

/** A table as FROM names it. */
interface Range {
  readonly table: LogicalTable;
  readonly name: string;
}

async function planJoin(
  body: SplitBody,
  session: SessionPort,
  services: SplitServices,
): Promise<GivenJoin | undefined> {
  const { sql, parameterTypes } = body.statement;
  const select = parseOne(sql).SelectStmt;
  const tables = body.tables.flatMap(oid => session.catalog().tables.get(oid) ?? []);
  const joined = select && innerJoin(select, tables);
  if (!joined) return undefined;
  const given = await givenTables(body, session, services);
  if (!given || given.fetches.length !== joined.ranges.length) return undefined;
  const join = new Join(joined.ranges, parameterTypes, services);
  const { pushed, left } = await join.answered(select, joined.conditions);
  const fetches: JoinedFetch[] = [];
  for (const whole of given.fetches) {
    const range = joined.ranges.find(({ table }) => table === whole.table);
    const fetch = range && (await join.fetch(range, whole, pushed, left));
    if (!fetch) return undefined;
    fetches.push(fetch);
  }
  return { ...given, fetches };
}

/**
 * The tables of FROM, which are joined by INNER JOIN ... ON and commas, and all conditions of ON and WHERE.
 * @returns undefined: there is something else in it
 */
function innerJoin(
  select: RawFields,
  tables: readonly LogicalTable[],
): { readonly ranges: readonly Range[]; readonly conditions: readonly RawNode[] } | undefined {
  const ranges: Range[] = [];
  const conditions: RawNode[] = [];
  const take = (item: RawNode | undefined): boolean => {
    const { RangeVar: range, JoinExpr: join } = item ?? {};
    if (join) {
      const quals = child(join, 'quals');
      const isPlain = join.jointype === 'JOIN_INNER' && !join.isNatural && !join.alias;
      if (!isPlain || list(join, 'usingClause').length > 0) return false;
      if (!take(child(join, 'larg')) || !take(child(join, 'rarg'))) return false;
      if (quals) conditions.push(...conjuncts(quals));
      return true;
    }
    const table = range && tables.find(t => isNamed(t, range));
    const alias = range?.alias as RawFields | undefined;
    if (!table || list(alias ?? {}, 'colnames').length > 0) return false;
    ranges.push({ table, name: (alias && text(alias, 'aliasname')) ?? table.name });
    return true;
  };
  if (!list(select, 'fromClause').every(take)) return undefined;
  const where = child(select, 'whereClause');
  if (where) conditions.push(...conjuncts(where));
  return { ranges, conditions };
}

const isNamed = ({ schema, name }: LogicalTable, range: RawFields): boolean =>
  text(range, 'relname') === name && (text(range, 'schemaname') ?? schema) === schema;

/** A condition with the tables that it reads. */
interface Link extends Condition {
  readonly ranges: readonly Range[];
}

/** One that stays. */
interface LeftLink {
  readonly link: Link;
  readonly why: Reason;
}

const uncertain: Reason = { text: 'it is not certain which of the tables it reads' };

/** Plans what the cloud is asked for. */
class Join {
  constructor(
    private readonly ranges: readonly Range[],
    private readonly types: readonly number[],
    private readonly services: SplitServices,
  ) {}

  /** The conditions that the cloud answers, and may see; and the others. */
  async answered(
    select: RawFields,
    conditions: readonly RawNode[],
  ): Promise<{ readonly pushed: readonly Link[]; readonly left: readonly LeftLink[] }> {
    const { fromClause: _from, whereClause: _where, ...rest } = select;
    const pushed: Link[] = [];
    const left: LeftLink[] = [];
    for (const [i, tree] of conditions.entries()) {
      const link = this.#link(tree);
      if (!link) left.push({ link: { ...condition(tree), ranges: this.ranges }, why: uncertain });
      if (!link || link.ranges.length === 0) continue;
      const stays = (why: Reason): void => void left.push({ link, why });
      // PostgreSQL may come to it after one that is left: it may fail for rows that the other takes away
      const mayFail = pushed.length < i && !comparisonsOnly(tree);
      const others = [rest, ...conditions.filter(other => other !== tree)];
      if (mayFail) stays(mayFailEarlier);
      else if (mayBeOpen(link) && sharesParameters(link, others)) stays(showsParameter);
      else {
        const [first] = link.ranges;
        const columns = first!.table.columns.slice(0, 1).map(c => c.name);
        const why = await whyRefused(() => this.#plan(first!, columns, link.ranges, [link]));
        if (why) stays(why);
        else pushed.push(link);
      }
    }
    return { pushed, left };
  }

  /** @returns undefined: the cloud does not give them so */
  async fetch(
    range: Range,
    whole: GivenFetch,
    pushed: readonly Link[],
    left: readonly LeftLink[],
  ): Promise<JoinedFetch | undefined> {
    const ranges = connected(range, pushed);
    const links = pushed.filter(link => link.ranges.every(r => ranges.includes(r)));
    const found = await this.#plan(range, whole.columns, ranges, links);
    if (!found) return undefined;
    const { parameters } = found;
    const fetch = ranges.length > 1 ? withPartners(found.fetch) : found.fetch;
    // an unprotected table is asked for as it stands, which takes no parameters
    if (!fetch || (fetch.kind === 'pass' && parameters.length > 0)) return undefined;
    const own = left.filter(({ link }) => link.ranges.includes(range));
    return {
      ...whole,
      fetch,
      parameters,
      answered: links,
      left: own.map(({ link, why }) => ({ condition: link, why })),
    };
  }

  async #plan(
    of: Range,
    columns: readonly string[],
    ranges: readonly Range[],
    links: readonly Link[],
  ): Promise<{ readonly fetch: FetchPlan; readonly parameters: readonly number[] } | undefined> {
    const parameters = [...new Set(links.flatMap(link => link.parameters))];
    const own = (tree: RawNode): RawNode =>
      renumberAll(tree, number => paramRef(parameters.indexOf(number) + 1));
    const from = [of, ...ranges.filter(r => r !== of)].map(
      ({ table, name }) => `${quoteQualified(table.schema, table.name)} AS ${quoteName(name)}`,
    );
    const names = columns.map(c => `${quoteName(of.name)}.${quoteName(c)}`);
    const where = links.map(({ tree }) => `(${deparseExpression(own(tree))})`);
    const fetch = await this.services.plan(
      `SELECT ${names.join(', ')} FROM ${from.join(', ')}${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''}`,
      parameters.map(number => this.types[number - 1]!),
    );
    const isRead = fetch.kind === 'pass' || (fetch.kind === 'protected' && fetch.body.kind === 'read');
    return isRead ? { fetch, parameters } : undefined;
  }

  /** @returns undefined: it is not certain which tables it reads */
  #link(tree: RawNode): Link | undefined {
    const found = new Set<Range>();
    let certain = true;
    visit(tree, (kind, fields) => {
      if (kind !== 'ColumnRef') return;
      const [name, qualifier, ...more] = list(fields, 'fields').map(stringOf).reverse();
      const ranges = this.ranges.filter(
        r => (qualifier === undefined || r.name === qualifier) && r.table.columns.some(c => c.name === name),
      );
      if (ranges.length === 1 && more.length === 0) found.add(ranges[0]!);
      else certain = false;
    });
    return certain ? { ...condition(tree), ranges: [...found] } : undefined;
  }
}

/** May a condition show the cloud a parameter beside an unprotected column? */
const mayBeOpen = ({ columns, ranges }: Link): boolean =>
  ranges.some(({ table }) => table.columns.some(c => columns.has(c.name) && !c.protection));

/** A table with those to which conditions tie it, directly or not. */
function connected(range: Range, links: readonly Link[]): readonly Range[] {
  const found = new Set([range]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const { ranges } of links) if (ranges.some(r => found.has(r))) for (const r of ranges) found.add(r);
  }
  return [...found];
}

/**
 * A join of which only the first table is read, as a query of those of its rows that have partners: each once, however
 * many it has.
 */
function withPartners(fetch: FetchPlan): FetchPlan | undefined {
  const sql = fetch.kind === 'pass' ? fetch.sql : (fetch.body as ReadBody).cloud.statement.sql;
  const select = parseOne(sql).SelectStmt!;
  const [own, ...others] = list(select, 'fromClause');
  const where = child(select, 'whereClause');
  if (!own?.RangeVar || !where || others.some(item => !item.RangeVar)) return undefined;
  const exists = parseOne('SELECT WHERE EXISTS (SELECT FROM x WHERE true)').SelectStmt!;
  const subLink = (exists.whereClause as RawNode).SubLink!;
  const subselect = {
    SelectStmt: { ...(subLink.subselect as RawNode).SelectStmt!, fromClause: others, whereClause: where },
  };
  const partnered = deparse({
    SelectStmt: { ...select, fromClause: [own], whereClause: { SubLink: { ...subLink, subselect } } },
  });
  if (fetch.kind === 'pass') return { ...fetch, sql: partnered };
  const body = fetch.body as ReadBody;
  const { statement } = body.cloud;
  const cloud = { ...body.cloud, statement: physical(partnered, statement.parameterTypes) };
  const read: ReadBody = { ...body, cloud };
  return { ...fetch, body: read };
}

/** What a fetch is bound with. */
export const joinedParameters = (
  { parameters }: JoinedFetch,
  { values, formats }: BoundParameters,
): BoundParameters => ({
  values: parameters.map(number => values[number - 1]!),
  formats: parameters.map(number => formats[number - 1]!),
});
