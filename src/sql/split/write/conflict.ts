/** ON CONFLICT: by which keys rows conflict, and what is done then. */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { USUAL_EQUALITY } from '../../../catalog/describe.js';
import { quoteName } from '../../../catalog/quote.js';
import { ClarusError } from '../../../errors.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { physical } from '../../compilation.js';
import { plainExpressions } from '../../defaults.js';
import { FIRST_USER_OID } from '../../functions.js';
import type { SessionPort } from '../../ports.js';
import { deparse, deparseExpression } from '../../raw/deparse.js';
import { child, fieldsOf, list, type RawFields, text } from '../../raw/node.js';
import { readerOn } from '../../reading.js';
import type { SplitPlanning } from '../plan.js';
import { assignments } from './computed-plan.js';

/** What ON CONFLICT says. */
export interface Conflict {
  readonly kind: 'error' | 'nothing' | 'update';
  /** keys by which a row conflicts */
  readonly keys: readonly UniqueIndex[];
  /** names of EXCLUDE constraints of the trusted side by which a row conflicts */
  readonly exclusions: readonly string[];
  readonly set: readonly { readonly column: LogicalColumn; readonly sql: string }[];
  readonly where: string | undefined;
}

/**
 * What ON CONFLICT says.
 * @throws ClarusError 42P10 where no key is as it says, 42809 for DO UPDATE by an EXCLUDE constraint
 * @throws cause for what is inferred by a predicate, an expression or an operator class, or by an index of those, and beside
 *   EXCLUDE constraints that the cloud checks
 */
export async function conflictOf(
  fields: RawFields,
  table: LogicalTable,
  planning: SplitPlanning,
): Promise<Conflict> {
  const { cause } = planning;
  const clause = fields.onConflictClause as RawFields | undefined;
  if (!clause) return { kind: 'error', keys: [], exclusions: [], set: [], where: undefined };
  const infer = clause.infer as RawFields | undefined;
  const indexes = await indexesOf(table, planning.session);
  const keys = indexes.filter(({ excludes }) => !excludes);
  const excluding = indexes.filter(({ excludes }) => excludes).map(({ name }) => name);
  const own = table.exclusions?.map(({ name }) => name) ?? [];
  const isNothing = clause.action === 'ONCONFLICT_NOTHING';
  const named = infer && text(infer, 'conname');
  if (named !== undefined && excluding.includes(named)) {
    if (!isNothing) throw notUpdatedByExclusion();
    if (!own.includes(named)) throw cause;
    return { kind: 'nothing', keys: [], exclusions: [named], set: [], where: undefined };
  }
  if (!infer && excluding.some(name => !own.includes(name))) throw cause;
  const arbiters = infer ? await arbitersOf(fields, keys, table, planning) : keys;
  const areKnown = arbiters.every(key => key.plain || (key.computed !== undefined && own.length === 0));
  if (!areKnown || (!isNothing && arbiters.length > 1)) throw cause;
  if (isNothing)
    return { kind: 'nothing', keys: arbiters, exclusions: infer ? [] : own, set: [], where: undefined };
  const where = child(clause, 'whereClause');
  return {
    kind: 'update',
    keys: arbiters,
    exclusions: [],
    set: await assignments(list(clause, 'targetList'), table, planning),
    where: where && deparseExpression(where),
  };
}

/** infer_arbiter_indexes of plancat.c */
const notUpdatedByExclusion = (): ClarusError =>
  new ClarusError('42809', 'ON CONFLICT DO UPDATE not supported with exclusion constraints');

/** A unique index, that of a key constraint too. */
export interface UniqueIndex {
  readonly name: string;
  /** names of the indexes of partitions that make it up */
  readonly below: readonly string[];
  /** names of its columns */
  readonly columns: readonly string[];
  /** it is of whole columns and all rows */
  readonly plain: boolean;
  /** it is that of an EXCLUDE constraint */
  readonly excludes: boolean;
  /** of one that is not plain: what it compares of a row, by = of PostgreSQL; undefined: it compares in a way of its own */
  readonly computed: ComputedUnique | undefined;
}

/** What a unique index of expressions, or with a predicate, is of a row. */
export interface ComputedUnique {
  /** over the names of the columns */
  readonly keys: readonly string[];
  readonly predicate: string | undefined;
  /** names of the columns that it reads */
  readonly reads: readonly string[];
}

const indexesQuery = physical(
  `SELECT c.relname, i.indpred IS NULL AND i.indexprs IS NULL
            AND NOT coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool, false),
          (SELECT pg_catalog.jsonb_agg(a.attname) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])),
          (SELECT pg_catalog.jsonb_agg(b.relname) FROM pg_catalog.pg_partition_tree(i.indexrelid) t
             JOIN pg_catalog.pg_class b ON b.oid = t.relid AND t.level > 0),
          i.indisexclusion,
          CASE WHEN (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)
                AND NOT coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool, false)
                AND ${USUAL_EQUALITY}
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                      JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attrelid = i.indexrelid
                        AND a.attnum <= i.indnkeyatts AND a.atttypid >= ${FIRST_USER_OID} AND t.typtype <> 'e')
            THEN pg_catalog.jsonb_build_object(
              'keys', (SELECT pg_catalog.jsonb_agg(pg_catalog.pg_get_indexdef(i.indexrelid, n, false) ORDER BY n)
                         FROM pg_catalog.generate_series(1, i.indnkeyatts) AS n),
              'predicate', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
              'reads', (SELECT pg_catalog.jsonb_agg(a.attname) FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = i.indrelid AND a.attnum > 0
                           AND (a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]) OR EXISTS (SELECT FROM pg_catalog.pg_depend p
                                 WHERE p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.objid = i.indexrelid
                                   AND p.refclassid = p.classid AND p.refobjid = i.indrelid AND p.refobjsubid = a.attnum))))::pg_catalog.text END
     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = $1 AND (i.indisunique OR i.indisexclusion) AND i.indisvalid AND i.indimmediate`,
  [26],
);

async function indexesOf(table: LogicalTable, session: SessionPort): Promise<readonly UniqueIndex[]> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const [rows] = await plainExpressions(session, [{ query: indexesQuery, parameters: [oid] }]);
  return rows!
    .map(row => row.map(field => Buffer.from(field ?? []).toString()))
    .map(([name, plain, columns, below, excludes, computed]) => ({
      name: name!,
      computed: computed ? computedUnique(computed) : undefined,
      plain: plain === 't',
      columns: columns ? (JSON.parse(columns) as string[]) : [],
      excludes: excludes === 't',
      below: below ? (JSON.parse(below) as string[]) : [],
    }));
}

function computedUnique(json: string): ComputedUnique {
  const { predicate, ...of } = JSON.parse(json) as Omit<ComputedUnique, 'predicate'> & {
    readonly predicate: string | null;
  };
  return { ...of, predicate: predicate ?? undefined };
}

/** The keys by which a row conflicts: those of whole columns are found here, others as PostgreSQL's planner infers them. */
async function arbitersOf(
  fields: RawFields,
  keys: readonly UniqueIndex[],
  table: LogicalTable,
  { session, cause }: SplitPlanning,
): Promise<readonly UniqueIndex[]> {
  const infer = (fields.onConflictClause as RawFields).infer as RawFields;
  try {
    return [arbiter(infer, keys, cause)];
  } catch (error) {
    if (error !== cause || text(infer, 'conname') !== undefined) throw error;
  }
  const { alias } = fields.relation as RawFields;
  const name = { schemaname: table.schema, relname: table.name, inh: true, relpersistence: 'p' };
  const relation = alias === undefined ? name : { ...name, alias };
  const onConflictClause = { action: 'ONCONFLICT_NOTHING', infer };
  const insert = deparse({ InsertStmt: { relation, onConflictClause, override: 'OVERRIDING_NOT_SET' } });
  const plan = await readerOn(session.trusted)(`EXPLAIN (FORMAT JSON, COSTS OFF) ${insert}`, []).catch(
    error => {
      // a parameter decides
      throw error instanceof PostgresError && error.code === '42P02' ? cause : error;
    },
  );
  const [found] = JSON.parse(plan.map(([line]) => line).join('\n')) as readonly [
    { readonly Plan: { readonly 'Conflict Arbiter Indexes'?: readonly string[] } },
  ];
  const names = found.Plan['Conflict Arbiter Indexes'];
  const arbiters = keys.filter(({ name }) => names?.includes(name));
  if (!names || arbiters.length !== names.length) throw cause;
  return arbiters;
}

/** @throws ClarusError 42P10 where there is no such index; cause for a predicate, an expression or an operator class */
function arbiter(infer: RawFields, keys: readonly UniqueIndex[], cause: Error): UniqueIndex {
  const constraint = text(infer, 'conname');
  const elements = list(infer, 'indexElems').map(fieldsOf);
  const names = elements.map(element => text(element, 'name'));
  const isPlain = elements.every(e => !e.expr && !e.opclass && list(e, 'collation').length === 0);
  if (infer.whereClause || !isPlain) throw cause;
  const found =
    constraint !== undefined
      ? keys.filter(key => key.name === constraint)
      : keys.filter(
          ({ columns }) => columns.length === new Set(names).size && columns.every(n => names.includes(n)),
        );
  const plain = found.find(key => key.plain);
  if (plain) return plain;
  if (constraint !== undefined || found.length > 0) throw cause;
  throw new ClarusError(
    '42P10',
    'there is no unique or exclusion constraint matching the ON CONFLICT specification',
  );
}

/** The columns of a key; of one that is not plain, all that it reads. */
export const columnsOf = ({ columns, computed }: UniqueIndex, table: LogicalTable): LogicalColumn[] =>
  (computed?.reads ?? columns).map(name => table.columns.find(column => column.name === name)!);

/** What the keys of a unique index are of a row. @param row by its name */
export const keysOf = (key: UniqueIndex, table: LogicalTable, row: string): readonly string[] =>
  key.computed
    ? key.computed.keys.map(sql => ofRow(sql, key.computed!, table, row))
    : key.columns.map(name => `${row}.${quoteName(name)}`);

/** Is a row in a unique index? @returns undefined: any is */
export const isIn = ({ computed }: UniqueIndex, table: LogicalTable, row: string): string | undefined =>
  computed?.predicate === undefined ? undefined : ofRow(computed.predicate, computed, table, row);

/** An expression over the names of columns, of one row among others. */
function ofRow(sql: string, { reads }: ComputedUnique, { name }: LogicalTable, row: string): string {
  const columns = reads.map(column => `${row}.${quoteName(column)} AS ${quoteName(column)}`);
  return `(SELECT ${sql} FROM (SELECT ${columns.join(', ')}) AS ${quoteName(name)})`;
}

/** The operator by which keys are unique; that of a user's type lies where the type does. */
export const equals = ({ type }: LogicalColumn): string =>
  type.oid < FIRST_USER_OID ? 'OPERATOR(pg_catalog.=)' : '=';
