/**
 * Protected tables together with the system catalogue: the trusted PostgreSQL has both, but for what carriers change in the
 * catalogue while they stand.
 */
import { oidArray } from '../../catalog/reader.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { type Node, numberIn, readNodes, walk } from '../analysed/node.js';
import { functionsIn, RTE } from '../analysed/query.js';
import { FIRST_USER_OID } from '../functions.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { type RawFields, type RawNode, rewrite, text, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import type { Touch } from '../touch.js';

interface Catalogue {
  readonly name: string;
  /** columns that say the same of a table whose rows are carried, which is a foreign one meanwhile, by their numbers */
  readonly columns: ReadonlyMap<number, string>;
  /** tells what is ours */
  readonly without: string;
}

/** Catalogues by their OIDs (pg_class.dat, pg_namespace.dat). */
const steady: ReadonlyMap<number, Catalogue> = new Map([
  [
    1259,
    {
      name: 'pg_class',
      columns: new Map([
        [1, 'oid'],
        [2, 'relname'],
        [3, 'relnamespace'],
      ]),
      without: `relnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace`,
    },
  ],
  [
    2615,
    {
      name: 'pg_namespace',
      columns: new Map([
        [1, 'oid'],
        [2, 'nspname'],
      ]),
      without: `nspname <> '${OWN_SCHEMA}'`,
    },
  ],
]);

/** FirstLowInvalidHeapAttributeNumber (sysattr.h): from it the members of `selectedCols` count */
const LOWEST = -7;

const selected = /:relid (\d+)[^{}]*?:selectedCols \(b([ \d]*)\)/g;

/** What of the planning of split statements is looked at here. */
interface Planned {
  readonly analysis: Analysis;
  readonly cause: Error;
  readonly session: SessionPort;
  readonly touch: Touch;
}

/**
 * A query over what stays as it is of the catalogue, without our own objects.
 * @param raw the query
 * @returns what `planSplit` takes
 * @throws cause: it reads of the catalogue what carriers change, or in a way that is not understood
 */
export async function besideCatalogue<P extends Planned>(
  raw: RawNode,
  planning: P,
): Promise<[raw: RawNode, sql: string, planning: P]> {
  const { analysis, cause, session, touch } = planning;
  const beside = touch.routines ? undefined : await overSteady(raw, analysis, session);
  if (!beside) throw cause;
  const [tree, sql, again] = beside;
  return [tree, sql, { ...planning, analysis: again, touch: { ...touch, catalogue: false } }];
}

async function overSteady(
  raw: RawNode,
  analysis: Analysis,
  session: SessionPort,
): Promise<[raw: RawNode, sql: string, analysis: Analysis] | undefined> {
  const read = relationsRead(analysis);
  // what else is told of tables is told by functions
  if (read.size === 0 || (await tellsOfTables(analysis, session))) return undefined;
  const asked = new Map<number, number>();
  for (const [, relid, members = ''] of analysis.parsed.join(' ').matchAll(selected)) {
    const relation = Number(relid);
    if (!read.has(relation)) continue;
    const columns = members.trim().split(' ').filter(Boolean);
    if (!columns.every(member => steady.get(relation)?.columns.has(Number(member) + LOWEST)))
      return undefined;
    asked.set(relation, (asked.get(relation) ?? 0) + 1);
  }
  if ([...read].some(([relation, times]) => asked.get(relation) !== times)) return undefined;
  const without = withoutOwn(raw, read);
  if (!without) return undefined;
  const { shape } = analysis;
  const sql = deparse(without);
  const again = await session.analyseTentatively(sql, shape.parameterTypes).catch(() => undefined);
  const same = JSON.stringify(again?.shape.columns) === JSON.stringify(shape.columns);
  return again && same ? [parseOne(sql), sql, again] : undefined;
}

const tellingQuery = `SELECT FROM pg_catalog.pg_proc p WHERE p.oid = ANY ($1::pg_catalog.oid[])
    AND p.proname ~ '^(pg_|has_|obj_|col_|row_security)' AND p.proname NOT IN ('pg_typeof', 'pg_table_is_visible') LIMIT 1`;

async function tellsOfTables({ parsed }: Analysis, { trusted }: SessionPort): Promise<boolean> {
  const called = [...functionsIn(parsed.flatMap(readNodes))];
  return (await readerOn(trusted)(tellingQuery, [oidArray(called)])).length > 0;
}

/** How often a statement reads each catalogue. */
function relationsRead({ parsed }: Analysis): ReadonlyMap<number, number> {
  const read = new Map<number, number>();
  for (const tree of parsed.flatMap(readNodes))
    walk(tree, node => {
      const relation = catalogueIn(node);
      if (relation !== undefined) read.set(relation, (read.get(relation) ?? 0) + 1);
      return true;
    });
  return read;
}

/** @returns undefined: other relations may have the names, or all columns of both sides count */
function withoutOwn(raw: RawNode, read: ReadonlyMap<number, number>): RawNode | undefined {
  const left = new Map(read);
  let isUnclear = false;
  visit(raw, (kind, fields) => {
    const names = [...steady.values()].map(({ name }) => name);
    if (kind === 'CommonTableExpr' && names.includes(String(fields.ctename))) isUnclear = true;
    if (kind === 'JoinExpr' && fields.isNatural === true) isUnclear = true;
  });
  if (isUnclear) return undefined;
  const changed = rewrite(raw, (kind, fields) => {
    const [oid, catalogue] = [...steady].find(([, { name }]) => name === fields.relname) ?? [];
    if (kind !== 'RangeVar' || !catalogue || !['pg_catalog', undefined].includes(schemaOf(fields)))
      return undefined;
    left.set(oid!, (left.get(oid!) ?? 0) - 1);
    const columns = [...catalogue.columns.values()].join(', ');
    const from = `SELECT ${columns} FROM pg_catalog.${catalogue.name} WHERE ${catalogue.without}`;
    const alias = fields.alias ?? { aliasname: catalogue.name };
    return { RangeSubselect: { subquery: parseOne(from), alias } };
  });
  return [...left.values()].every(times => times === 0) ? changed : undefined;
}

const schemaOf = (range: RawFields): string | undefined => text(range, 'schemaname');

/** The catalogue that an entry of a range table reads; undefined: it is another one. */
function catalogueIn(node: Node): number | undefined {
  if (node.kind !== 'RANGETBLENTRY' && node.kind !== 'RTE') return undefined;
  if (numberIn(node, 'rtekind') !== RTE.relation) return undefined;
  const relation = numberIn(node, 'relid');
  return relation < FIRST_USER_OID ? relation : undefined;
}
