/** What columns of a table have when nothing is given for them, as the shadow schema says. */
import type { LogicalColumn, LogicalTable } from '../catalog/catalog.js';
import { ClarusError } from '../errors.js';
import { physical } from './compilation.js';
import { collect, queued, type Row } from './execute/collect.js';
import { readsMoment } from './moment.js';
import { withTime } from './operand.js';
import type { PhysicalStatement } from './plan.js';
import type { SessionPort } from './ports.js';
import { deparseExpression } from './raw/deparse.js';
import { list, type RawNode, stringOf, visit } from './raw/node.js';
import { parseExpression } from './raw/parse.js';

/** A default as the trusted side evaluates it. */
export interface DefaultExpression {
  /** every name in it is qualified, and its literals mean the same under all settings */
  readonly sql: string;
  /** it asks for the time of the transaction, which is parameter `$1`, a timestamptz */
  readonly time: boolean;
  /** sequences that it takes values from, by their qualified names */
  readonly sequences: readonly string[];
  /** that of an identity column, which OVERRIDING USER VALUE takes in place of what is given */
  readonly identity: boolean;
}

/** Defaults of a table's columns, by attnum. */
export type Defaults = ReadonlyMap<number, DefaultExpression>;

/**
 * An identity column takes the next value of its sequence, that of a partition of the sequence of the table at the root
 * (getIdentitySequence in pg_depend.c). A domain may have a default of its own
 * (build_column_default in rewriteHandler.c), and may refuse NULL, which is then what is assigned
 * (coerce_null_to_domain).
 */
const defaultsQuery = physical(
  `SELECT a.attnum::pg_catalog.text, coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid),
            pg_catalog.pg_get_expr(t.typdefaultbin, 0),
            'pg_catalog.nextval(' || pg_catalog.quote_literal(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(s.relname)) || '::pg_catalog.regclass)',
            'NULL'), t.typtype = 'd' AND d.adbin IS NULL AND t.typdefaultbin IS NULL AND a.attidentity = '',
            a.attidentity <> ''
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
       LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       LEFT JOIN pg_catalog.pg_attribute r ON a.attidentity <> '' AND r.attname = a.attname
         AND r.attrelid = coalesce(pg_catalog.pg_partition_root(a.attrelid), a.attrelid)
       LEFT JOIN pg_catalog.pg_depend p ON p.refobjid = r.attrelid AND p.refobjsubid = r.attnum
         AND p.deptype = 'i' AND p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.refclassid = p.classid
       LEFT JOIN pg_catalog.pg_class s ON s.oid = p.objid
       LEFT JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND (d.adbin IS NOT NULL OR t.typtype = 'd' OR a.attidentity <> '')`,
  [26],
);

/** Settings by which pg_get_expr writes an expression. */
const settings = ['DateStyle', 'IntervalStyle', 'extra_float_digits', 'search_path'] as const;
const set = physical(
  `SELECT ${settings.map((name, i) => `pg_catalog.set_config('${name}', $${i + 1}, true)`).join(', ')}`,
  settings.map(() => 25),
);
const plainly: Row = ['ISO, MDY', 'postgres', '1', 'pg_catalog'].map(value => Buffer.from(value));

/**
 * Runs queries of the catalogue under settings by which an expression of it reads the same anywhere.
 * @param queries with parameters in binary form
 */
export async function plainExpressions(
  { settings: { dateStyle, intervalStyle, extraFloatDigits, searchPath }, trusted }: SessionPort,
  queries: readonly { readonly query: PhysicalStatement; readonly parameters: Row }[],
): Promise<readonly Row[][]> {
  const before = [dateStyle, intervalStyle, String(extraFloatDigits), searchPath].map(v => Buffer.from(v));
  const asked = [
    queued(trusted, set, plainly, [0], []),
    ...queries.map(({ query, parameters }) => queued(trusted, query, parameters, [1], [])),
    queued(trusted, set, before, [0], []),
  ];
  trusted.flush();
  return (await Promise.all(asked)).slice(1, -1);
}

/**
 * Reads the defaults of a table.
 * @param copy COPY: a domain is not asked about the NULL of a column that the data lack (CopyFrom in copyfrom.c)
 */
export async function defaultsOf(table: LogicalTable, session: SessionPort, copy = false): Promise<Defaults> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [rows] = await plainExpressions(session, [{ query: defaultsQuery, parameters: [oid] }]);
  const found = rows!.map(row => row.map(field => Buffer.from(field ?? []).toString()));
  return new Map(
    found
      .filter(([, , onlyDomain]) => !(copy && onlyDomain === 't'))
      .map(([attnum, sql, , identity]) => [
        Number(attnum),
        { ...expressionOf(sql!, table), identity: identity === 't' },
      ]),
  );
}

/**
 * Is there a column in the clear that takes the next value of a sequence, and does not by its form in the cloud? A partition has the
 * identity columns of the table at the root, but not its sequences.
 * @param isGiven does a statement give it a value?
 */
export const countsAtRoot = (
  table: LogicalTable,
  defaults: Defaults,
  isGiven: (column: LogicalColumn) => boolean,
): boolean =>
  table.bounds !== undefined &&
  table.columns.some(
    column => !column.protection && defaults.get(column.attnum)?.identity && !isGiven(column),
  );

const generatedQuery = physical(
  `SELECT a.attname FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''`,
  [26],
);

/** Names of the columns of a table that are computed from others. */
export async function generatedColumns(
  table: LogicalTable,
  { trusted }: SessionPort,
): Promise<ReadonlySet<string>> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const rows = await collect(trusted, generatedQuery, [oid], [1], []);
  return new Set(rows.map(([name]) => Buffer.from(name ?? []).toString()));
}

function expressionOf(sql: string, table: LogicalTable): Omit<DefaultExpression, 'identity'> {
  const raw = parseExpression(sql);
  if (readsMoment(raw))
    throw new ClarusError(
      '0A000',
      `a default of table "${table.name}" reads a date or time from a text that means the present moment`,
      { hint: 'Use now(), CURRENT_DATE or the like as the default.', table: table.name },
    );
  const { tree, time } = withTime(raw, 1);
  return { sql: time ? deparseExpression(tree) : sql, time, sequences: sequencesIn(raw) };
}

/** `nextval('s.q'::regclass)`: what else a default may hold of sequences is not known by name. */
function sequencesIn(raw: RawNode): readonly string[] {
  const found: string[] = [];
  visit(raw, (kind, fields) => {
    if (kind !== 'FuncCall' || stringOf(list(fields, 'funcname').at(-1)) !== 'nextval') return;
    const cast = list(fields, 'args')[0]?.TypeCast?.arg as RawNode | undefined;
    found.push((cast?.A_Const?.sval as { sval?: string } | undefined)?.sval ?? '');
  });
  return found;
}

/** The sequence from which a default takes its values, where it does nothing else. */
export function counterOf(found: DefaultExpression | undefined): string | undefined {
  if (!found || found.sequences.length === 0) return undefined;
  const call = parseExpression(found.sql).FuncCall;
  const [sequence] = found.sequences;
  return call && found.sequences.length === 1 && sequence !== '' ? sequence : undefined;
}
