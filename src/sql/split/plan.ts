/**
 * Split execution: what no encoding answers, the trusted PostgreSQL answers. It runs the statement as it stands over
 * the rows that the clouds deliver (docs/architecture.md, "Split").
 */
import type { Catalog } from '../../catalog/catalog.js';
import { hasHeirs, heirsOf, isInTree } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { flag, numberIn, readNodes, walk } from '../analysed/node.js';
import { functionsIn, RTE, scopeOf, tellsRowTypes } from '../analysed/query.js';
import { typeOf } from '../analysed/types.js';
import { protectedColumns } from '../columns.js';
import { physical } from '../compilation.js';
import type { Relation } from '../ddl/resolve.js';
import type { SplitBody, SplitWrites } from '../execute/bodies.js';
import { FIRST_USER_OID, type FunctionHomes } from '../functions.js';
import { actingIn } from '../kept-plans.js';
import type { Plan, ProtectedPlan, Shape } from '../plan.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { kindOf, type RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import type { Routines } from '../routines.js';
import { settingsAsked } from '../row-security/in-force.js';
import type { PolicyChecks } from '../row-security/policies.js';
import { type Touch, touchOf } from '../touch.js';
import { withViewsWritten } from '../view-definitions.js';
import { withAsked } from './asked.js';
import { asksAny, asksItself, isApplied, mustRunOverCarriers } from './asks.js';
import { besideCatalogue } from './beside-catalogue.js';
import { asksCloud, asksSequence } from './cloud-alone.js';
import { mustPrintExactly } from './exact.js';
import { joinsTables } from './given-join.js';
import { readsOneTable } from './given-table.js';
import { behindPolicies, inTurn } from './in-turn.js';
import { isPlainRead, mustBeReadable } from './readable.js';
import { keepsApart } from './separate.js';
import { comparisonsShown } from './shown.js';
import { mustRunUnder, runUnderSettings } from './subqueries.js';

/** What planning of split statements knows. */
export interface SplitPlanning {
  readonly analysis: Analysis;
  readonly touch: Touch;
  readonly homes: FunctionHomes;
  readonly session: SessionPort;
  /** why the cloud cannot answer it */
  readonly cause: ClarusError;
  /** plans a part of the statement as a statement of its own */
  readonly plan: (raw: RawNode, sql: string, parameterTypes: readonly number[]) => Promise<Plan>;
  /** some of its parameters hold rows that may be of protected columns */
  readonly hides?: true;
  /** policies of row level security are applied to the statement that this is a part of */
  readonly secured?: true;
  /** what they say of the rows that it inserts */
  readonly policies?: PolicyChecks;
}

/**
 * @param raw a SelectStmt; its text is `sql`
 * @throws cause where the trusted side cannot answer it either
 */
export async function planSplit(raw: RawNode, sql: string, planning: SplitPlanning): Promise<ProtectedPlan> {
  const { analysis, touch, session, cause } = planning;
  if (kindOf(raw) !== 'SelectStmt') throw cause;
  // policies may read the catalogue too
  if (touch.catalogue && isApplied(analysis, session)) throw cause;
  if (touch.catalogue) return planSplit(...(await besideCatalogue(raw, planning)));
  const carried = touch.tables.every(table => isInTree(session.catalog(), table));
  const whole = await withoutOnly(raw, planning);
  if (whole) return planSplit(whole.raw, whole.sql, { ...planning, analysis: whole.analysis });
  mustBeReadable(analysis, query => isPlainRead(query), cause, carried);
  const body = await splitBody(raw, sql, planning, undefined);
  return { kind: 'protected', command: 'SELECT', shape: analysis.shape, split: true, body };
}

/**
 * From a table that nothing inherits from, ONLY says nothing to the client, but its carrier does inherit.
 * @returns the statement without it; undefined: it names a table of which ONLY says something, or has no ONLY
 */
export async function withoutOnly(
  raw: RawNode,
  { analysis, session, touch }: SplitPlanning,
): Promise<{ readonly raw: RawNode; readonly sql: string; readonly analysis: Analysis } | undefined> {
  const catalog = session.catalog();
  if (touch.tables.every(table => isInTree(catalog, table))) return undefined;
  const alone: boolean[] = [];
  for (const tree of analysis.parsed.flatMap(readNodes))
    walk(tree, node => {
      const isEntry = node.kind === 'RANGETBLENTRY' || node.kind === 'RTE';
      if (!isEntry || numberIn(node, 'rtekind') !== RTE.relation || flag(node, 'inh')) return true;
      const table = catalog.tables.get(numberIn(node, 'relid'));
      alone.push(table !== undefined && !isInTree(catalog, table));
      return true;
    });
  if (alone.length === 0 || !alone.every(Boolean)) return undefined;
  const sql = deparse(withInheritance(raw));
  // the target of an INSERT is analysed as if it were said ONLY
  if (sql === deparse(raw)) return undefined;
  return { raw: parseOne(sql), sql, analysis: await session.analyse(sql, analysis.shape.parameterTypes) };
}

/** The tree without any ONLY. */
function withInheritance<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withInheritance) as T;
  if (value === null || typeof value !== 'object') return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, field]) => [key, withInheritance(field)]));
  return (typeof copy.relname === 'string' ? { ...copy, inh: true } : copy) as T;
}

/**
 * @param raw the statement that the trusted side runs; its text is `sql`
 * @throws cause for functions that another side answers, and where there is no residual engine
 */
export async function splitBody(
  raw: RawNode,
  sql: string,
  { analysis, touch, homes, session, cause, hides, secured = isApplied(analysis, session) }: SplitPlanning,
  writes: SplitWrites | undefined,
): Promise<SplitBody> {
  if (!session.residual || touch.catalogue) throw cause;
  const { named, unknown, last } = touch.sequences;
  // the trusted side has not the counts of all
  if (named.size > 0 || unknown || last) throw asksSequence(cause);
  mustBeOfTables(touch);
  if (touch.homes.has('storage')) throw tellsStorage();
  const { routines } = touch;
  if (routines) mustRunOverCarriers(routines, homes);
  // SESSION_USER is another one on the trusted side
  if (secured && routines?.role) throw cause;
  mustPrintExactly(session);
  const { shape } = analysis;
  const tree = await underSettings(raw, analysis, touch, secured === true, session);
  // what policies ask for is not the statement's
  const asks = secured ? asksItself(analysis, homes) : asksAny(analysis, touch);
  const expands = writes === undefined && !secured;
  const answerable = asks ? await askingOnce(tree, shape, session, homes, expands) : undefined;
  if (asks && !answerable)
    throw touch.views ? viewAsks(cause) : touch.homes.has('cloud') ? asksCloud(cause) : cause;
  const { text, asked } = answerable ?? { text: tree === raw ? sql : deparse(tree), asked: [] };
  for (const home of ['statistics', 'sequence-values', 'settings', 'unproven'])
    if (touch.homes.has(home)) throw cause;
  const types = [...shape.parameterTypes, ...asked.map(({ type }) => type)];
  const isPure =
    !secured &&
    !routines?.settings?.length &&
    asked.length === 0 &&
    !touch.homes.has('random') &&
    !touch.homes.has('clock');
  const oneTable =
    isPure &&
    (!writes || (isPlainWrite(writes) && touch.tables.every(({ bounds }) => bounds !== 'trusted'))) &&
    readsOneTable(touch);
  const joins =
    isPure &&
    !writes &&
    !touch.tables.some(table => hasHeirs(session.catalog(), table)) &&
    joinsTables(touch);
  const isGiven = oneTable || joins;
  const whole = { ...shape, parameterTypes: types };
  const inOrder = isGiven
    ? text
    : secured
      ? behindPolicies(text)
      : await turned(text, whole, touch.views, writes !== undefined, session);
  const settings = [...(routines?.settings ?? []), ...(secured ? settingsAsked(analysis, homes) : [])];
  const as =
    secured || settings.length > 0
      ? { role: secured && actingIn(session), settings: [...new Set(settings)], secured: secured === true }
      : undefined;
  return {
    kind: 'split',
    statement: physical(inOrder, types),
    asked,
    localised: isLocalised(analysis, touch),
    routines: routines?.versions,
    ...(routines && routines.tables.size > 0 ? { routinesRead: true } : {}),
    tables: [...new Set(touch.tables.flatMap(table => [table, ...heirsOf(session.catalog(), table)]))].map(
      t => t.oid,
    ),
    columns: columnsOf(analysis, routines, session.catalog()),
    shown: comparisonsShown(analysis, session.catalog()),
    apart: !hides && keepsApart(analysis, session.catalog()),
    names: touch.tables.map(t => `${t.schema}.${t.name}`),
    why: [cause.message, ...(cause.fields.detail === undefined ? [] : [cause.fields.detail])],
    oneTable,
    joins,
    writes,
    ...(as ? { as } : {}),
  };
}

/** Its subqueries, and those of its views, under the settings of the session. @throws ClarusError 0A000 where they cannot be */
async function underSettings(
  raw: RawNode,
  analysis: Analysis,
  { routines, views }: Touch,
  secured: boolean,
  session: SessionPort,
): Promise<RawNode> {
  const { settings } = session;
  if (!views || secured || !mustRunUnder(analysis, routines, settings))
    return runUnderSettings(raw, analysis, routines, settings);
  const { shape } = analysis;
  const expanded = await overPlainViews(raw, shape, session);
  if (!expanded) return runUnderSettings(raw, analysis, routines, settings);
  const inner = await session.analyse(deparse(expanded), shape.parameterTypes);
  return runUnderSettings(expanded, inner, routines, settings);
}

/** @throws ClarusError 0A000 for a materialised view of the cloud's own, which it locks for nobody */
function mustBeOfTables({ tables }: Touch): void {
  const view = tables.find(({ materialised }) => materialised === 'cloud');
  if (!view) return;
  throw new ClarusError(
    '0A000',
    `materialized view "${view.name}" cannot be read by a statement that is finished on the trusted side`,
    {
      detail: 'It is over unprotected tables alone, and is one of the cloud.',
      hint: 'Select from the tables of its query, or list it in the policy with a protected column before it is made.',
      schema: view.schema,
      table: view.name,
    },
  );
}

/** A statement whose questions to the cloud have become parameters. */
interface AskingOnce {
  readonly text: string;
  readonly asked: SplitBody['asked'];
}

/**
 * @param expands views may become subqueries, where they ask themselves
 * @returns undefined: something asks that no parameter can stand for
 */
async function askingOnce(
  tree: RawNode,
  shape: Shape,
  session: SessionPort,
  homes: FunctionHomes,
  expands: boolean,
): Promise<AskingOnce | undefined> {
  const { tree: dated, asked } = withAsked(tree, shape.parameterTypes.length);
  const text = deparse(dated);
  const types = [...shape.parameterTypes, ...asked.map(({ type }) => type)];
  const again = asked.length > 0 ? await session.analyse(text, types) : undefined;
  const left = again && (await touchOf(again, session, homes));
  const isAsking =
    again && left && (isApplied(again, session) ? asksItself(again, homes) : asksAny(again, left));
  if (isAsking === false) return { text, asked };
  const expanded = expands ? await overDefinitions(tree, shape, session) : undefined;
  return expanded && askingOnce(expanded, shape, session, homes, false);
}

/**
 * Puts conditions in their turn, those of views too, where the statement can be one over their definitions.
 * @param views it reads some
 * @param writes it may write by one, which stays then
 */
async function turned(
  text: string,
  shape: Shape,
  views: boolean,
  writes: boolean,
  session: SessionPort,
): Promise<string> {
  if (!views) return inTurn(text, false);
  const barriers = await barriersIn(session);
  let stays = writes;
  const expanded = await overDefinitions(parseOne(text), shape, session, view => {
    const isBarrier = barriers.has(view.oid);
    stays ||= isBarrier;
    return !isBarrier;
  });
  if (!expanded) return inTurn(text, true);
  const whole = deparse(expanded);
  const found = inTurn(whole, stays);
  return found === whole ? text : found;
}

const barriersQuery = `SELECT c.oid::pg_catalog.text FROM pg_catalog.pg_class c, pg_catalog.pg_options_to_table(c.reloptions) o
  WHERE c.relkind = 'v' AND o.option_name = 'security_barrier' AND o.option_value::pg_catalog.bool`;

/** Views with security_barrier, whose own conditions come first whatever they cost. */
const barriersIn = async ({ trusted }: SessionPort): Promise<ReadonlySet<number>> =>
  new Set((await readerOn(trusted)(barriersQuery, [])).map(([oid]) => Number(oid)));

/**
 * The statement over the definitions of views.
 * @param which of those of users
 * @returns undefined: it names none, or would not be the same
 */
async function overDefinitions(
  tree: RawNode,
  shape: Shape,
  session: SessionPort,
  which: (view: Relation) => boolean = () => true,
): Promise<RawNode | undefined> {
  const expanded = await withViewsWritten(tree, session, view => isOfUsers(view) && which(view));
  if (!expanded || expanded === tree) return undefined;
  // a column that the statement calls by the schema of its view is not found
  const inner = await session.analyse(deparse(expanded), shape.parameterTypes).catch(ifNotFound);
  if (!inner || tellsRowTypes(inner.parsed.flatMap(readNodes))) return undefined;
  return sameColumns(inner.shape, shape) ? expanded : undefined;
}

/** The same, but for views with security_barrier. */
export async function overPlainViews(
  tree: RawNode,
  shape: Shape,
  session: SessionPort,
): Promise<RawNode | undefined> {
  const barriers = await barriersIn(session);
  return overDefinitions(tree, shape, session, ({ oid }) => !barriers.has(oid));
}

function ifNotFound(error: unknown): undefined {
  if (!(error instanceof PostgresError) || !/^42/.test(error.code)) throw error;
}

/** Is a view one of users? The catalogue has others. */
export const isOfUsers = ({ oid, schema }: Relation): boolean =>
  oid >= FIRST_USER_OID && schema !== OWN_SCHEMA;

const sameColumns = ({ columns: one = [] }: Shape, { columns: other = [] }: Shape): boolean =>
  one.length === other.length &&
  one.every(({ name, typeOid }, i) => name === other[i]!.name && typeOid === other[i]!.typeOid);

const viewAsks = ({ fields }: ClarusError): ClarusError =>
  new ClarusError('0A000', 'a view that asks for the time or a setting cannot be used in this statement', {
    ...fields,
    detail: 'What it asks for becomes a parameter, and a view takes none.',
    hint: 'Write what the view says in the statement itself.',
  });

/** A value of rows that are given is not stored as it is in a table, and a cell is stored as the cloud does that. */
const tellsStorage = (): ClarusError =>
  new ClarusError('0A000', 'how values of a protected table are stored is not told', {
    detail: 'The statement calls pg_column_size, pg_column_compression or the like.',
    hint: 'octet_length tells the size of a text or bytea.',
  });

/** Does a statement write what it says, and nothing beside? */
const isPlainWrite = ({ returns, computed, locks, first, then = [] }: SplitWrites): boolean =>
  !returns && !computed && locks.length === 0 && first.length === 0 && then.length === 0;

function columnsOf(
  { rewritten }: Analysis,
  routines: Routines | undefined,
  catalog: Catalog,
): SplitBody['columns'] {
  const found = new Map<string, SplitBody['columns'][number]>();
  for (const oid of routines?.tables ?? [])
    for (const { number, name, protection } of catalog.tables.get(oid)?.columns ?? [])
      if (protection)
        found.set(`${catalog.tables.get(oid)!.number} ${number}`, {
          table: catalog.tables.get(oid)!.number,
          name,
        });
  for (const query of rewritten.flatMap(readNodes))
    for (const { table, column } of protectedColumns(query, scopeOf(query), catalog))
      found.set(`${table.number} ${column.number}`, { table: table.number, name: column.name });
  return [...found.values()];
}

/** to_char, to_number, to_timestamp and to_date (pg_proc.dat) */
const formatting: ReadonlySet<number> = new Set([
  1768, 1770, 1772, 1773, 1774, 1775, 1776, 2049, 1777, 1778, 1780,
]);
const money: ReadonlySet<number> = new Set([790, 791]);

/** Does it print or read values by a locale: by format, or because a table that it reads holds money? */
function isLocalised({ rewritten }: Analysis, { routines, tables }: Touch): boolean {
  const called = [...functionsIn(rewritten.flatMap(readNodes)), ...(routines?.builtins ?? [])];
  if (routines?.money || called.some(oid => formatting.has(oid))) return true;
  let found = tables.some(({ columns }) => columns.some(({ type }) => money.has(type.oid)));
  for (const tree of rewritten.flatMap(readNodes))
    walk(tree, node => {
      found ||= money.has(typeOf(node) ?? 0);
      return !found;
    });
  return found;
}
