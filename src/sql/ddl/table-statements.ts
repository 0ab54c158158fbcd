/** CREATE, ALTER, RENAME, DROP of tables and their indexes, over the pipeline of tables.ts. */
import { type LogicalTable, tableNumbered } from '../../catalog/catalog.js';
import { hasHeirs, treeOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import { missingColumns } from '../../policy/unmatched.js';
import type { SessionPort } from '../ports.js';
import { mustNotBeFired } from '../procedural/activity.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { detachCarriers, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import type { ChangedTable } from './changed-table.js';
import { mustStayFireable } from './fireable.js';
import { holdWrites, letReadsGoOn, lockBoth, lockToAlter, standsAlone } from './locks.js';
import { ownerStatements, withoutLogicalOwners } from './ownership.js';
import { physicalCommands } from './physical-commands.js';
import { viewsOver } from './populated.js';
import { refuseOtherProtection } from './renames.js';
import {
  creationSchema,
  listParts,
  qualifyRelations,
  type Relation,
  rangeParts,
  resolveRelation,
} from './resolve.js';
import { joinsTree, refuseInTrees } from './secured-trees.js';
import { refuseBlocked, servedTable, tableOfRelation } from './served.js';
import {
  conversions,
  laterDefaults,
  refuseLikeOfProtected,
  requireAlterable,
  tiedTables,
} from './table-checks.js';
import { changeTables, type TableStatement } from './tables.js';
import { defineInCloud } from './types.js';
import { refuseOtherRows, tablesHolding } from './values-of-types.js';

type Tag = { readonly tag: string };

/**
 * Runs a statement through the pipeline. An open table is changed in the cloud by the client's own statement, with
 * its names resolved; a protected one never, whether or not the statement changes anything.
 * @param target the table that the statement is about; undefined: the one it makes
 */
async function run(
  session: SessionPort,
  deps: DdlDependencies,
  { node, text }: DdlBody,
  target: LogicalTable | undefined,
  statement: Omit<TableStatement, 'text' | 'mirror'>,
): Promise<Tag> {
  const mayMirror = (target === undefined || target.state === 'open') && !hasLike(node);
  // Names are resolved before the shadow changes: afterwards they may mean something else.
  const mirrored = mayMirror ? await withoutLogicalOwners(session, node) : undefined;
  const qualified = mirrored && (await qualifyRelations(readerOn(session.trusted), mirrored));
  const mirror = qualified
    ? (): Promise<unknown> => defineInCloud(session, deparse(qualified))
    : mayMirror
      ? async (): Promise<void> => undefined
      : undefined;
  const { tag } = await changeTables(session, deps, { ...statement, mirror, text });
  return { tag };
}

/** The relation that a statement names. */
const relationOf = (session: SessionPort, { node }: DdlBody): Promise<Relation | undefined> =>
  resolveRelation(readerOn(session.trusted), rangeParts(fieldsOf(node).relation as RawFields));

/**
 * CREATE TABLE: the policy decides whether it is made protected or open.
 * @throws ClarusError 0A000 where the policy or an encoding forbids it
 */
export async function createTable(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const read = readerOn(session.trusted);
  const { fields, node } = withCreationSchema(
    body.node,
    'relation',
    await creationSchema(read, fieldsOf(body.node).relation as RawFields),
  );
  const parts = rangeParts(fields);
  if (body.node.CreateStmt?.if_not_exists === true && (await resolveRelation(read, parts)))
    return { tag: await runInShadow(session, body.text) };
  const parents = await tablesNamed(session, list(fieldsOf(body.node), 'inhRelations').map(fieldsOf));
  const referenced = await referencedTables(session, body.node);
  const trees = [
    ...parents.flatMap(parent => treeOf(session.catalog(), parent)),
    ...treesOf([...referenced, ...referredBy(parents, session)], session),
  ];
  if (trees.some(({ state }) => state === 'protected')) await lockBoth(session, deps, trees);
  return run(session, deps, { ...body, node }, undefined, {
    scope: [...referenced, ...trees.map(({ oid }) => oid)],
    check: async ({ changed }) => {
      if (parents.length > 0) await refuseInTrees(session);
      for (const { before, after } of changed) {
        if (before || !after) continue;
        await refuseLikeOfProtected(session, body.node, after.table);
      }
      await mustStayFireable(changed, session);
      warnOfMissingColumns(session, changed);
    },
  });
}

/** Tells of columns that the policy names and a new table has not. */
export function warnOfMissingColumns(session: SessionPort, changed: readonly ChangedTable[]): void {
  const made = changed.flatMap(({ before, after }) => (before || !after ? [] : [after.table]));
  for (const { message, suggestion } of missingColumns(session.catalog().policy, made))
    session.client.notice({
      severity: 'WARNING',
      code: '01000',
      message: `the policy names a column that is not there: ${message}`,
      ...(suggestion === undefined ? {} : { hint: `In the policy: ${suggestion}` }),
    });
}

/** What LIKE takes over is said by the derived table. */
const hasLike = (node: RawNode): boolean =>
  list(fieldsOf(node), 'tableElts').some(element => kindOf(element) === 'TableLikeClause');

/** Shadow OIDs of the tables that a new table refers to by foreign keys. */
async function referencedTables(session: SessionPort, node: RawNode): Promise<readonly number[]> {
  const fields = fieldsOf(node);
  const names: RawFields[] = [];
  for (const element of list(fields, 'tableElts')) {
    const constraints = kindOf(element) === 'Constraint' ? [element] : list(fieldsOf(element), 'constraints');
    for (const constraint of constraints)
      if (constraint.Constraint?.pktable) names.push(constraint.Constraint.pktable as RawFields);
  }
  const oids: number[] = [];
  for (const name of names) {
    const found = await resolveRelation(readerOn(session.trusted), rangeParts(name));
    if (found) oids.push(found.oid);
  }
  return oids;
}

/** Does a command make a table a partition, or one by itself? */
const ofPartition = ({ AlterTableCmd: command }: RawNode): boolean =>
  command?.subtype === 'AT_AttachPartition' || command?.subtype === 'AT_DetachPartition';

/** Partitioned tables to which foreign keys of tables refer, which partitions have too. @returns OIDs in the shadow */
function referredBy(tables: Iterable<LogicalTable>, session: SessionPort): readonly number[] {
  const numbers = [...tables].flatMap(({ keys }) =>
    keys.flatMap(({ references }) => (references?.collected ? [references.table] : [])),
  );
  return numbers.map(number => tableNumbered(session.catalog(), number)!.oid);
}

/** What makes up those tables that are protected and partitioned, or partitions. @param oids in the shadow */
const treesOf = (oids: readonly number[], session: SessionPort): readonly LogicalTable[] =>
  oids.flatMap(oid => {
    const table = session.catalog().tables.get(oid);
    const isTree = table?.state === 'protected' && (table.partitioned || table.bounds);
    return table && isTree ? treeOf(session.catalog(), table) : [];
  });

/** The tables of the catalogue that names resolve to. */
async function tablesNamed(
  session: SessionPort,
  names: readonly RawFields[],
): Promise<readonly LogicalTable[]> {
  const found: LogicalTable[] = [];
  for (const name of names) {
    const relation = await resolveRelation(readerOn(session.trusted), rangeParts(name));
    const table = relation && session.catalog().tables.get(relation.oid);
    if (table) found.push(table);
  }
  return found;
}

/** The statement with the schema of what it creates said. */
export function withCreationSchema(
  node: RawNode,
  field: string,
  schema: string,
): { readonly node: RawNode; readonly fields: RawFields } {
  const all = fieldsOf(node);
  const fields: RawFields = { schemaname: schema, ...(all[field] as RawFields) };
  return { node: { [kindOf(node)]: { ...all, [field]: fields } }, fields };
}

/**
 * ALTER TABLE and ALTER MATERIALIZED VIEW of everything but names; the tables that foreign keys tie to it change with it.
 * @throws ClarusError 0A000 for what a protected table cannot have, 55000 for a blocked table
 */
export async function alterTable(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const relation = await relationOf(session, body);
  if (!relation) return { tag: await runInShadow(session, body.text) };
  const table = servedTable(session, relation);
  mustNotBeFired(session, table, 'ALTER TABLE');
  const commands = list(fieldsOf(body.node), 'cmds');
  if (table.state === 'protected') {
    requireAlterable(table, commands);
    const later = commands.filter(laterDefaults(commands));
    if (later.length > 0) {
      const some = (cmds: readonly RawNode[]): DdlBody => {
        const node = { [kindOf(body.node)]: { ...fieldsOf(body.node), cmds } };
        return { ...body, node, text: deparse(node) };
      };
      await alterTable(session, deps, some(commands.filter(command => !later.includes(command))));
      return alterTable(session, deps, some(later));
    }
  }
  if (table.state === 'protected' && hasHeirs(session.catalog(), table)) refuseTypesBelow(table, commands);
  const tied = await tiedTables(session, commands);
  const referenced = await referencedBy(session, commands);
  const own = [table, ...tied].flatMap(one => treeOf(session.catalog(), one));
  const joined = commands.some(ofPartition) ? referredBy(own, session) : [];
  const trees = new Set([...own, ...treesOf([...referenced, ...joined], session)]);
  const views = await viewsOver(
    session,
    [...trees].map(({ oid }) => oid),
  );
  const readable = await lockToAlter(session, deps, table, commands, [...new Set([...trees, ...views])]);
  if (!readable) await detachCarriers(session, await tablesHolding(session, [table.oid]));
  const cascades = commands.some(({ AlterTableCmd: command }) => command?.behavior === 'DROP_CASCADE');
  const scope = [...[...trees].flatMap(one => [one.oid, ...neighbours(session, one)]), ...referenced];
  return run(session, deps, body, table, {
    scope: cascades ? undefined : scope,
    readable,
    check: async ({ changed }) => {
      await mustStayFireable(changed, session);
      if (commands.some(joinsTree)) await refuseInTrees(session);
      await refuseOtherRows(session, deps, changed);
    },
    ...(table.state === 'protected' ? { conversions: conversions(table, commands) } : {}),
    afterwards:
      table.state === 'protected'
        ? [...(await ownerStatements(session, table, commands)), ...physicalCommands(table, commands)]
        : [],
  });
}

/** @throws ClarusError 0A000 where the type of a column changes that others have from the table */
function refuseTypesBelow(table: LogicalTable, commands: readonly RawNode[]): void {
  if (commands.every(({ AlterTableCmd: command }) => command?.subtype !== 'AT_AlterColumnType')) return;
  throw new ClarusError(
    '0A000',
    `the type of a column of "${table.name}" cannot be changed with those of its partitions or heirs`,
    {
      detail:
        'In the cloud each of them is a table by itself, whose rows would be sealed anew by one statement.',
      hint: 'Add a column of the new type and copy the values.',
      table: table.name,
    },
  );
}

async function referencedBy(session: SessionPort, commands: readonly RawNode[]): Promise<readonly number[]> {
  const oids: number[] = [];
  for (const command of commands) {
    const definition = command.AlterTableCmd?.def as RawNode | undefined;
    const constraints = definition?.Constraint
      ? [definition]
      : list((definition?.ColumnDef as RawFields | undefined) ?? {}, 'constraints');
    for (const { Constraint: constraint } of constraints) {
      if (!constraint?.pktable) continue;
      const found = await resolveRelation(
        readerOn(session.trusted),
        rangeParts(constraint.pktable as RawFields),
      );
      if (found) oids.push(found.oid);
    }
  }
  return oids;
}

/** Tables whose foreign keys refer to a table: they change when its keys go. */
function neighbours(session: SessionPort, table: LogicalTable): readonly number[] {
  return [...session.catalog().tables.values()].flatMap(other =>
    other.keys.some(key => key.references?.table === table.number) ? [other.oid] : [],
  );
}

/** RENAME of a table, a column or a constraint, and SET SCHEMA. */
export async function renameTable(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const relation = await relationOf(session, body);
  if (!relation) return { tag: await runInShadow(session, body.text) };
  const table = servedTable(session, relation);
  const tree = treeOf(session.catalog(), table);
  await lockBoth(session, deps, tree);
  return run(session, deps, body, table, {
    scope: tree.flatMap(one => [one.oid, ...neighbours(session, one)]),
    check: ({ changed }) => refuseOtherProtection(changed, session.catalog().policy),
  });
}

/**
 * CREATE INDEX. The cloud gets it where it can stand on what is there, so on a protected column over its tag.
 * @throws ClarusError 25001 for CONCURRENTLY inside a transaction block, 0A000 for it on a partitioned table
 */
export async function createIndex(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const index = fieldsOf(body.node);
  const plainBody = withoutConcurrently(session, body, index, 'CREATE INDEX CONCURRENTLY');
  const relation = await relationOf(session, body);
  // DefineIndex in indexcmds.c
  if (relation?.kind === 'p' && index.concurrent === true)
    throw new ClarusError(
      '0A000',
      `cannot create index on partitioned table "${relation.name}" concurrently`,
    );
  if (!relation) return { tag: await runInShadow(session, plainBody.text) };
  const table = servedTable(session, relation);
  mustNotBeFired(session, table, 'CREATE INDEX');
  const tree = treeOf(session.catalog(), table);
  // what is made of it, an index of users cannot be while its rows are carried
  const isAlone = relation.kind !== 'f' && standsAlone(table, session.catalog());
  if (isAlone) {
    await holdWrites(session, deps, [table], 'SHARE');
    await letReadsGoOn(session, table);
  } else if (table.state === 'protected') await lockBoth(session, deps, tree);
  return run(session, deps, plainBody, table, { scope: tree.map(({ oid }) => oid), readable: isAlone });
}

/**
 * Both sides commit as one, which CONCURRENTLY cannot: the index is made without it.
 * @throws ClarusError 25001 inside a transaction block
 */
export function withoutConcurrently(
  session: SessionPort,
  body: DdlBody,
  fields: RawFields,
  what: string,
): DdlBody {
  if (fields.concurrent !== true) return body;
  if (session.transaction.explicit)
    throw new ClarusError('25001', `${what} cannot run inside a transaction block`);
  const { concurrent: _concurrent, ...rest } = fields;
  const node = { [kindOf(body.node)]: rest };
  return { ...body, node, text: deparse(node) };
}

/** DROP TABLE and DROP INDEX. */
export async function dropTables(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const fields = fieldsOf(body.node);
  const plainBody = withoutConcurrently(session, body, fields, 'DROP INDEX CONCURRENTLY');
  const read = readerOn(session.trusted);
  const scope = new Set<number>();
  const owners = new Set<LogicalTable>();
  for (const object of list(fields, 'objects')) {
    const found = await resolveRelation(read, listParts(object));
    if (!found) continue;
    // RemoveRelations in tablecmds.c
    if (found.kind === 'I' && fields.concurrent === true)
      throw new ClarusError('0A000', `cannot drop partitioned index "${found.name}" concurrently`);
    const owner = tableOfRelation(session, found);
    if (!owner) continue;
    for (const one of treeOf(session.catalog(), owner)) {
      scope.add(one.oid);
      if (one.state !== 'blocked') owners.add(one);
      for (const neighbour of neighbours(session, one)) scope.add(neighbour);
    }
  }
  for (const view of await viewsOver(session, scope)) owners.add(view);
  await lockBoth(session, deps, owners);
  await detachCarriers(session, await tablesHolding(session, scope));
  const cascade = fields.behavior === 'DROP_CASCADE';
  const { tag } = await changeTables(session, deps, {
    scope: cascade ? undefined : [...scope],
    text: plainBody.text,
    cascade,
  });
  return { tag };
}

/**
 * ALTER INDEX ... RENAME TO: the physical index follows where there is one.
 * @throws ClarusError 55000 when its table is blocked
 */
export async function renameIndex(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const relation = await relationOf(session, body);
  const table = relation && tableOfRelation(session, relation);
  if (!table) return { tag: await runInShadow(session, body.text) };
  refuseBlocked(table);
  const scope = treeOf(session.catalog(), table).map(({ oid }) => oid);
  const { tag } = await changeTables(session, deps, { scope, text: body.text });
  return { tag };
}

/**
 * ALTER INDEX ... ATTACH PARTITION: of a protected table the indexes of the cloud stand by themselves.
 * @throws ClarusError 55000 when a table is blocked
 */
export async function attachIndex(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const relation = await relationOf(session, body);
  if (!relation) return { tag: await runInShadow(session, body.text) };
  const table = servedTable(session, relation);
  const tree = treeOf(session.catalog(), table);
  if (table.state === 'protected') await lockBoth(session, deps, tree);
  return run(session, deps, body, table, { scope: tree.map(({ oid }) => oid) });
}
