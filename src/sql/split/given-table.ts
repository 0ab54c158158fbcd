/**
 * A split statement over one table without subqueries needs no carrier: the cloud chooses the rows by those of its
 * conditions that it answers, in one query, and the trusted PostgreSQL runs the rest of the statement over them.
 */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { typeOids } from '../../wire/types.js';
import { type Node, nodeIn, nodesIn, numberIn, readNodes } from '../analysed/node.js';
import { RTE } from '../analysed/query.js';
import { physical } from '../compilation.js';
import { generatedColumns } from '../defaults.js';
import type { ReadBody, RowLock, SplitBody } from '../execute/bodies.js';
import type { Bound } from '../execute/portal.js';
import { FIRST_USER_OID } from '../functions.js';
import type { BoundParameters, PhysicalStatement } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { deparse, deparseExpression } from '../raw/deparse.js';
import {
  child,
  columnRef,
  fieldsOf,
  list,
  paramRef,
  type RawFields,
  type RawNode,
  renumberAll,
  stringOf,
  target,
  text,
  visit,
} from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { Touch } from '../touch.js';
import { type Condition, columnsIn, condition, conjuncts } from './carrier-query.js';
import type { SplitServices } from './cloud-rows.js';
import { comparisonsOnly } from './comparisons.js';
import { columnTypes, type FetchPlan } from './delivery.js';
import { type Evaluated, evaluatedHere, selectList } from './evaluated.js';
import { printingExactly } from './exact.js';
import { type GivenFetch, travelOf } from './given-columns.js';
import { type LeftCondition, mayFailEarlier, ofNoColumn, showsParameter, whyRefused } from './reasons.js';
import { assignedTo, castNames } from './typed-source.js';
import { lockStrength } from './write/key-change.js';

/** A statement as one over rows that are given. */
export interface GivenTable extends GivenFetch {
  readonly fetch: Extract<FetchPlan, { kind: 'protected' }>;
  /** parameters of the statement that the fetch takes, in order */
  readonly parameters: readonly number[];
  /**
   * UPDATE: the columns that it assigns; each row of the statement is the place of a row, and their new values. Empty: DELETE,
   * of whose rows these are the places
   */
  readonly assigned: readonly string[];
  /** how the values of these are worked out here; undefined: the statement says them */
  readonly evaluated: readonly Evaluated[] | undefined;
  /** its parameters are the statement's own, then an array a column */
  readonly statement: PhysicalStatement;
}

/** Does an analysed SELECT, or UPDATE or DELETE without RETURNING, read one table and nothing else, to its end? */
export function readsOneTable({ query, tables, views, functions }: Touch): boolean {
  if (!query || tables.length !== 1 || views || functions.length > 0) return false;
  // rows of several tables, though none of them may be there
  if (tables[0]!.partitioned) return false;
  const { fields } = query;
  const kinds = nodesIn(query, 'rtable').map(rte => numberIn(rte, 'rtekind'));
  return (
    kinds.filter(kind => kind === RTE.relation).length === 1 &&
    kinds.every(kind => kind === RTE.relation || kind === RTE.group) &&
    fromList(query).length === 1 &&
    fields.hasSubLinks === 'false' &&
    // a grouping that depends on the table's key is none over its rows alone
    [
      fields.cteList,
      fields.setOperations,
      fields.limitCount,
      fields.limitOffset,
      fields.constraintDeps,
      fields.returningList,
    ].every(field => field === null)
  );
}

const fromList = (query: Node): readonly Node[] => {
  const tree = nodeIn(query, 'jointree');
  return tree ? nodesIn(tree, 'fromlist') : [];
};

/** What was found out for a statement, as long as it is kept. */
const known = new WeakMap<SplitBody, GivenTable | undefined>();

/** @returns undefined: it needs a carrier */
export async function givenTable(
  body: SplitBody,
  { plan, session }: Bound,
  services: SplitServices,
): Promise<GivenTable | undefined> {
  if (!body.oneTable) return undefined;
  if (known.has(body)) return known.get(body);
  const planned = body.writes
    ? planGivenWrite(body, session, services)
    : planGivenSelect(body, plan.shape.columns ?? [], session, services);
  const found = await planned.catch(error => {
    if (error instanceof ClarusError && error.code === '0A000') return undefined;
    throw error;
  });
  if (!found?.fetch.once) known.set(body, found);
  return found;
}

/** From now on the statement is run over a carrier: its table gives more rows than can be given at once. */
export const needsCarrier = (body: SplitBody): void => void known.set(body, undefined);

async function planGivenSelect(
  body: SplitBody,
  outputs: readonly { readonly name: string; readonly typeOid: number; readonly typeModifier: number }[],
  session: SessionPort,
  services: SplitServices,
): Promise<GivenTable | undefined> {
  const table = session.catalog().tables.get(body.tables[0]!);
  const select = parseOne(body.statement.sql).SelectStmt;
  if (!select || table?.state !== 'protected') return undefined;
  const given = await planGiven(select, table, body.statement.parameterTypes, undefined, session, services);
  if (!given) return undefined;
  const { shape } = await session.analyse(given.statement.sql, given.statement.parameterTypes);
  const columns = shape.columns ?? [];
  const same =
    columns.length === outputs.length &&
    columns.every(
      (column, i) =>
        column.name === outputs[i]!.name &&
        column.typeOid === outputs[i]!.typeOid &&
        column.typeModifier === outputs[i]!.typeModifier,
    );
  return same ? given : undefined;
}

/** An UPDATE or DELETE as a SELECT of the places of its rows, and of their new values. */
async function planGivenWrite(
  body: SplitBody,
  session: SessionPort,
  services: SplitServices,
): Promise<GivenTable | undefined> {
  const table = session.catalog().tables.get(body.tables[0]!);
  const { UpdateStmt: update, DeleteStmt: remove } = parseOne(body.statement.sql);
  const write = update ?? remove;
  if (!write || table?.state !== 'protected') return undefined;
  const assigned = update ? await assignmentsOf(update, table, session) : [];
  if (!assigned) return undefined;
  const select: RawFields = {
    targetList: [target(columnRef('ctid')), ...assigned.map(({ value }) => target(value))],
    fromClause: [{ RangeVar: write.relation as RawFields }],
    ...(write.whereClause === undefined ? {} : { whereClause: write.whereClause }),
    limitOption: 'LIMIT_OPTION_DEFAULT',
    op: 'SETOP_NONE',
  };
  const types = body.statement.parameterTypes;
  const columns = assigned.map(({ column }) => column.name);
  const lock = update ? lockStrength({ table, columns }) : 'UPDATE';
  const given = await planGiven(select, table, types, lock, session, services);
  if (!given) return undefined;
  const outputs = [typeOids.text, ...assigned.map(({ column }) => column.type.oid)];
  const statement = printingExactly(given.statement, outputs, session.settings);
  return { ...given, assigned: columns, evaluated: await evaluatedOf(given, body, session), statement };
}

/** @returns the columns that an UPDATE assigns, and what to; undefined: by more than an expression each */
async function assignmentsOf(
  update: RawFields,
  table: LogicalTable,
  session: SessionPort,
): Promise<
  readonly { readonly column: LogicalTable['columns'][number]; readonly value: RawNode }[] | undefined
> {
  const targets = list(update, 'targetList').map(fieldsOf);
  const columns = targets.flatMap(t => table.columns.filter(c => c.name === text(t, 'name')));
  const isPlain = targets.every(t => {
    const value = child(t, 'val');
    return list(t, 'indirection').length === 0 && value && !value.MultiAssignRef && !value.SetToDefault;
  });
  if (!isPlain || columns.length !== targets.length) return undefined;
  if (columns.some(c => c.type.oid >= FIRST_USER_OID)) return undefined;
  if ((await generatedColumns(table, session)).size > 0) return undefined;
  const casts = await castNames(columns, session);
  return columns.map((column, i) => ({
    column,
    value: assignedTo(child(targets[i]!, 'val')!, casts[i]!, column),
  }));
}

/**
 * The new values of an UPDATE that are worked out here, none of a DELETE. Each parameter must be one that is read for that, or that the
 * cloud gets: somebody has to say what is wrong with it.
 */
async function evaluatedOf(
  { locks, statement, parameters }: GivenTable,
  { asked, statement: { parameterTypes } }: SplitBody,
  session: SessionPort,
): Promise<readonly Evaluated[] | undefined> {
  if (!locks || asked.length > 0) return undefined;
  const { parsed } = await session.analyse(statement.sql, statement.parameterTypes);
  const [query] = parsed.flatMap(readNodes);
  const [, ...values] = query ? selectList(query) : [];
  const found = values.map(value => evaluatedHere(value, parameterTypes.length));
  if (!found.every(value => value !== undefined)) return undefined;
  const read = new Set([
    ...parameters,
    ...found.flatMap(value => value.parameters.map(({ place }) => place + 1)),
  ]);
  return read.size === parameterTypes.length ? found : undefined;
}

/** @param lock the statement writes its rows, which it locks so; undefined: it reads them */
async function planGiven(
  select: RawFields,
  table: LogicalTable,
  types: readonly number[],
  lock: RowLock['strength'] | undefined,
  session: SessionPort,
  { plan }: SplitServices,
): Promise<GivenTable | undefined> {
  const range = list(select, 'fromClause')[0]?.RangeVar;
  if (!range) return undefined;
  const alias = range.alias as RawFields | undefined;
  if (list(alias ?? {}, 'colnames').length > 0) return undefined;
  const name = (alias && text(alias, 'aliasname')) ?? table.name;
  if (meansTable(select, [name, table.name])) return undefined;
  const where = child(select, 'whereClause');
  const conditions = where === undefined ? [] : conjuncts(where).map(condition);
  const from = `${quoteQualified(table.schema, table.name)} AS ${quoteName(name)}`;
  const planFetch = async (columns: readonly string[], pushed: readonly Condition[], locking = '') => {
    const parameters = [...new Set(pushed.flatMap(c => c.parameters))];
    const own = (tree: RawNode): RawNode =>
      renumberAll(tree, number => paramRef(parameters.indexOf(number) + 1));
    const wheres = pushed.map(({ tree }) => `(${deparseExpression(own(tree))})`);
    const sql = `SELECT ${columns.map(c => `${quoteName(name)}.${quoteName(c)}`).join(', ')} FROM ${from}${wheres.length > 0 ? ` WHERE ${wheres.join(' AND ')}` : ''}${locking}`;
    const fetch = await plan(
      sql,
      parameters.map(number => types[number - 1]!),
    );
    return fetch.kind === 'protected' && fetch.body.kind === 'read' ? { fetch, parameters } : undefined;
  };
  const all = table.columns.map(c => c.name);
  const { whereClause: _where, ...rest } = select;
  const pushed: Condition[] = [];
  const leftOver: LeftCondition[] = [];
  for (const each of conditions) {
    const others = conditions.filter(c => !isOpen(c, table)).map(c => c.tree);
    const why =
      each.columns.size === 0
        ? ofNoColumn
        : leftOver.length > 0 && !comparisonsOnly(each.tree)
          ? mayFailEarlier
          : isOpen(each, table) && sharesParameters(each, [rest, ...others])
            ? showsParameter
            : await whyRefused(() => planFetch(all.slice(0, 1), [each]));
    if (why) leftOver.push({ condition: each, why });
    else pushed.push(each);
  }
  const left = leftOver.map(({ condition }) => condition);
  const needed = columnsNeeded([rest, left.map(c => c.tree)], all);
  // PostgreSQL locks the rows that meet the conditions: here too, where the cloud knows all of those
  const locks = lock !== undefined && left.length === 0;
  const system = lock === undefined ? [] : locks ? ['ctid'] : ['ctid', 'xmin'];
  const columns = [...system, ...(locks ? withCells(needed, table) : needed)];
  if (columns.length === 0) return undefined;
  const found = await planFetch(columns, pushed, locks ? ` FOR ${lock}` : '');
  const planned = found && locks ? { ...found, fetch: withRowIds(found.fetch) } : found;
  if (!planned) return undefined;
  const columnType = await columnTypes(table, session);
  const travels = columns.map(name => travelOf(typeOf(name, table)));
  const typed = columns.map((c, i) => `u.c${i}::${columnType.get(c)} AS ${quoteName(c)}`);
  const arrays = columns.map((_, i) => `pg_catalog.unnest($${types.length + i + 1})`);
  const places = columns.map((_, i) => `c${i}`);
  const rows = parseOne(
    `SELECT FROM (SELECT ${typed.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${places.join(', ')})) AS ${quoteName(name)}${left.length > 0 ? ` WHERE ${left.map(({ tree }) => `(${deparseExpression(tree)})`).join(' AND ')}` : ''}`,
  ).SelectStmt!;
  const { fromClause, whereClause } = rows;
  const over = deparse({
    SelectStmt: { ...rest, fromClause, ...(whereClause === undefined ? {} : { whereClause }) },
  });
  const overTypes = [...types, ...travels.map(({ array }) => array)];
  return {
    table,
    ...planned,
    columns,
    travels,
    assigned: [],
    evaluated: undefined,
    locks,
    answered: pushed,
    left: leftOver,
    statement: physical(over, overTypes),
  };
}

const systemTypes: Readonly<Record<string, number>> = { ctid: 27, xmin: 28 };

const typeOf = (name: string, { columns }: LogicalTable): number =>
  columns.find(c => c.name === name)?.type.oid ?? systemTypes[name]!;

/** Columns, of which one is protected: it comes with the ids of the rows. */
function withCells(names: readonly string[], { columns }: LogicalTable): readonly string[] {
  const isProtected = (name: string): boolean => columns.find(c => c.name === name)?.protection !== undefined;
  if (names.some(isProtected)) return names;
  const cell = columns.find(c => c.protection);
  return cell ? [...names, cell.name] : names;
}

/** A fetch that gives the ids of its rows as well, as a last column in binary form. */
function withRowIds(fetch: GivenTable['fetch']): GivenTable['fetch'] {
  const body = fetch.body as ReadBody;
  const { outputs } = body.answering;
  const cell = outputs.find(output => output.kind === 'cell');
  if (cell?.kind !== 'cell') throw new Error('rows that are locked come without their ids');
  const answering = { ...body.answering, outputs: [...outputs, { kind: 'open', place: cell.row } as const] };
  const withIds: ReadBody = { ...body, answering };
  return { ...fetch, body: withIds };
}

/** Does a condition read unprotected columns alone? */
const isOpen = ({ columns }: Condition, table: LogicalTable): boolean =>
  table.columns.every(c => !columns.has(c.name) || !c.protection);

/** Does it show the cloud a parameter that others read too? It may have been meant for a protected column. */
export function sharesParameters({ parameters }: Condition, others: readonly unknown[]): boolean {
  let shared = false;
  visit(others, (kind, fields) => {
    if (kind === 'ParamRef') shared ||= parameters.includes(fields.number as number);
  });
  return shared;
}

/** May a reference mean the whole row, or name the schema, which rows that are given have not? */
function meansTable(select: RawFields, names: readonly string[]): boolean {
  let found = false;
  visit(select, (kind, fields) => {
    if (kind !== 'ColumnRef') return;
    const path = list(fields, 'fields');
    found ||= names.includes(stringOf(path.at(-1))) || path.length > 2;
  });
  return found;
}

/** Columns that trees read, of all. */
export function columnsNeeded(trees: unknown, all: readonly string[]): readonly string[] {
  let star = false;
  visit(trees, (kind, fields) => {
    if (kind === 'ColumnRef') star ||= list(fields, 'fields').at(-1)?.A_Star !== undefined;
  });
  const read = columnsIn(trees);
  return star ? all : all.filter(name => read.has(name));
}

/** What the fetch is bound with. */
export const fetchParameters = (
  { parameters }: GivenTable,
  { values, formats }: BoundParameters,
): BoundParameters => ({
  values: parameters.map(number => values[number - 1]!),
  formats: parameters.map(number => formats[number - 1]!),
});
