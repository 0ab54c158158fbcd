/**
 * DDL under a role of the application. The trusted PostgreSQL runs it as the role, which owns what it makes there, and says
 * what is not permitted; in the cloud all belongs to its user.
 */
import { oidArray, textArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { physical } from '../compilation.js';
import { makesTemporary } from '../ddl/makes-temporary.js';
import { mustInherit } from '../ddl/ownership.js';
import { rangeParts, resolveRelation } from '../ddl/resolve.js';
import { FIRST_USER_OID, type FunctionHomes } from '../functions.js';
import type { Plan, RightsNeeded } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { stripComments } from '../raw/comments.js';
import { deparse } from '../raw/deparse.js';
import { child, kindOf, list, type RawFields, type RawNode, stringOf, visit } from '../raw/node.js';
import type { RawStatement } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import { planActingVacuum } from './maintenance.js';
import { refuseRoutines } from './needs.js';
import { withOwnName } from './own-name.js';
import { standingFunctions, writtenWith } from './standing.js';

/** What planning of it needs of planning under a role. */
interface DdlPlanning {
  readonly role: string;
  readonly session: SessionPort;
  homes(): Promise<FunctionHomes>;
  /** plans it as if it were sent by the session's own role */
  plan(raw: RawNode, sql: string, session: SessionPort): Promise<Plan>;
}

/** What is the session's own alone: what is done to the cloud's server, and what decides who sees what in the clear. */
const ofOwn = /^(SecLabel|CreateExtension|CheckPoint)Stmt$/;
/** Statements that are not tried: they would read rows, or cannot be tried. */
const untried = /^(CreateTableAs|Select|Explain|RefreshMatView|DropOwned|ReassignOwned)Stmt$/;

const nothing: RightsNeeded = { tries: [], functions: [], sequences: [] };

/**
 * @param query plans the query of a table that is made of one, as a statement of its own
 * @throws PostgresError 42501 as PostgreSQL says that it is not permitted; ClarusError 0A000 for what is not answered
 */
export async function planActingDdl(
  { node, text }: Pick<RawStatement, 'node' | 'text'>,
  planning: DdlPlanning,
  query: (node: RawNode) => Promise<Plan>,
): Promise<Plan> {
  const { role, session, plan } = planning;
  const kind = kindOf(node);
  if (node.VacuumStmt) {
    await refuseAskingExpressions(node, session, planning.homes);
    return planActingVacuum(node, session, async () => needing(await plan(node, text, session), nothing));
  }
  // in PostgreSQL everybody may make temporary objects, unless told otherwise
  const isTemporary = JSON.stringify(node).includes('"relpersistence":"t"') || makesTemporary(node, session);
  if (!isTemporary && !untried.test(kind) && !/^(SecLabel|CheckPoint)Stmt$/.test(kind))
    await mustBePermitted(stripComments(text), session);
  if (isTemporary || ofOwn.test(kind) || kind === 'ExplainStmt') throw notUnderRole();
  if (node.ReindexStmt && !node.ReindexStmt.relation) throw notUnderRole();
  await mustInherit(role, session);
  await refuseAskingExpressions(node, session, planning.homes);
  const made = makesTable(node);
  if (!made) return needing(await plan(node, text, session), nothing);
  const named = withOwnName(node, role, session.transaction.authorized);
  if (named && made.objtype === 'OBJECT_MATVIEW') throw asksWhoItIs();
  const raw = named ?? node;
  const inner = await query(made.query(raw));
  const needs = inner.kind === 'pass' || inner.kind === 'protected' ? inner.needs : undefined;
  return needing(await plan(raw, named ? deparse(named) : text, session), needs ?? nothing);
}

const needing = (plan: Plan, needs: RightsNeeded): Plan =>
  plan.kind === 'pass' || plan.kind === 'protected' ? { ...plan, needs } : plan;

/** PostgreSQL comes to the carrier of a table (trusted/carriers.ts) when it has found that the table may be changed. */
const ofCarrier = /^must be owner of foreign table t\d+$/;

/** What is wrong beside that is told in its turn, when the statement is run. @throws PostgresError 42501 */
async function mustBePermitted(sql: string, session: SessionPort): Promise<void> {
  await session.tries(physical(sql, [])).catch(error => {
    if (!(error instanceof PostgresError) || error.code !== '42501') return;
    if (!ofCarrier.test(error.message)) throw error;
  });
}

/** CREATE TABLE AS, SELECT INTO and CREATE MATERIALIZED VIEW, with how their query is found. */
function makesTable(node: RawNode): { readonly objtype: unknown; query(node: RawNode): RawNode } | undefined {
  if (node.CreateTableAsStmt)
    return {
      objtype: node.CreateTableAsStmt.objtype,
      query: written => child(written.CreateTableAsStmt!, 'query')!,
    };
  if (!node.SelectStmt) return undefined;
  return {
    objtype: 'OBJECT_TABLE',
    query: written => {
      const { intoClause: _into, ...select } = written.SelectStmt!;
      return { SelectStmt: select };
    },
  };
}

const functionsNamed = `SELECT p.oid::text FROM pg_catalog.pg_proc p
    WHERE p.oid >= ${FIRST_USER_OID} AND p.proname = ANY ($1::pg_catalog.text[])
  UNION SELECT o.oprcode::pg_catalog.oid::text FROM pg_catalog.pg_operator o
    WHERE o.oprcode::pg_catalog.oid >= ${FIRST_USER_OID} AND o.oprname = ANY ($2::pg_catalog.text[])`;
/** The table that a relation is, or that it is an index of. */
const tablesNamed = `SELECT coalesce(i.indrelid, c.oid)::text FROM pg_catalog.pg_class c
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid WHERE c.oid = ANY ($1::pg_catalog.oid[])`;
const asking = /^(current_|session_user|user$|getpgusername|has_|pg_has_|row_security_active|set_config)/;
/** Statements that the cloud may compute over rows of an open table, which it does for its own user. */
const computing = /^(AlterTable|Index|AlterDomain|CreateStats|Reindex|Cluster|Vacuum)Stmt$/;

/**
 * What a function does counts, not what its owner says of it: IMMUTABLE ones may read tables.
 * @throws ClarusError 0A000 where DDL over rows asks who the user is, or calls functions that do more than compute
 */
async function refuseAskingExpressions(
  node: RawNode,
  session: SessionPort,
  homes: () => Promise<FunctionHomes>,
): Promise<void> {
  if (!computing.test(kindOf(node))) return;
  const called = new Set<string>();
  const operators = new Set<string>();
  const types = new Set<string>();
  const relations: RawFields[] = [];
  let asks = false;
  visit(node, (kind, fields) => {
    if (kind === 'SQLValueFunction' && /USER|ROLE|SCHEMA/.test(String(fields.op))) asks = true;
    if (kind === 'FuncCall') called.add(stringOf(list(fields, 'funcname').at(-1)));
    if (kind === 'A_Expr') operators.add(stringOf(list(fields, 'name').at(-1)));
    if (Array.isArray(fields.names)) types.add(stringOf(list(fields, 'names').at(-1)));
    if (typeof fields.relname === 'string') relations.push(fields);
  });
  if (node.AlterDomainStmt) types.add(stringOf(list(node.AlterDomainStmt, 'typeName').at(-1)));
  if (asks || [...called].some(name => asking.test(name))) throw asksWhoItIs();
  const read = readerOn(session.trusted);
  const tables: number[] = [];
  for (const relation of relations) {
    const found = await resolveRelation(read, rangeParts(relation));
    if (found) tables.push(found.oid);
  }
  const over = (await read(tablesNamed, [oidArray(tables)])).map(([oid]) => Number(oid));
  const written = await writtenWith(over, session);
  const named = await read(functionsNamed, [textArray(called), textArray(operators)]);
  const stand = await standingFunctions(written, types, session);
  await refuseRoutines([...named.map(([oid]) => Number(oid)), ...stand], session, await homes());
}

const asksWhoItIs = (detail = 'It asks who the user is, or by which rights.'): ClarusError =>
  new ClarusError('0A000', 'this statement is not answered under another role than the session’s own', {
    detail: `${detail} Over rows it is computed by others, for their own role.`,
    hint: 'RESET ROLE first, or leave the expression out.',
  });

const notUnderRole = (): ClarusError =>
  new ClarusError('0A000', 'this statement is not answered under another role than the session’s own', {
    detail:
      'It makes temporary objects, or is about how the cloud keeps tables and who reads them in the clear.',
    hint: 'RESET ROLE first.',
  });
