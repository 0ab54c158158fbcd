/** Executes a planned DDL statement over the session's two backends. */
import { ClarusError } from '../../errors.js';
import type { ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, kindOf, type RawFields, type RawNode, stringOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { refuseSecuredExpressions } from '../row-security/routines.js';
import { alterRoutine, areRoutines } from './altered-routines.js';
import { alterAttributes } from './attributes.js';
import { beginDdl, inShadow } from './backends.js';
import type { DdlBody, DdlDependencies, QueryRunner } from './body.js';
import { comment } from './comment.js';
import { saidOfStatement } from './errors.js';
import { alterDefaultPrivileges, grant, grantRoles } from './grants.js';
import { securityLabel } from './label.js';
import { alterIndex, isMaintenance, maintain } from './maintenance.js';
import { refreshMaterialisedView } from './materialised.js';
import { alterType, createExtension, dropObjects, ofTrustedSide } from './objects.js';
import { dropOwned, reassignOwned } from './owned.js';
import { alterSequence, createSequence } from './owned-sequences.js';
import { changeOwner, changeOwnerInShadow, changeOwnerOfRelation, ownedRelation } from './owners.js';
import { refuseDefiners } from './ownership.js';
import { alterView, createFunction, createView } from './queries.js';
import { listParts, rangeParts, resolveRelation } from './resolve.js';
import { alterRole, commentOnRole, createRole, dropRoles, renameRole } from './roles.js';
import { altersRowSecurity, changeRowSecurity, tableNamed, tablesOfPolicies } from './row-security.js';
import { createSchema } from './schemas.js';
import { createTableAs } from './table-as.js';
import {
  alterTable,
  createIndex,
  createTable,
  dropTables,
  renameIndex,
  renameTable,
} from './table-statements.js';
import { temporaryDdl } from './temporary.js';
import { createTrigger, dropTrigger, renameTrigger } from './triggers.js';
import { truncate } from './truncate.js';

/**
 * Runs it: logical DDL in the shadow, derived DDL in the cloud, changes of the catalogue to the transaction.
 * @param plan of `planDdl`
 * @param queries runs queries that it holds
 * @returns the command tag
 * @throws PostgresError with the shadow's exact error, or the cloud's in logical names; ClarusError
 */
export async function executeDdl(
  plan: ProtectedPlan,
  session: SessionPort,
  deps: DdlDependencies,
  queries: () => QueryRunner,
): Promise<{ readonly tag: string }> {
  if (!isDdl(plan.body)) throw new ClarusError('XX000', 'not a plan of DDL');
  const { body } = plan;
  if (isMaintenance(body.node)) return maintain(session, deps, body);
  const temporary = await temporaryDdl(session, body, queries);
  if (temporary) return temporary;
  await beginDdl(session, deps);
  const { node } = body;
  try {
    const done = await run(session, deps, body, queries);
    if (mayMakeDefiners.test(kindOf(node))) await refuseDefiners(session);
    return done;
  } catch (error) {
    throw saidOfStatement(node, error);
  }
}

const mayMakeDefiners = /^(CreateFunction|AlterFunction|AlterOwner|ReassignOwned)Stmt$/;

async function run(
  session: SessionPort,
  deps: DdlDependencies,
  body: DdlBody,
  queries: () => QueryRunner,
): Done {
  const { node } = body;
  const fields = fieldsOf(node);
  if (node.AlterTableStmt || node.IndexStmt) await refuseSecuredExpressions(node, session);
  switch (kindOf(node)) {
    case 'CreateStmt':
      return createTable(session, deps, body);
    case 'AlterTableStmt':
      return alterRelation(session, deps, body, fields);
    case 'RenameStmt':
      return rename(session, deps, body, fields);
    case 'AlterObjectSchemaStmt':
      if (fields.objectType === 'OBJECT_VIEW' || (await isView(session, fields)))
        return alterView(session, body);
      if (await isSequence(session, fields))
        return alterSequence(session, deps, body, fields.relation as RawFields);
      if (fields.objectType === 'OBJECT_TABLE' || fields.objectType === 'OBJECT_MATVIEW')
        return renameTable(session, deps, body);
      if (ofTrustedSide.has(fields.objectType)) return inShadow(session, body);
      if (areRoutines.has(fields.objectType)) return alterRoutine(session, body);
      if (fields.objectType === 'OBJECT_TYPE' || fields.objectType === 'OBJECT_DOMAIN')
        return alterType(session, deps, body, listParts(fields.object as RawNode));
      throw unsupported('ALTER ... SET SCHEMA of this kind of object');
    case 'AlterOwnerStmt':
      if (ofTrustedSide.has(fields.objectType)) return changeOwnerInShadow(session, body);
      return changeOwner(session, body);
    case 'DropStmt':
      return drop(session, deps, body, fields);
    case 'CreatePolicyStmt':
    case 'AlterPolicyStmt':
      return changeRowSecurity(session, deps, body, tableNamed(node, 'table'));
    case 'IndexStmt':
      return createIndex(session, deps, body);
    case 'TruncateStmt':
      return truncate(session, body, queries);
    case 'CommentStmt':
      return fields.objtype === 'OBJECT_ROLE' ? commentOnRole(session, body) : comment(session, body);
    case 'SecLabelStmt':
      return securityLabel(session, deps, body);
    case 'CreateSchemaStmt':
      return createSchema(session, body, element => run(session, deps, element, queries));
    case 'CreateExtensionStmt':
      return createExtension(session, body);
    case 'CreateEnumStmt':
    case 'CreateDomainStmt':
    case 'CompositeTypeStmt':
    case 'CreateRangeStmt':
      // in the cloud it is made when something there needs it
      return inShadow(session, body);
    case 'AlterEnumStmt':
    case 'AlterDomainStmt':
      return alterType(session, deps, body, (fields.typeName as readonly RawNode[]).map(stringOf));
    case 'CreateSeqStmt':
      return createSequence(session, deps, body);
    case 'AlterSeqStmt':
      return alterSequence(session, deps, body, fields.sequence as RawFields);
    case 'ViewStmt':
      return createView(session, deps, body);
    case 'CreateTableAsStmt':
      return createTableAs(session, deps, body, queries);
    case 'RefreshMatViewStmt':
      return refreshMaterialisedView(session, deps, body, queries);
    case 'CreateFunctionStmt':
      return createFunction(session, deps, body);
    case 'CreateTrigStmt':
      return createTrigger(session, deps, body);
    case 'GrantStmt':
      return grant(session, body);
    case 'AlterDefaultPrivilegesStmt':
      return alterDefaultPrivileges(session, body);
    case 'CreateRoleStmt':
      return createRole(session, body);
    case 'AlterRoleStmt':
      return alterRole(session, body);
    case 'DropRoleStmt':
      return dropRoles(session, body);
    case 'DropOwnedStmt':
      return dropOwned(session, deps, body);
    case 'ReassignOwnedStmt':
      return reassignOwned(session, deps, body);
    case 'GrantRoleStmt':
      return grantRoles(session, body);
    case 'AlterFunctionStmt':
      return alterRoutine(session, body);
    case 'DefineStmt':
    case 'AlterOperatorStmt':
    case 'CreateCastStmt':
    case 'CreateConversionStmt':
    case 'CreateStatsStmt':
    case 'AlterStatsStmt':
    case 'AlterTSConfigurationStmt':
    case 'AlterTSDictionaryStmt':
      return inShadow(session, body);
    default:
      throw unsupported('this statement');
  }
}

const isDdl = (body: ProtectedPlan['body']): body is DdlBody => body.kind === 'ddl';

const unsupported = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} is not supported in a database with protected tables`);

type Done = Promise<{ readonly tag: string }>;

/** ALTER TABLE's grammar serves indexes, sequences, views and types too. */
async function alterRelation(
  session: SessionPort,
  deps: DdlDependencies,
  body: DdlBody,
  fields: RawFields,
): Done {
  if (altersRowSecurity(fields))
    return changeRowSecurity(session, deps, body, tableNamed(body.node, 'relation'));
  const owned = await ownedRelation(session, fields);
  if (owned) return changeOwnerOfRelation(session, body, owned.relation, owned.newowner);
  switch (fields.objtype) {
    case 'OBJECT_TABLE':
    case 'OBJECT_MATVIEW':
      if (await isView(session, fields)) return alterView(session, body);
      return alterTable(session, deps, body);
    case 'OBJECT_VIEW':
      return alterView(session, body);
    case 'OBJECT_SEQUENCE':
      return alterSequence(session, deps, body, fields.relation as RawFields);
    case 'OBJECT_INDEX':
      return alterIndex(session, deps, body);
    case 'OBJECT_TYPE':
      return alterAttributes(session, deps, body);
    default:
      throw unsupported('ALTER of this kind of object');
  }
}

/** ALTER TABLE is taken of views too, as far as they have what it changes; PostgreSQL says where they have not. */
const isView = async (session: SessionPort, fields: RawFields): Promise<boolean> =>
  (await kindOfRelation(session, fields)) === 'v';

/** A sequence may be renamed, and get another schema, as a table. */
const isSequence = async (session: SessionPort, fields: RawFields): Promise<boolean> =>
  [fields.objectType, fields.renameType].includes('OBJECT_SEQUENCE') ||
  (await kindOfRelation(session, fields)) === 'S';

async function kindOfRelation(session: SessionPort, fields: RawFields): Promise<string | undefined> {
  const range = fields.relation as RawFields | undefined;
  return (range && (await resolveRelation(readerOn(session.trusted), rangeParts(range))))?.kind;
}

async function rename(session: SessionPort, deps: DdlDependencies, body: DdlBody, fields: RawFields): Done {
  switch (fields.renameType) {
    case 'OBJECT_TABLE':
    case 'OBJECT_MATVIEW':
    case 'OBJECT_TABCONSTRAINT':
      if (await isView(session, fields)) return alterView(session, body);
      if (await isSequence(session, fields))
        return alterSequence(session, deps, body, fields.relation as RawFields);
      return renameTable(session, deps, body);
    case 'OBJECT_COLUMN':
      if (fields.relationType === 'OBJECT_VIEW' || (await isView(session, fields)))
        return alterView(session, body);
      if (fields.relationType === 'OBJECT_TABLE' || fields.relationType === 'OBJECT_MATVIEW')
        return renameTable(session, deps, body);
      throw unsupported('RENAME COLUMN of this kind of object');
    case 'OBJECT_VIEW':
      return alterView(session, body);
    case 'OBJECT_INDEX':
      return renameIndex(session, deps, body);
    case 'OBJECT_SEQUENCE':
      return alterSequence(session, deps, body, fields.relation as RawFields);
    case 'OBJECT_TYPE':
    case 'OBJECT_DOMAIN':
    case 'OBJECT_DOMCONSTRAINT':
      return alterType(session, deps, body, listParts(fields.object as RawNode));
    case 'OBJECT_ATTRIBUTE':
      return alterAttributes(session, deps, body);
    case 'OBJECT_TRIGGER':
      return renameTrigger(session, body);
    case 'OBJECT_ROLE':
      return renameRole(session, body);
    case 'OBJECT_POLICY':
      return changeRowSecurity(session, deps, body, tableNamed(body.node, 'relation'));
    default:
      if (ofTrustedSide.has(fields.renameType)) return inShadow(session, body);
      if (areRoutines.has(fields.renameType)) return alterRoutine(session, body);
      throw unsupported('RENAME of this kind of object');
  }
}

function drop(session: SessionPort, deps: DdlDependencies, body: DdlBody, fields: RawFields): Done {
  switch (fields.removeType) {
    case 'OBJECT_TABLE':
    case 'OBJECT_MATVIEW':
    case 'OBJECT_INDEX':
      return dropTables(session, deps, body);
    case 'OBJECT_TRIGGER':
      return dropTrigger(session, deps, body);
    case 'OBJECT_POLICY':
      return changeRowSecurity(session, deps, body, tablesOfPolicies(fields));
    default:
      return dropObjects(session, deps, body);
  }
}
