/** ON CONFLICT: by which keys rows conflict, and what is done then. */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { ClarusError } from '../../../errors.js';
import { physical } from '../../compilation.js';
import { collect } from '../../execute/collect.js';
import { FIRST_USER_OID } from '../../functions.js';
import type { SessionPort } from '../../ports.js';
import { deparseExpression } from '../../raw/deparse.js';
import { child, fieldsOf, list, type RawFields, text } from '../../raw/node.js';
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
  if (!infer && (keys.some(key => !key.plain) || excluding.some(name => !own.includes(name)))) throw cause;
  const arbiters = infer ? [arbiter(infer, keys, cause)] : keys;
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
}

const indexesQuery = physical(
  `SELECT c.relname, i.indpred IS NULL AND i.indexprs IS NULL
            AND NOT coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool, false),
          (SELECT pg_catalog.jsonb_agg(a.attname) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])),
          (SELECT pg_catalog.jsonb_agg(b.relname) FROM pg_catalog.pg_partition_tree(i.indexrelid) t
             JOIN pg_catalog.pg_class b ON b.oid = t.relid AND t.level > 0),
          i.indisexclusion
     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = $1 AND (i.indisunique OR i.indisexclusion) AND i.indisvalid AND i.indimmediate`,
  [26],
);

async function indexesOf(table: LogicalTable, session: SessionPort): Promise<readonly UniqueIndex[]> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const rows = await collect(session.trusted, indexesQuery, [oid], [1], [0]);
  return rows
    .map(row => row.map(field => Buffer.from(field ?? []).toString()))
    .map(([name, plain, columns, below, excludes]) => ({
      name: name!,
      plain: plain === 't',
      columns: columns ? (JSON.parse(columns) as string[]) : [],
      excludes: excludes === 't',
      below: below ? (JSON.parse(below) as string[]) : [],
    }));
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

/** The columns of a key. */
export const columnsOf = (key: UniqueIndex, table: LogicalTable): LogicalColumn[] =>
  key.columns.map(name => table.columns.find(column => column.name === name)!);

/** The operator by which keys are unique; that of a user's type lies where the type does. */
export const equals = ({ type }: LogicalColumn): string =>
  type.oid < FIRST_USER_OID ? 'OPERATOR(pg_catalog.=)' : '=';
