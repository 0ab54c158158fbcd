/** Which statements are DDL, and which of them are refused whatever they are about. */
import { ClarusError } from '../../errors.js';
import type { ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { kindOf, type RawNode } from '../raw/node.js';
import type { DdlBody } from './body.js';
import { isLabel } from './label.js';
import { tableParameters } from './table-parameters.js';

/** Kinds that executeDdl knows, with the word of their command tag. */
const known: Readonly<Record<string, string>> = {
  CreateStmt: 'CREATE TABLE',
  AlterTableStmt: 'ALTER TABLE',
  RenameStmt: 'ALTER TABLE',
  AlterObjectSchemaStmt: 'ALTER TABLE',
  AlterOwnerStmt: 'ALTER TABLE',
  DropStmt: 'DROP TABLE',
  IndexStmt: 'CREATE INDEX',
  TruncateStmt: 'TRUNCATE TABLE',
  CommentStmt: 'COMMENT',
  SecLabelStmt: 'SECURITY LABEL',
  CreateSchemaStmt: 'CREATE SCHEMA',
  CreateExtensionStmt: 'CREATE EXTENSION',
  CreateEnumStmt: 'CREATE TYPE',
  AlterEnumStmt: 'ALTER TYPE',
  CreateDomainStmt: 'CREATE DOMAIN',
  AlterDomainStmt: 'ALTER DOMAIN',
  CompositeTypeStmt: 'CREATE TYPE',
  CreateRangeStmt: 'CREATE TYPE',
  CreateSeqStmt: 'CREATE SEQUENCE',
  AlterSeqStmt: 'ALTER SEQUENCE',
  ViewStmt: 'CREATE VIEW',
  CreateTableAsStmt: 'SELECT',
  RefreshMatViewStmt: 'REFRESH MATERIALIZED VIEW',
  CreateFunctionStmt: 'CREATE FUNCTION',
  CreateTrigStmt: 'CREATE TRIGGER',
  CreatePolicyStmt: 'CREATE POLICY',
  AlterPolicyStmt: 'ALTER POLICY',
  GrantStmt: 'GRANT',
  GrantRoleStmt: 'GRANT ROLE',
  CreateRoleStmt: 'CREATE ROLE',
  AlterRoleStmt: 'ALTER ROLE',
  DropRoleStmt: 'DROP ROLE',
  DropOwnedStmt: 'DROP OWNED',
  ReassignOwnedStmt: 'REASSIGN OWNED',
  AlterDefaultPrivilegesStmt: 'ALTER DEFAULT PRIVILEGES',
  DefineStmt: 'CREATE AGGREGATE',
  AlterOperatorStmt: 'ALTER OPERATOR',
  CreateCastStmt: 'CREATE CAST',
  CreateConversionStmt: 'CREATE CONVERSION',
  CreateStatsStmt: 'CREATE STATISTICS',
  AlterStatsStmt: 'ALTER STATISTICS',
  AlterTSConfigurationStmt: 'ALTER TEXT SEARCH CONFIGURATION',
  AlterTSDictionaryStmt: 'ALTER TEXT SEARCH DICTIONARY',
  AlterFunctionStmt: 'ALTER FUNCTION',
  ReindexStmt: 'REINDEX',
  ClusterStmt: 'CLUSTER',
};

/** DDL that is refused in a database with protected tables, in words. */
const refused: Readonly<Record<string, string>> = {
  AlterEventTrigStmt: 'ALTER EVENT TRIGGER',
  AlterExtensionContentsStmt: 'ALTER EXTENSION',
  AlterExtensionStmt: 'ALTER EXTENSION',
  AlterFdwStmt: 'ALTER FOREIGN DATA WRAPPER',
  AlterForeignServerStmt: 'ALTER SERVER',
  AlterObjectDependsStmt: 'ALTER ... DEPENDS ON',
  AlterOpFamilyStmt: 'ALTER OPERATOR FAMILY',
  AlterPublicationStmt: 'ALTER PUBLICATION',
  AlterSubscriptionStmt: 'ALTER SUBSCRIPTION',
  AlterTableMoveAllStmt: 'ALTER TABLE ALL IN TABLESPACE',
  AlterTypeStmt: 'ALTER TYPE ... SET',
  AlterUserMappingStmt: 'ALTER USER MAPPING',
  CreateAmStmt: 'CREATE ACCESS METHOD',
  CreateEventTrigStmt: 'CREATE EVENT TRIGGER',
  CreateFdwStmt: 'CREATE FOREIGN DATA WRAPPER',
  CreateForeignServerStmt: 'CREATE SERVER',
  CreateForeignTableStmt: 'CREATE FOREIGN TABLE',
  CreateOpClassStmt: 'CREATE OPERATOR CLASS',
  CreateOpFamilyStmt: 'CREATE OPERATOR FAMILY',
  CreatePLangStmt: 'CREATE LANGUAGE',
  CreatePublicationStmt: 'CREATE PUBLICATION',
  CreateSubscriptionStmt: 'CREATE SUBSCRIPTION',
  CreateTransformStmt: 'CREATE TRANSFORM',
  CreateUserMappingStmt: 'CREATE USER MAPPING',
  DropSubscriptionStmt: 'DROP SUBSCRIPTION',
  DropUserMappingStmt: 'DROP USER MAPPING',
  ImportForeignSchemaStmt: 'IMPORT FOREIGN SCHEMA',
  ReplicaIdentityStmt: 'ALTER TABLE ... REPLICA IDENTITY',
  RuleStmt: 'CREATE RULE',
};

/** Roles are those of the configuration on one side, and of the cloud on the other. */
const ofRoles: Readonly<Record<string, string>> = {
  AlterRoleSetStmt: 'ALTER ROLE ... SET',
};

/** What is about the cloud's server beyond this database, or about how it stores rows. */
const ofServer: Readonly<Record<string, string>> = {
  AlterDatabaseRefreshCollStmt: 'ALTER DATABASE',
  AlterDatabaseSetStmt: 'ALTER DATABASE ... SET',
  AlterDatabaseStmt: 'ALTER DATABASE',
  AlterSystemStmt: 'ALTER SYSTEM',
  AlterTableSpaceOptionsStmt: 'ALTER TABLESPACE',
  CreatedbStmt: 'CREATE DATABASE',
  CreateTableSpaceStmt: 'CREATE TABLESPACE',
  DropdbStmt: 'DROP DATABASE',
  DropTableSpaceStmt: 'DROP TABLESPACE',
  LoadStmt: 'LOAD',
};

const hintFor = (kind: string): string =>
  kind in ofRoles
    ? 'Say who may connect under "users" in the configuration; make roles of the cloud past Clarus.'
    : kind in ofServer
      ? 'Run it in the cloud past Clarus.'
      : `docs/compatibility.md lists what is supported${kind === 'RuleStmt' ? '; use a trigger, or a view with one' : ''}.`;

/**
 * Plans a DDL statement.
 * @param raw the statement's parse tree
 * @param text the statement as the client wrote it
 * @param parameterTypes types of its parameters that the client says
 * @returns undefined for what is no DDL, and for DDL of a database whose bytes go through untouched
 * @throws ClarusError 0A000 for DDL that is not supported
 */
export async function planDdl(
  raw: RawNode,
  text: string,
  parameterTypes: readonly number[],
  session: SessionPort,
): Promise<ProtectedPlan | undefined> {
  const kind = kindOf(raw);
  const label = isLabel(raw);
  if (session.catalog().passThrough && !label) return undefined;
  const isSelectInto = kind === 'SelectStmt' && raw.SelectStmt?.intoClause !== undefined;
  const what =
    refused[kind] ??
    ofRoles[kind] ??
    ofServer[kind] ??
    (kind === 'SecLabelStmt' && !label ? 'SECURITY LABEL for others' : undefined);
  if (what !== undefined)
    throw new ClarusError('0A000', `${what} is not supported in a database with protected tables`, {
      hint: hintFor(kind),
    });
  const command = isSelectInto ? 'SELECT' : known[kind];
  if (command === undefined) return undefined;
  const types = await tableParameters(raw, text, parameterTypes, session);
  const body: DdlBody = {
    kind: 'ddl',
    node: isSelectInto ? selectInto(raw) : raw,
    text,
    parameterTypes: types,
    secrets: session.secrets,
  };
  return { kind: 'protected', command, shape: { parameterTypes: types, columns: undefined }, body };
}

/** `SELECT ... INTO t` is `CREATE TABLE t AS SELECT ...`. */
function selectInto(raw: RawNode): RawNode {
  const { intoClause, ...query } = raw.SelectStmt!;
  return {
    CreateTableAsStmt: { query: { SelectStmt: query }, into: intoClause, objtype: 'OBJECT_TABLE' },
  };
}
