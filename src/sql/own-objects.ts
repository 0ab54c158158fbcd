/** What Clarus keeps in the shadow database itself is left out of what queries of the catalogue show. */
import { quoteName, quoteQualified } from '../catalog/quote.js';
import {
  catalogueView,
  OWN_ESTIMATES,
  ofSuperusers,
  settable,
  systemColumns,
} from '../trusted/catalogue-views.js';
import { figureFunctions, figuresTold } from '../trusted/figures.js';
import { OWN_SCHEMA } from '../trusted/own-schema.js';
import { PostgresError } from '../wire/diagnostic.js';
import { figuresIn } from './figures.js';
import type { FunctionHomes } from './functions.js';
import type { Figures, Shape } from './plan.js';
import type { Analysis, SessionPort } from './ports.js';
import { list, type RawFields, type RawNode, stringOf, visit } from './raw/node.js';
import { parseOne } from './raw/parse.js';
import { readerOn } from './reading.js';

/** A name in the text of a statement, and what stands in its place. */
interface Replacement {
  /** bytes */
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** A catalogue query as it is run. */
export interface CatalogueQuery {
  readonly sql: string;
  readonly analysis: Analysis;
  readonly figures: Figures | undefined;
}

/**
 * A catalogue query over views without our own objects. A view has no key to group by, and a type of its own: where that
 * matters, and where nothing of ours would show, it is undefined.
 * @param shape of the statement itself
 */
export async function withoutOwnObjects(
  sql: string,
  shape: Shape,
  session: SessionPort,
  homes: FunctionHomes,
): Promise<CatalogueQuery | undefined> {
  const without = overViews(sql);
  if (without === sql) return undefined;
  const raw = parseOne(sql);
  // that they may not be read or written is said of the tables themselves
  if (setsEstimates(raw) && !(await mayChangeEstimates(session))) return undefined;
  for (const view of ofSuperusers)
    if (without.includes(quoteQualified(OWN_SCHEMA, view)) && !(await mayRead(view, session)))
      return undefined;
  try {
    const analysis = await session.analyse(without, shape.parameterTypes);
    return typesOf(analysis.shape.columns) === typesOf(shape.columns)
      ? { sql: without, analysis, figures: figuresIn(raw, analysis, homes) }
      : undefined;
  } catch (error) {
    if (error instanceof PostgresError) return undefined;
    throw error;
  }
}

/** What runs in place of a statement on the trusted side. @param raw the statement */
export const inPlaceOf = (
  raw: RawNode,
  { sql, figures }: CatalogueQuery,
): { readonly sql: string; readonly figures?: Figures; readonly estimates?: true } => ({
  sql,
  ...(figures ? { figures } : {}),
  ...(setsEstimates(raw) ? { estimates: true } : {}),
});

async function mayRead(view: string, session: SessionPort): Promise<boolean> {
  const sql = "SELECT pg_catalog.has_table_privilege($1, 'SELECT')";
  const [row] = await readerOn(session.trusted)(sql, [`${OWN_SCHEMA}.${view}`]);
  return row?.[0] === 't';
}

async function mayChangeEstimates(session: SessionPort): Promise<boolean> {
  const sql = "SELECT pg_catalog.has_column_privilege($1, 'reltuples', 'UPDATE')";
  const [row] = await readerOn(session.trusted)(sql, [`${OWN_SCHEMA}.${OWN_ESTIMATES}`]);
  return row?.[0] === 't';
}

/** Does a statement update what pg_class estimates of relations, and nothing else? */
function setsEstimates(raw: RawNode): boolean {
  const { relation, targetList } = raw.UpdateStmt ?? {};
  const { schemaname = 'pg_catalog', relname } = (relation ?? {}) as RawFields;
  return (
    schemaname === 'pg_catalog' &&
    relname === 'pg_class' &&
    (targetList as readonly RawNode[]).every(({ ResTarget }) => settable.includes(String(ResTarget?.name)))
  );
}

const typesOf = (columns: Shape['columns']): string =>
  (columns ?? []).map(({ name, typeOid }) => `${name} ${typeOid}`).join();

/**
 * The text of a catalogue query that reads views without our own objects; the same text where it reads nothing that
 * shows them, or spells names in a way that is not understood here.
 */
function overViews(sql: string): string {
  const raw = parseOne(sql);
  if (!raw.SelectStmt && !setsEstimates(raw)) return sql;
  const ctes = new Set<unknown>();
  let withSystem = false;
  let star = false;
  const columns: RawFields[] = [];
  visit(raw, (kind, fields) => {
    if (kind === 'CommonTableExpr') ctes.add(fields.ctename);
    if (kind === 'A_Star') star = true;
    if (kind !== 'ColumnRef') return;
    columns.push(fields);
    if (systemColumns.includes(stringOf(list(fields, 'fields').at(-1)))) withSystem = true;
  });
  // `*` means all columns of a table, and no more
  if (withSystem && star) return sql;
  const bytes = Buffer.from(sql);
  const replacements: Replacement[] = [];
  visit(raw, (kind, fields) => {
    const figure = kind === 'FuncCall' ? figureReplacement(fields, bytes) : undefined;
    if (figure) replacements.push(figure);
    if (kind !== 'RangeVar' || (fields.schemaname === undefined && ctes.has(fields.relname))) return;
    const found = replacement(fields, bytes, withSystem);
    if (found) replacements.push(found);
  });
  const target =
    raw.UpdateStmt && replacement(raw.UpdateStmt.relation as RawFields, bytes, false, OWN_ESTIMATES);
  if (target) replacements.push(target);
  for (const column of columns) {
    const found = withoutSchema(column, bytes);
    if (found === 'unknown') return sql;
    if (found) replacements.push(found);
  }
  replacements.sort((a, b) => b.from - a.from);
  let text = bytes;
  for (const { from, to, text: view } of replacements)
    text = Buffer.concat([text.subarray(0, from), Buffer.from(view), text.subarray(to)]);
  return text.toString();
}

/** @param by the view that stands in for it; undefined: the one that it has */
function replacement(
  range: RawFields,
  bytes: Buffer,
  withSystem: boolean,
  by?: string,
): Replacement | undefined {
  const {
    schemaname,
    relname,
    alias,
    location = 0,
  } = range as {
    schemaname?: string;
    relname: string;
    alias?: unknown;
    location?: number;
  };
  const view = by ?? catalogueView(schemaname ?? 'pg_catalog', relname, withSystem);
  if (view === undefined) return undefined;
  const schema = schemaname === undefined ? '' : `"?${schemaname}"?\\s*\\.\\s*`;
  const spelt = new RegExp(`^${schema}"?${relname}"?(?![\\w$"])`, 'i').exec(
    bytes.subarray(location, location + 256).toString('latin1'),
  );
  if (!spelt) return undefined;
  return {
    from: location,
    to: location + spelt[0].length,
    text: quoteQualified(OWN_SCHEMA, view) + (alias === undefined ? ` AS ${quoteName(relname)}` : ''),
  };
}

/** A call of ours in place of the server's, with its first argument. */
function figureReplacement(call: RawFields, bytes: Buffer): Replacement | undefined {
  const names = list(call, 'funcname').map(stringOf);
  const name = names.at(-1)!;
  if (!figureFunctions.has(name) || (names.length > 1 && names[0] !== 'pg_catalog')) return undefined;
  const from = (call.location as number | undefined) ?? 0;
  const spelt = new RegExp(`^(?:"?pg_catalog"?\\s*\\.\\s*)?"?${name}"?\\s*\\(`, 'i').exec(
    bytes.subarray(from, from + 256).toString('latin1'),
  );
  if (!spelt || list(call, 'args').length === 0) return undefined;
  return { from, to: from + spelt[0].length, text: `${quoteQualified(OWN_SCHEMA, name)}(${figuresTold}, ` };
}

/** `schema.table.column` of a relation that a view stands for, which answers to the name of the table alone. */
function withoutSchema(column: RawFields, bytes: Buffer): Replacement | 'unknown' | undefined {
  const names = list(column, 'fields');
  if (names.length < 3) return undefined;
  const [schema, table] = names.map(stringOf);
  if (names.length > 3 || catalogueView(schema!, table!, false) === undefined) return 'unknown';
  const from = (column.location as number | undefined) ?? 0;
  const spelt = new RegExp(`^"?${schema}"?\\s*\\.\\s*`, 'i').exec(
    bytes.subarray(from, from + 256).toString('latin1'),
  );
  return spelt ? { from, to: from + spelt[0].length, text: '' } : 'unknown';
}
