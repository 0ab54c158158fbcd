/** CREATE, ALTER, RENAME, DROP of tables and their indexes, over the pipeline of tables.ts. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { blockedTable } from '../../catalog/protection.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { missingColumns } from '../../policy/unmatched.js';
import type { SessionPort } from '../plan.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, text as textOf } from '../raw/node.js';
import { detachCarriers, lockInCloud, readerOn, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { refuseOtherProtection } from './renames.js';
import {
  creationSchema,
  listParts,
  qualifyRelations,
  type Relation,
  rangeParts,
  resolveRelation,
} from './resolve.js';
import {
  refuseLikeOfProtected,
  refuseTiesToProtected,
  refuseTypeChange,
  requireAlterable,
} from './table-checks.js';
import { changeTables, type TableStatement } from './tables.js';

interface Tag {
  readonly tag: string;
}

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
  const mirrored = mayMirror ? await qualifyRelations(readerOn(session.trusted), node) : undefined;
  const mirror = mirrored && (async (): Promise<string> => session.cloud.run(deparse(mirrored)));
  const { tag } = await changeTables(session, deps, { ...statement, mirror, text });
  return { tag };
}

/**
 * CREATE TABLE: the policy decides whether it is made protected or open.
 * @throws ClarusError 0A000 for a temporary table, and where the policy or an encoding forbids it
 */
export async function createTable(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const read = readerOn(session.trusted);
  const { fields, node } = withCreationSchema(body.node, 'relation', await creationSchema(read));
  if (fields.relpersistence === 't')
    throw new ClarusError('0A000', 'temporary tables are not supported in a database with protected tables', {
      hint: 'Use an ordinary table that the policy lists.',
    });
  const parts = rangeParts(fields);
  if (body.node.CreateStmt?.if_not_exists === true && (await resolveRelation(read, parts)))
    return { tag: await runInShadow(session, body.text) };
  return run(session, deps, { ...body, node }, undefined, {
    scope: await referencedTables(session, body.node),
    check: async ({ changed }) => {
      for (const { before, after } of changed) {
        if (before || !after) continue;
        await refuseLikeOfProtected(session, body.node, after.table);
        for (const { message, suggestion } of missingColumns(session.catalog().policy, [after.table]))
          session.client.notice({
            severity: 'WARNING',
            code: '01000',
            message: `the policy names a column that is not there: ${message}`,
            ...(suggestion === undefined ? {} : { hint: `In the policy: ${suggestion}` }),
          });
      }
    },
  });
}

/** What LIKE takes over is said by the derived table. */
const hasLike = (node: RawNode): boolean =>
  list(fieldsOf(node), 'tableElts').some(element => kindOf(element) === 'TableLikeClause');

/** Shadow OIDs of the tables that a new table refers to by foreign keys, inheritance or partitioning. */
async function referencedTables(session: SessionPort, node: RawNode): Promise<readonly number[]> {
  const fields = fieldsOf(node);
  const names = list(fields, 'inhRelations').map(fieldsOf);
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
  const relation = await resolveRelation(
    readerOn(session.trusted),
    rangeParts(body.node.AlterTableStmt?.relation as RawFields),
  );
  if (!relation) return { tag: await runInShadow(session, body.text) };
  const table = servedTable(session, relation);
  const commands = list(fieldsOf(body.node), 'cmds');
  if (table.state === 'protected') requireAlterable(table, commands);
  await refuseTiesToProtected(session, commands);
  if (!commands.every(addsForeignKey)) await lockBoth(session, [table]);
  const scope = [table.oid, ...neighbours(session, table), ...(await referencedBy(session, commands))];
  return run(session, deps, body, table, {
    scope,
    afterwards: table.state === 'protected' ? ownerStatements(table, commands) : [],
    check: ({ changed }) => refuseTypeChange(changed),
  });
}

/** A foreign key lets readers through, in either place. */
const addsForeignKey = ({ AlterTableCmd: command }: RawNode): boolean =>
  (command?.def as RawNode | undefined)?.Constraint?.contype === 'CONSTR_FOREIGN';

/** A new owner is a role of both sides. */
function ownerStatements(table: LogicalTable, commands: readonly RawNode[]): readonly string[] {
  return commands.flatMap(({ AlterTableCmd: command }) => {
    if (command?.subtype !== 'AT_ChangeOwner') return [];
    const owner = command.newowner as RawFields | undefined;
    const name = textOf(owner ?? {}, 'rolename');
    const role = name === undefined ? 'CURRENT_USER' : quoteName(name);
    return [`ALTER TABLE ${quoteQualified(table.physical.schema, table.physical.name)} OWNER TO ${role}`];
  });
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
  const relation = await resolveRelation(
    readerOn(session.trusted),
    rangeParts(fieldsOf(body.node).relation as RawFields),
  );
  if (!relation) return { tag: await runInShadow(session, body.text) };
  const table = servedTable(session, relation);
  await lockBoth(session, [table]);
  return run(session, deps, body, table, {
    scope: [table.oid, ...neighbours(session, table)],
    check: ({ changed }) => refuseOtherProtection(changed, session.catalog().policy),
  });
}

/**
 * CREATE INDEX. The cloud gets it where it can stand on what is there, so on a protected column over its tag.
 * @throws ClarusError 25001 for CONCURRENTLY inside a transaction block
 */
export async function createIndex(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const index = fieldsOf(body.node);
  const plainBody = withoutConcurrently(session, body, index, 'CREATE INDEX CONCURRENTLY');
  const relation = await resolveRelation(readerOn(session.trusted), rangeParts(index.relation as RawFields));
  if (!relation) return { tag: await runInShadow(session, plainBody.text) };
  const table = servedTable(session, relation);
  return run(session, deps, plainBody, table, { scope: [table.oid] });
}

/** Both sides commit as one, which CONCURRENTLY cannot: the index is made without it. */
function withoutConcurrently(session: SessionPort, body: DdlBody, fields: RawFields, what: string): DdlBody {
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
    const owner = tableOfRelation(session, found);
    if (!owner) continue;
    scope.add(owner.oid);
    if (owner.state !== 'blocked') owners.add(owner);
    for (const neighbour of neighbours(session, owner)) scope.add(neighbour);
  }
  await lockBoth(session, owners);
  const cascade = fields.behavior === 'DROP_CASCADE';
  const { tag } = await changeTables(session, deps, { scope: [...scope], text: plainBody.text, cascade });
  return { tag };
}

/**
 * ALTER INDEX ... RENAME TO: the physical index follows where there is one.
 * @throws ClarusError 55000 when its table is blocked
 */
export async function renameIndex(session: SessionPort, deps: DdlDependencies, body: DdlBody): Promise<Tag> {
  const relation = await resolveRelation(
    readerOn(session.trusted),
    rangeParts(fieldsOf(body.node).relation as RawFields),
  );
  const table = relation && tableOfRelation(session, relation);
  if (!table) return { tag: await runInShadow(session, body.text) };
  refuseBlocked(table);
  const { tag } = await changeTables(session, deps, { scope: [table.oid], text: body.text });
  return { tag };
}

/** The catalogue's table of a relation or of the index or sequence it owns. */
export function tableOfRelation(session: SessionPort, relation: Relation): LogicalTable | undefined {
  const { tables } = session.catalog();
  return tables.get(relation.oid) ?? tables.get(relation.table);
}

/**
 * The table of a relation.
 * @throws ClarusError 55000 when it is blocked, 0A000 when the catalogue does not know it
 */
export function servedTable(session: SessionPort, relation: Relation): LogicalTable {
  const table = tableOfRelation(session, relation);
  if (!table)
    throw new ClarusError('0A000', `"${relation.name}" is not a table that Clarus knows`, {
      schema: relation.schema,
      table: relation.name,
    });
  return refuseBlocked(table);
}

/** @throws ClarusError 55000 for a table that is neither served nor written */
export function refuseBlocked(table: LogicalTable): LogicalTable {
  if (table.state === 'blocked') throw blockedTable(table);
  return table;
}

/** Takes the locks of a statement that locks its tables against everybody, the cloud's first. */
async function lockBoth(session: SessionPort, tables: Iterable<LogicalTable>): Promise<void> {
  await lockInCloud(session, tables);
  await detachCarriers(session, tables);
}
