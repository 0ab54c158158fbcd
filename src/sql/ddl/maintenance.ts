/**
 * REINDEX, CLUSTER and VACUUM: the shadow says whether they may be done and what is told of them, and the indexes that stand in the
 * cloud are rebuilt there.
 */
import type { LogicalTable } from '../../catalog/catalog.js';
import { nameInCloud } from '../../catalog/opaque.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { heirsOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { mustNotBeFired } from '../procedural/activity.js';
import { deparse } from '../raw/deparse.js';
import { kindOf, list, type RawFields, type RawNode, text as textOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { apart, mustBeFirst } from './apart.js';
import { beginDdl, detachCarriers, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { holdWrites, lockBoth, standsAlone } from './locks.js';
import { type Relation, rangeParts, resolveRelation } from './resolve.js';
import { refuseBlocked, tableOfRelation } from './served.js';
import { attachIndex } from './table-statements.js';
import { vacuum } from './vacuum.js';

type Done = Promise<{ readonly tag: string }>;

/** Is a statement one of these? */
export const isMaintenance = (node: RawNode): boolean => /^(Reindex|Cluster|Vacuum)Stmt$/.test(kindOf(node));

/**
 * Runs REINDEX or CLUSTER. What PostgreSQL does in several transactions is done so on both sides, one after the other.
 * @throws PostgresError of the shadow, of the cloud; ClarusError 25001 in a pipeline, 0A000, 55000 for a blocked table
 */
export async function maintain(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  if (body.node.VacuumStmt) return vacuum(session, body);
  const reindex = body.node.ReindexStmt;
  return reindex ? reindexes(session, deps, body, reindex) : cluster(session, deps, body);
}

async function reindexes(
  session: SessionPort,
  deps: DdlDependencies,
  body: DdlBody,
  fields: RawFields,
): Done {
  const concurrently = hasOption(fields, 'concurrently');
  if (concurrently || !fields.relation) mustBeFirst(session, body);
  if (!fields.relation) return reindexMany(session, body, fields);
  const range = fields.relation as RawFields;
  const found = await resolveRelation(readerOn(session.trusted), rangeParts(range));
  const table = found && tableOfRelation(session, found);
  if (!table) {
    // the system's own, and what is not there
    if (concurrently) return apart(session, body, [], []);
    await session.transaction.touchTrusted();
    return { tag: await runInShadow(session, body.text) };
  }
  refuseBlocked(table);
  mustNotBeFired(session, table, 'REINDEX');
  const computed = [table, ...heirsOf(session.catalog(), table)].filter(({ computedKeys }) => computedKeys);
  await mustComputeTheSame(session, computed);
  const several = concurrently || 'pI'.includes(found.kind);
  if (several) mustBeFirst(session, body);
  const isIndex = fields.kind === 'REINDEX_OBJECT_INDEX';
  const work = async (): Promise<readonly string[]> => {
    const word = concurrently ? ' CONCURRENTLY' : '';
    if (!isIndex)
      return rowsOf(session, table).map(({ physical }) => {
        return `REINDEX TABLE${word} ${quoteQualified(physical.schema, physical.name)}`;
      });
    const standing = await indexesOf(session, found);
    return standing.map(({ name }) => `REINDEX INDEX${word} ${name}`);
  };
  // afterwards the indexes are others
  if (several) {
    const heirs = heirsOf(session.catalog(), table);
    // the shadow has no rows; CONCURRENTLY would give its indexes other OIDs, and wait for those who wait to read its trees
    const isInTree = heirs.length > 0 || !standsAlone(table, session.catalog());
    if (concurrently && isInTree) mustNotExclude([table, ...heirs]);
    const strips = concurrently && (computed.length > 0 || isInTree) && !session.transaction.block;
    const text = strips ? withoutConcurrently(body.node) : body.text;
    return apart(session, { ...body, text }, [table, ...heirs], await work());
  }
  await beginDdl(session, deps);
  await holdWrites(session, deps, [table], 'SHARE');
  const isSwitched = !standsAlone(table, session.catalog());
  if (isSwitched) await detachCarriers(session, [table]);
  const tag = await runInShadow(session, body.text);
  for (const sql of await work()) await session.cloud.run(sql);
  // its lock in the shadow keeps other backends from reading it
  if (isSwitched) session.transaction.record(body.text, []);
  return { tag };
}

/** @throws ClarusError 0A000 where PostgreSQL tells of constraints that it does not rebuild so */
function mustNotExclude(tables: readonly LogicalTable[]): void {
  const found = tables.find(({ exclusions }) => exclusions && exclusions.length > 0);
  if (found)
    throw new ClarusError('0A000', `the indexes of table "${found.name}" are not rebuilt CONCURRENTLY`, {
      detail: 'It has an EXCLUDE constraint, and takes part in inheritance or is a partition.',
      hint: 'Leave CONCURRENTLY out.',
    });
}

function withoutConcurrently({ ReindexStmt: fields }: RawNode): string {
  const params = list(fields!, 'params').filter(
    option => textOf(option.DefElem!, 'defname') !== 'concurrently',
  );
  return deparse({ ReindexStmt: { ...fields!, params } });
}

/**
 * REINDEX computes anew what an index stands on, which matters where a function of users has been replaced.
 * @throws ClarusError 0A000 where such an index calls one
 */
async function mustComputeTheSame(session: SessionPort, tables: readonly LogicalTable[]): Promise<void> {
  const indexes = tables.flatMap(({ computedKeys }) => (computedKeys ?? []).map(({ index }) => index));
  if (indexes.length === 0) return;
  const [row] = await readerOn(session.trusted)(
    `SELECT pg_catalog.min(c.relname::text) FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = ANY ($1::pg_catalog.oid[])
        AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass`,
    [`{${indexes.join()}}`],
  );
  if (row?.[0] != null)
    throw new ClarusError('0A000', `unique index "${row[0]}" is not rebuilt`, {
      detail:
        'It calls a function of users, and what it stands on in the cloud is computed when rows are written.',
      hint: 'Drop the index and make it again.',
      constraint: row[0],
    });
}

/** REINDEX of a schema or a database: the cloud says whether that may be done, whose tables they are. */
async function reindexMany(session: SessionPort, body: DdlBody, fields: RawFields): Done {
  const [row] = await readerOn(session.trusted)(
    `SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace n WHERE $1 AND n.nspname = $2`,
    [String(fields.kind === 'REINDEX_OBJECT_SCHEMA'), textOf(fields, 'name') ?? ''],
  );
  if (hasOption(fields, 'verbose'))
    throw new ClarusError(
      '0A000',
      'VERBOSE of many tables is not supported in a database with protected tables',
      {
        detail: 'It would tell of what stands in the cloud.',
        hint: 'Leave VERBOSE out.',
      },
    );
  const schema = fields.kind === 'REINDEX_OBJECT_SCHEMA' ? textOf(fields, 'name') : undefined;
  const isMeant = (table: LogicalTable): boolean =>
    fields.kind !== 'REINDEX_OBJECT_SYSTEM' && (schema === undefined || table.schema === schema);
  const computed = [...session.catalog().tables.values()].filter(t => t.computedKeys && isMeant(t));
  if (computed.length > 0 && hasOption(fields, 'concurrently') && !session.transaction.block)
    throw new ClarusError(
      '0A000',
      'CONCURRENTLY of many tables is not supported beside such unique indexes',
      {
        detail: `Table "${computed[0]!.name}" has one of expressions, or with a predicate, over protected columns.`,
        hint: 'Rebuild the indexes of one table after the other.',
      },
    );
  await mustComputeTheSame(session, computed);
  const word = words[fields.kind as string];
  const options = hasOption(fields, 'concurrently') ? ' CONCURRENTLY' : '';
  const name = textOf(fields, 'name');
  const sql = `REINDEX ${word}${options}${name === undefined ? '' : ` ${quoteName(name)}`}`;
  const strips = options !== '' && schema !== undefined && !/^pg_/.test(schema) && !session.transaction.block;
  const text = strips ? withoutConcurrently(body.node) : body.text;
  return apart(session, { ...body, text }, everyTable(session), [sql], row?.[0] === 't');
}

const words: Readonly<Record<string, string>> = {
  REINDEX_OBJECT_SCHEMA: 'SCHEMA',
  REINDEX_OBJECT_SYSTEM: 'SYSTEM',
  REINDEX_OBJECT_DATABASE: 'DATABASE',
};

/**
 * CLUSTER. The order of rows has a meaning in the cloud where the index stands there: that of tags is none of values.
 * @throws ClarusError 0A000 for VERBOSE
 */
async function cluster(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const fields = body.node.ClusterStmt!;
  if (hasOption(fields, 'verbose'))
    throw new ClarusError('0A000', 'CLUSTER VERBOSE is not supported in a database with protected tables', {
      detail: 'The trusted side has no rows that it could tell of.',
      hint: 'Leave VERBOSE out.',
    });
  if (!fields.relation) {
    mustBeFirst(session, body);
    return apart(session, body, everyTable(session), () => clusterStatements(session, undefined));
  }
  const found = await resolveRelation(readerOn(session.trusted), rangeParts(fields.relation as RawFields));
  const table = found && tableOfRelation(session, found);
  if (!table) {
    await session.transaction.touchTrusted();
    return { tag: await runInShadow(session, body.text) };
  }
  refuseBlocked(table);
  mustNotBeFired(session, table, 'CLUSTER');
  const work = (): Promise<readonly string[]> => clusterStatements(session, rowsOf(session, table));
  if (found.kind === 'p') {
    mustBeFirst(session, body);
    return apart(session, body, heirsOf(session.catalog(), table), work);
  }
  await beginDdl(session, deps);
  await lockBoth(session, deps, [table]);
  const tag = await runInShadow(session, body.text);
  for (const sql of await work()) await session.cloud.run(sql);
  session.transaction.record(body.text, []);
  return { tag };
}

const clusteredQuery = `
SELECT i.indrelid::text, i.indexrelid::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
 WHERE i.indisclustered AND pg_catalog.pg_has_role(c.relowner, 'USAGE') AND c.oid >= 16384`;

/** What clusters tables in the cloud by the indexes by which the shadow now says that they are. */
async function clusterStatements(
  session: SessionPort,
  tables: readonly LogicalTable[] | undefined,
): Promise<readonly string[]> {
  const statements: string[] = [];
  for (const [owner, index] of await readerOn(session.trusted)(clusteredQuery, [])) {
    const table = session.catalog().tables.get(Number(owner));
    if (!table || table.state === 'blocked' || (tables && !tables.includes(table))) continue;
    const { schema, name } = table.physical;
    for (const { bare } of await namesInCloud(session, [Number(index)]))
      statements.push(`CLUSTER ${quoteQualified(schema, name)} USING ${quoteName(bare)}`);
  }
  return statements;
}

/** Commands of ALTER INDEX that change how it is stored, and nothing else. */
const ofIndex: ReadonlySet<unknown> = new Set([
  'AT_SetRelOptions',
  'AT_ResetRelOptions',
  'AT_SetStatistics',
  'AT_SetOptions',
  'AT_ResetOptions',
]);

/**
 * ALTER INDEX of how an index is stored: of a protected table where it stands in the cloud.
 * @throws ClarusError 0A000 for what is about the cloud's server, 55000 for a blocked table
 */
export async function alterIndex(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const fields = body.node.AlterTableStmt!;
  const cmds = list(fields, 'cmds');
  if (cmds.every(({ AlterTableCmd: command }) => command?.subtype === 'AT_AttachPartition'))
    return attachIndex(session, deps, body);
  if (!cmds.every(({ AlterTableCmd: command }) => ofIndex.has(command?.subtype)))
    throw new ClarusError(
      '0A000',
      'ALTER INDEX of this kind is not supported in a database with protected tables',
      {
        hint: 'Where the cloud stores what, say past Clarus.',
      },
    );
  const found = await resolveRelation(readerOn(session.trusted), rangeParts(fields.relation as RawFields));
  const table = found && tableOfRelation(session, found);
  const tag = await runInShadow(session, body.text);
  if (!table) return { tag };
  refuseBlocked(table);
  for (const { bare, computes } of await namesInCloud(session, [found.oid])) {
    const relation = { schemaname: table.physical.schema, relname: bare, inh: true, relpersistence: 'p' };
    const there = cmds.filter(({ AlterTableCmd: cmd }) => computes || cmd?.subtype !== 'AT_SetStatistics');
    if (there.length > 0)
      await session.cloud.run(
        deparse({ AlterTableStmt: { relation, cmds: there, objtype: 'OBJECT_INDEX' } }),
      );
  }
  session.transaction.record(body.text, []);
  return { tag };
}

/** The tables of the cloud that hold the rows of one: its partitions, or itself. */
const rowsOf = (session: SessionPort, table: LogicalTable): readonly LogicalTable[] =>
  table.partitioned
    ? heirsOf(session.catalog(), table).filter(
        ({ partitioned, state }) => !partitioned && state !== 'blocked',
      )
    : [table];

interface IndexInCloud {
  /** qualified */
  readonly name: string;
  readonly bare: string;
  /** it has expressions there: those over protected columns are tags */
  readonly computes: boolean;
}

/** An index, or those of the partitions that it is made up of, as far as they stand in the cloud. */
export async function indexesOf(session: SessionPort, index: Relation): Promise<readonly IndexInCloud[]> {
  if (index.kind !== 'I') return namesInCloud(session, [index.oid]);
  const leaves = await readerOn(session.trusted)(
    'SELECT relid::pg_catalog.oid::text FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) WHERE isleaf',
    [String(index.oid)],
  );
  return namesInCloud(
    session,
    leaves.map(([oid]) => Number(oid)),
  );
}

async function namesInCloud(session: SessionPort, oids: readonly number[]): Promise<readonly IndexInCloud[]> {
  const found: IndexInCloud[] = [];
  const rows = await readerOn(session.trusted)(
    `SELECT c.relname::text, i.indrelid::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      WHERE i.indexrelid = ANY ($1::pg_catalog.oid[])`,
    [`{${oids.join()}}`],
  );
  for (const [logical, owner] of rows) {
    const table = session.catalog().tables.get(Number(owner));
    if (!table || table.state === 'blocked') continue;
    const bare = nameInCloud(table, logical ?? '');
    const name = quoteQualified(table.physical.schema, bare);
    const [there] = await readerOn(session.cloud)(
      'SELECT indexprs IS NOT NULL FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass($1)',
      [name],
    );
    if (there) found.push({ name, bare, computes: there[0] === 't' });
  }
  return found;
}

const everyTable = (session: SessionPort): readonly LogicalTable[] => [...session.catalog().tables.values()];

/** An option in parentheses, or before them. */
function hasOption(fields: RawFields, name: string): boolean {
  return list(fields, 'params').some(({ DefElem: option }) => {
    if (textOf(option ?? {}, 'defname') !== name) return false;
    // defGetBoolean of define.c
    const { Integer: number, String: word } = (option?.arg as RawNode | undefined) ?? {};
    if (number) return number.ival === 1;
    return !/^(false|off)$/i.test(String(word?.sval ?? 'true'));
  });
}
