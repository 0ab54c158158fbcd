/** INSERT into a temporary table: the rows that it takes are a query of their own, which any side may answer. */
import type { ClarusError } from '../../errors.js';
import { deparse } from '../raw/deparse.js';
import { child, fieldsOf, list, type RawFields, type RawNode, text } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import { mustTravelExactly } from '../split/exact.js';
import { castNames, castOf, typedLiterals } from '../split/typed-source.js';
import { writesInWith } from '../split/write/given-rows.js';
import { touchOf } from '../touch.js';
import { writtenRelation } from '../write/target.js';
import { type Part, partOf, selectOf } from './given-relations.js';
import { asksElsewhere, type TemporaryPlanning } from './own.js';

/** An INSERT over rows that are given, and what gives them. */
interface Sourced {
  readonly raw: RawNode;
  readonly part: Part;
}

/** A column of the table that takes the rows. */
interface Target {
  readonly name: string;
  readonly type: { readonly oid: number };
  /** expression of its default, where it has one */
  readonly default: string | undefined;
}

/**
 * Takes the source out of an INSERT, with the defaults that another side answers (the time, for one).
 * @returns undefined: it is no INSERT, or writes within WITH
 * @throws cause for parts of columns, and where some rows take a default and others do not
 */
export async function withSource(
  raw: RawNode,
  { analysis, touch, homes, session, source: planSource }: TemporaryPlanning,
  cause: ClarusError,
): Promise<Sourced | undefined> {
  const fields = raw.InsertStmt;
  if (!fields || !touch.query || writesInWith(touch.query)) return undefined;
  const types = analysis.shape.parameterTypes;
  const columns = await targetsOf(writtenRelation(touch.query), session);
  const source = await sourceOf(fields, columns, types, session, cause);
  const further: Target[] = [];
  for (const column of columns) {
    if (source.named.includes(column) || column.default === undefined) continue;
    const own = await session.analyse(`SELECT ${column.default}`, []);
    if (asksElsewhere(await touchOf(own, session, homes), homes)) further.push(column);
  }
  const taken = [...source.named, ...further];
  if (taken.length === 0) return undefined;
  const casts = await castNames(taken, session);
  const names = source.named.map((_, i) => `c${i}`);
  const targets = [...names.map(name => `s.${name}`), ...further.map(column => `(${column.default})`)];
  const from =
    names.length > 0
      ? `(${source.sql(casts)}) AS s (${names.join(', ')})`
      : `pg_catalog.generate_series(1, ${source.rows})`;
  const sql = `SELECT ${targets.map((value, i) => `${value}::${casts[i]}`).join(', ')} FROM ${from}`;
  const part = partOf(await planSource(sql, types), types, taken.length, cause);
  mustTravelExactly(
    taken.map(({ type }) => ({ typeOid: type.oid })),
    session,
  );
  const given = taken.map((_, i) => ({ name: `c${i}`, type: casts[i]! }));
  const { withClause: _with, ...rest } = fields;
  return {
    raw: {
      InsertStmt: {
        ...rest,
        cols: taken.map(({ name }) => ({ ResTarget: { name } })),
        selectStmt: parseOne(selectOf(given, types.length)),
      },
    },
    part,
  };
}

async function targetsOf(
  relation: number,
  session: TemporaryPlanning['session'],
): Promise<readonly Target[]> {
  const rows = await readerOn(session.trusted)(
    `SELECT a.attname::text, a.atttypid::text, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
       FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''
      WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [`${relation}`],
  );
  return rows.map(([name, oid, expression]) => ({
    name: name!,
    type: { oid: Number(oid) },
    default: expression ?? undefined,
  }));
}

/** What gives the rows: the columns that it names, and a query that gives their values. */
interface Source {
  readonly named: readonly Target[];
  /** of VALUES */
  readonly rows: number;
  /** @param casts types of the columns */
  sql(casts: readonly string[]): string;
}

async function sourceOf(
  fields: RawFields,
  columns: readonly Target[],
  types: readonly number[],
  session: TemporaryPlanning['session'],
  cause: ClarusError,
): Promise<Source> {
  const source = child(fields, 'selectStmt')?.SelectStmt;
  if (!source) return { named: [], rows: 1, sql: () => '' };
  const { withClause } = fields;
  if (withClause && source.withClause) throw cause;
  const select: RawFields = withClause ? { ...source, withClause } : source;
  const rows = list(source, 'valuesLists').map(row => list(row.List ?? {}, 'items'));
  if (rows.length === 0) {
    const { shape } = await session.analyse(deparse({ SelectStmt: select }), types);
    const named = namedColumns(fields, columns, shape.columns?.length ?? 0, cause);
    return { named, rows: 1, sql: casts => deparse({ SelectStmt: typedLiterals(select, casts) }) };
  }
  const all = namedColumns(fields, columns, rows[0]!.length, cause);
  const isDefault = (place: number): boolean => rows.every(row => row[place]?.SetToDefault !== undefined);
  const places = all.map((_, place) => place).filter(place => !isDefault(place));
  // some rows take the default, others do not
  if (rows.some(row => places.some(place => row[place]?.SetToDefault !== undefined))) throw cause;
  return {
    named: places.map(place => all[place]!),
    rows: rows.length,
    sql: casts =>
      deparse({
        SelectStmt: {
          ...select,
          valuesLists: rows.map(row => ({
            List: { items: places.map((place, i) => castOf(row[place]!, casts[i]!)) },
          })),
        },
      }),
  };
}

/** The columns that a source of some width fills, in its order. */
function namedColumns(
  fields: RawFields,
  columns: readonly Target[],
  width: number,
  cause: ClarusError,
): readonly Target[] {
  const cols = list(fields, 'cols');
  if (cols.length === 0) return columns.slice(0, width);
  return cols.map(col => {
    const found = columns.find(({ name }) => name === text(fieldsOf(col), 'name'));
    if (!found || list(fieldsOf(col), 'indirection').length > 0) throw cause;
    return found;
  });
}
