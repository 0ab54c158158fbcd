/**
 * Plans of statements under a role of the application that the session acts as (SET ROLE). The trusted backend that analyses
 * them acts as the role too; every other runs as the session's own, and so what they run is checked before (needs.ts).
 */
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { physical } from '../compilation.js';
import { rangeParts, resolveRelation } from '../ddl/resolve.js';
import type { FunctionHomes } from '../functions.js';
import type { Plan, ProtectedPlan, RightsNeeded } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { stripComments } from '../raw/comments.js';
import { deparse } from '../raw/deparse.js';
import {
  child,
  fieldsOf,
  kindOf,
  list,
  type RawFields,
  type RawNode,
  rewrite,
  stringOf,
  text as textIn,
} from '../raw/node.js';
import { parseOne, type RawStatement } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import { isSecured } from '../row-security/in-force.js';
import { analysedByOwner, ranAsRole } from '../split/fetching.js';
import { planActingDdl } from './ddl.js';
import {
  AskedRole,
  asksUser,
  otherPath,
  refuseSessionUser,
  refuseTargets,
  rightsNeeded,
  searchesAlike,
  UncheckedRoutine,
} from './needs.js';
import { withOwnName } from './own-name.js';
import { withRightsOfViews } from './views.js';

/** Statements that ask for no rights, or whose parts are statements that do. */
const free =
  /^(Transaction|VariableSet|VariableShow|Prepare|Execute|Deallocate|Discard|Fetch|ClosePortal|Listen|Unlisten|Notify|ConstraintsSet|Do|Call)Stmt$/;
/** DDL that runs in the shadow as the role, which says whether it may, before the cloud hears of it. */
const checkedThere = /^(CreateRole|AlterRole|DropRole|GrantRole|Grant|AlterDefaultPrivileges)Stmt$/;
const queries = /^(Select|Insert|Update|Delete|Merge|DeclareCursor|Explain|Copy)Stmt$/;

const nothing: RightsNeeded = { tries: [], functions: [], sequences: [] };

/** What planning under a role needs of planning. */
export interface ActingPlanning {
  readonly role: string;
  readonly session: SessionPort;
  readonly parameterTypes: readonly number[];
  homes(): Promise<FunctionHomes>;
  /** plans a statement as if it were sent by the session's own role */
  plan(raw: RawNode, sql: string, session: SessionPort): Promise<Plan>;
  /** plans a SELECT whose functions are run statement by statement, each as the role. @throws cause where it cannot */
  calls(sql: string, cause: ClarusError): Promise<ProtectedPlan>;
}

/**
 * @throws ClarusError 0A000 for statements that are not answered under another role; PostgresError as PostgreSQL says what
 *   is wrong, or not permitted, with DDL
 */
export async function planActing(statement: RawStatement, planning: ActingPlanning): Promise<Plan> {
  const { node, text } = statement;
  const { role, session, plan } = planning;
  const kind = kindOf(node);
  if (session.transaction.authorized !== undefined && aboutUser(node)) throw asksUser();
  if (isSetting(node)) await settingPermitted(text, session);
  if (free.test(kind) || isExplainOfExecute(node)) return withNeeds(await plan(node, text, session), nothing);
  if (kind === 'LockStmt') {
    const clean = stripComments(text);
    if (!(await searchesAlike(session))) throw otherPath();
    const tries = [physical(clean, [])];
    return withNeeds(await plan(node, text, session), { ...nothing, tries });
  }
  if (kind === 'TruncateStmt') {
    // the shadow, where it runs first, checks the rights
    const planned = await plan(node, text, session);
    await refuseTargets(await relationsOf(node, session), session, await planning.homes());
    await refuseOwnTriggers(node, session);
    return withNeeds(planned, nothing);
  }
  if (checkedThere.test(kind) || isAboutRole(node))
    return withNeeds(await plan(node, text, session), nothing);
  if (!queries.test(kind) || makesTable(node))
    return planActingDdl(statement, planning, query =>
      planActing({ node: parseOne(deparse(query)), text: deparse(query), offset: 0 }, planning),
    );
  const { authorized } = session.transaction;
  const named = withOwnName(node, role, authorized);
  const sql = named ? deparse(named) : text;
  const types = planning.parameterTypes;
  const clean = stripComments(sql);
  const acted = (): Promise<string> => startedBy(parseOne(clean), clean, session);
  const alike = await searchesAlike(session);
  const secured = alike && (await meetsPolicies(node, clean, acted, planning));
  const raw = named ? parseOne(sql) : node;
  // where policies are applied, the role itself runs it
  const within = alike && !secured ? analysedByOwner(session) : session;
  const planned = await plan(raw, sql, within).catch(async error => {
    // what is not answered may not be permitted either, which PostgreSQL would say
    if (error instanceof ClarusError && error.code === '0A000')
      await explained(await acted(), types, session);
    throw error;
  });
  if (planned.kind !== 'pass' && planned.kind !== 'protected') {
    if (authorized !== undefined) await refuseSessionUser({ sql: clean, parameterTypes: types }, session);
    return planned;
  }
  if (!alike) throw otherPath();
  const started = { sql: await acted(), parameterTypes: types };
  const homes = await planning.homes();
  const needing = async <T extends typeof planned>(made: T): Promise<Plan> => ({
    ...made,
    needs: await rightsNeeded(started, made, session, homes),
  });
  return needing(planned).catch(async error => {
    const isDoubtful = error instanceof UncheckedRoutine || error instanceof AskedRole;
    if (!isDoubtful || !isRead(node)) throw error;
    if (error instanceof UncheckedRoutine && kind === 'SelectStmt') {
      const called = await planning.calls(clean, error).then(needing, ifRefused);
      if (called) return called;
    }
    // the trusted PostgreSQL can run it as the role, whose session is another user’s there
    const asRole = async (): Promise<Plan> => {
      await refuseSessionUser(started, session);
      return plan(raw, sql, ranAsRole(session));
    };
    const ran = await asRole().catch(ifRefused);
    if (ran?.kind !== 'protected') throw error;
    return needing(ran);
  });
}

/** A SELECT, by itself, explained, of a cursor or copied. */
function isRead({ SelectStmt, ExplainStmt, DeclareCursorStmt, CopyStmt }: RawNode): boolean {
  const around = ExplainStmt ?? DeclareCursorStmt ?? CopyStmt;
  return (
    SelectStmt !== undefined || (around !== undefined && child(around, 'query')?.SelectStmt !== undefined)
  );
}

function ifRefused(error: unknown): undefined {
  if (!(error instanceof ClarusError && error.code === '0A000')) throw error;
}

const isAboutRole = ({ RenameStmt: rename, CommentStmt: comment }: RawNode): boolean =>
  rename?.renameType === 'OBJECT_ROLE' || comment?.objtype === 'OBJECT_ROLE';

/** Are policies of row level security applied to it? @throws PostgresError what is wrong with the statement */
async function meetsPolicies(
  node: RawNode,
  sql: string,
  acted: () => Promise<string>,
  { session, parameterTypes }: ActingPlanning,
): Promise<boolean> {
  const analysis = await session.analyse(sql, parameterTypes);
  if (node.SelectStmt || node.InsertStmt || node.UpdateStmt || node.DeleteStmt || node.MergeStmt)
    return isSecured(analysis);
  return isSecured(await session.analyse(await acted(), parameterTypes));
}

/** SET, RESET and SHOW of a setting; those of roles and transactions are not for all to be tried. */
const isSetting = ({ VariableSetStmt: set, VariableShowStmt: show }: RawNode): boolean =>
  show !== undefined ||
  (set !== undefined &&
    !/^(role|session_authorization|transaction.*)$/i.test(textIn(set, 'name') ?? 'transaction'));

/** SHOW of who the user is, which the trusted backend does not know once SET SESSION AUTHORIZATION has said another. */
const aboutUser = ({ VariableShowStmt: show }: RawNode): boolean =>
  show !== undefined && /^(role|session_authorization|all)$/i.test(textIn(show, 'name') ?? '');

/** What only some may set or see. @throws PostgresError 42501 */
async function settingPermitted(sql: string, session: SessionPort): Promise<void> {
  await session.tries(physical(stripComments(sql), [])).catch(error => {
    if (error instanceof PostgresError && error.code === '42501') throw error;
  });
}

/** @throws PostgresError 42501 */
async function explained(sql: string, types: readonly number[], session: SessionPort): Promise<void> {
  const { shape } = await session.analyse(sql, types);
  await session.tries(physical(`EXPLAIN (COSTS OFF) ${sql}`, shape.parameterTypes)).catch(error => {
    if (error instanceof PostgresError && error.code === '42501') throw error;
  });
}

const withNeeds = (plan: Plan, needs: RightsNeeded): Plan =>
  plan.kind === 'pass' || plan.kind === 'protected' ? { ...plan, needs } : plan;

const isExplainOfExecute = (node: RawNode): boolean =>
  node.ExplainStmt !== undefined && child(node.ExplainStmt, 'query')?.ExecuteStmt !== undefined;

/** SELECT INTO, and EXPLAIN of what makes a table. */
function makesTable(node: RawNode): boolean {
  if (node.ExplainStmt) return makesTable(child(node.ExplainStmt, 'query')!);
  return node.CreateTableAsStmt !== undefined || node.SelectStmt?.intoClause !== undefined;
}

/**
 * A plan of the session's own role with what PostgreSQL must permit of it (views.ts).
 */
export async function withRights(
  plan: Plan,
  { node, text }: Pick<RawStatement, 'node' | 'text'>,
  parameterTypes: readonly number[],
  session: SessionPort,
): Promise<Plan> {
  if (!queries.test(kindOf(node)) || makesTable(node) || isExplainOfExecute(node)) return plan;
  const clean = stripComments(text);
  return withRightsOfViews(plan, () => startedBy(parseOne(clean), clean, session), parameterTypes, session);
}

/** The statement that PostgreSQL can explain, with the rights of the one that is sent. */
async function startedBy(node: RawNode, sql: string, session: SessionPort): Promise<string> {
  if (node.ExplainStmt) {
    const inner = child(node.ExplainStmt, 'query')!;
    return startedBy(inner, deparse(inner), session);
  }
  if (node.DeclareCursorStmt) return deparse(child(node.DeclareCursorStmt, 'query')!);
  if (node.CopyStmt?.filename || node.CopyStmt?.is_program)
    throw new ClarusError(
      '0A000',
      'COPY with a file or program of the cloud is not answered under another role than the session’s own',
      { detail: 'The cloud’s user would read, write or run it.', hint: 'Use STDIN or STDOUT.' },
    );
  const query = node.CopyStmt && child(node.CopyStmt, 'query');
  if (node.CopyStmt && !query) return copied(node.CopyStmt, session);
  const merged = mergingAlone(query ?? node);
  return merged || query ? deparse(merged ?? query!) : sql;
}

/** Carriers cannot be merged into. Rights are those on the table itself, whatever inherits from it. */
function mergingAlone(node: RawNode): RawNode | undefined {
  let found = false;
  const written = rewrite(node, (kind, fields) => {
    if (kind !== 'MergeStmt') return undefined;
    found = true;
    const { inh: _heirs, ...relation } = fields.relation as RawFields;
    return { MergeStmt: { ...fields, relation } };
  });
  return found ? written : undefined;
}

const columnsQuery = `SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum`;

/** COPY of a relation asks for rights on its columns, as SELECT or INSERT of these does (DoCopy of copy.c). */
async function copied(fields: RawFields, session: SessionPort): Promise<string> {
  const range = fields.relation as RawFields;
  if (list(fields, 'options').some(option => textIn(fieldsOf(option), 'defname') === 'default'))
    throw new ClarusError(
      '0A000',
      'COPY with DEFAULT is not answered under another role than the session’s own',
    );
  if (fields.whereClause)
    throw new ClarusError(
      '0A000',
      'COPY FROM ... WHERE is not answered under another role than the session’s own',
    );
  const read = readerOn(session.trusted);
  const relation = await resolveRelation(read, rangeParts(range));
  const named = list(fields, 'attlist').map(stringOf);
  const columns =
    named.length > 0
      ? named.map(name => `"${name.replaceAll('"', '""')}"`)
      : (await read(columnsQuery, [String(relation?.oid ?? 0)])).map(([name]) => name!);
  const table = rangeParts(range)
    .map(name => `"${name.replaceAll('"', '""')}"`)
    .join('.');
  if (fields.is_from !== true) return `SELECT ${columns.join(', ')} FROM ${table}`;
  if (columns.length === 0) return `INSERT INTO ${table} DEFAULT VALUES`;
  const values = columns.map(() => 'NULL').join(', ');
  return `INSERT INTO ${table} (${columns.join(', ')}) OVERRIDING SYSTEM VALUE VALUES (${values})`;
}

async function relationsOf(node: RawNode, session: SessionPort): Promise<ReadonlySet<number>> {
  const found = new Set<number>();
  for (const range of list(fieldsOf(node), 'relations')) {
    const relation = await resolveRelation(readerOn(session.trusted), rangeParts(fieldsOf(range)));
    if (relation) found.add(relation.oid);
  }
  return found;
}

const truncating = `WITH RECURSIVE emptied AS (
    SELECT pg_catalog.unnest($1::pg_catalog.oid[]) AS oid
    UNION SELECT k.conrelid FROM pg_catalog.pg_constraint k JOIN emptied e ON k.confrelid = e.oid WHERE k.contype = 'f')
  SELECT t.tgname::text FROM pg_catalog.pg_trigger t JOIN emptied e ON e.oid = t.tgrelid
   WHERE NOT t.tgisinternal AND t.tgtype & 32 <> 0 LIMIT 1`;

/** Triggers on TRUNCATE are put aside by the owner of their table while the shadow is asked. */
async function refuseOwnTriggers(node: RawNode, session: SessionPort): Promise<void> {
  const oids = `{${[...(await relationsOf(node, session))].join()}}`;
  const [trigger] = await readerOn(session.trusted)(truncating, [oids]);
  if (trigger)
    throw new ClarusError('0A000', 'TRUNCATE of tables with triggers is not answered under another role', {
      detail: `It would fire "${trigger[0]}".`,
      hint: 'RESET ROLE first.',
    });
}
