/**
 * What a role of the application must be allowed for a statement that it sends. The trusted PostgreSQL says whether it is,
 * over the logical schema with its owners and rights: by starting the statement there without running it (EXPLAIN), which
 * checks rights on tables, columns and views (ExecCheckPermissions of execMain.c). What that does not reach is asked by
 * itself. What would be answered otherwise by another side than under the role is refused.
 */

import { oidArray, textArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { type Node, nodesIn, numberIn, readNodes, walk } from '../analysed/node.js';
import { COMMAND, functionsIn, RTE } from '../analysed/query.js';
import { constantValue } from '../analysed/types.js';
import { physical } from '../compilation.js';
import type { CopyOutBody, CursorBody, ExplainBody, ExplainedBody, SplitBody } from '../execute/bodies.js';
import { FIRST_USER_OID, type FunctionHomes, LASTVAL, sequenceCalled } from '../functions.js';
import { inCloudsWords } from '../opaque/index.js';
import type { Plan, ProtectedPlan, RightsNeeded } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import { type Routines, routinesCalled } from '../routines.js';
import { typesIn } from '../row-types.js';
import { actedOn, standingFunctions, writtenWith } from './standing.js';

/** A statement with rights that are PostgreSQL's to check. */
export interface Acted {
  /** what PostgreSQL starts to see whether it may be run; it writes and reads what the statement does */
  readonly sql: string;
  readonly parameterTypes: readonly number[];
}

type Needing = Extract<Plan, { kind: 'pass' | 'protected' }>;

/** current_setting with one and with two arguments (pg_proc.dat) */
const settingFunctions: ReadonlySet<number> = new Set([2077, 3294]);
const roleSettings = /^(role|session_authorization|is_superuser)$/i;
/** nextval, currval, setval with two and three arguments, with the rights that each asks for (sequence.c) */
const sequenceRights: ReadonlyMap<number, string> = new Map([
  [1574, 'USAGE, UPDATE'],
  [1575, 'SELECT, USAGE'],
  [1576, 'UPDATE'],
  [1765, 'UPDATE'],
]);
/** SQLValueFunctionOp of CURRENT_ROLE, CURRENT_USER, USER and CURRENT_SCHEMA (primnodes.h) */
const askingValues: ReadonlySet<number> = new Set([9, 10, 11, 14]);

/**
 * @param plan what the statement became: it is run by others than the backend that acts as the role
 * @throws ClarusError 0A000 for what would be answered with other rights than the role's; PostgresError
 */
export async function rightsNeeded(
  { sql, parameterTypes }: Acted,
  plan: Needing,
  session: SessionPort,
  homes: FunctionHomes,
): Promise<RightsNeeded> {
  const analysis = await session.analyse(sql, parameterTypes);
  const trees = [...analysis.parsed, ...analysis.rewritten].flatMap(readNodes);
  const functions = functionsIn(trees);
  // what the role runs itself is answered for it
  const runs = plan.kind === 'protected' && runsAsRole(plan.body);
  if (!runs) refuseAsking(trees, functions, homes, session);
  else if (session.transaction.authorized !== undefined)
    await refuseSessionUser({ sql, parameterTypes }, session);
  const isCalls = plan.kind === 'protected' && plan.body.kind === 'calls';
  const ofUsers = [...functions].filter(oid => oid >= FIRST_USER_OID);
  if (!isCalls && !runs) {
    // domains check their values
    const types = [...typesIn(trees)].filter(oid => oid >= FIRST_USER_OID);
    const checks = types.length > 0 ? await standingFunctions([], types, session) : [];
    await refuseRoutines([...ofUsers, ...checks], session, homes);
  }
  await refuseTargets(targetsOf(trees), session, homes);
  return {
    tries: [physical(`EXPLAIN (COSTS OFF) ${sql}`, analysis.shape.parameterTypes)],
    functions: [...functions],
    sequences: sequencesOf(trees),
  };
}

/** Is a statement run as the role, because policies are applied to it? */
function runsAsRole(body: ProtectedPlan['body']): boolean {
  switch (body.kind) {
    case 'split':
      return (body as SplitBody).as !== undefined;
    case 'cursor':
      return runsAsRole((body as CursorBody).source);
    case 'copy-out':
      return runsAsRole((body as CopyOutBody).read);
    case 'explain':
    case 'explained': {
      const planned = 'planned' in body ? (body as ExplainedBody).planned : (body as ExplainBody).plan;
      return planned.kind === 'protected' && runsAsRole(planned.body);
    }
    default:
      return false;
  }
}

/** @throws ClarusError 0A000 for what other sides would answer for their own user */
function refuseAsking(
  trees: readonly Node[],
  functions: ReadonlySet<number>,
  homes: FunctionHomes,
  session: SessionPort,
): void {
  if ([...functions].some(oid => homes.asksRole(oid) || homes.home(oid) === 'statistics'))
    throw asksRole('It calls a function whose answer depends on rights.');
  for (const tree of trees)
    walk(tree, node => {
      if (node.kind === 'SQLVALUEFUNCTION' && asks(node, session))
        throw asksRole('A view, a default or the statement itself asks who the user is.');
      if (settingFunctions.has(numberIn(node, 'funcid')) && asksForRole(node))
        throw asksRole('It asks for a setting that tells of roles, or for one that it computes.');
      if (isRelation(node) && numberIn(node, 'relid') < FIRST_USER_OID)
        throw asksRole('It reads the system catalogue beside what the cloud answers.');
      return true;
    });
}

const sessionUser = 12;

const asks = (node: Node, { transaction }: SessionPort): boolean => {
  const op = numberIn(node, 'op');
  return askingValues.has(op) || (op === sessionUser && transaction.authorized !== undefined);
};

/** pg_settings and what is shown of it (pg_show_all_settings of pg_proc.dat), and the function that session_user was. */
const showingSettings = 2084;
const sessionUserFunction = 746;

/** Functions of users whose bodies may ask for the session's user, whoever calls them. @param $1 absent: all that there are */
const bodiesAsking = `SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE p.oid >= ${FIRST_USER_OID} AND ($1::pg_catalog.oid[] IS NULL OR p.oid = ANY ($1)) AND p.prokind <> 'a' AND l.lanname NOT IN ('c', 'internal')
    AND pg_catalog.pg_get_functiondef(p.oid) ~* 'session_|current_setting|pg_settings|show|execute' LIMIT 1`;

/** Could functions be told the session's user? */
async function mayAskUser(oids: readonly number[], session: SessionPort): Promise<boolean> {
  if (oids.length === 0) return false;
  const { doubt, uses, versions } = await routinesCalled(new Set(oids), session);
  const isKnown = doubt === undefined && [...uses.views].length === 0;
  const asked = isKnown ? oidArray([...oids, ...versions.oids]) : null;
  return (await readerOn(session.trusted)(bodiesAsking, [asked])).length > 0;
}

/**
 * What the trusted backend would answer by its own user, where SET SESSION AUTHORIZATION has said another.
 * @throws ClarusError 0A000
 */
export async function refuseSessionUser({ sql, parameterTypes }: Acted, session: SessionPort): Promise<void> {
  const { parsed, rewritten } = await session.analyse(sql, parameterTypes);
  const trees = [...parsed, ...rewritten].flatMap(readNodes);
  const ofUsers = [...functionsIn(trees)].filter(oid => oid >= FIRST_USER_OID);
  if (await mayAskUser(ofUsers, session)) throw asksUser();
  for (const tree of trees)
    walk(tree, node => {
      const called = numberIn(node, 'funcid');
      if (
        (node.kind === 'SQLVALUEFUNCTION' && numberIn(node, 'op') === sessionUser) ||
        called === showingSettings ||
        called === sessionUserFunction ||
        (settingFunctions.has(called) && asksForRole(node))
      )
        throw asksUser();
      return true;
    });
}

/** The refusal of a statement that would be told the user who has logged in. */
export const asksUser = (): ClarusError =>
  new ClarusError(
    '0A000',
    'the statement asks who the user of the session is, after SET SESSION AUTHORIZATION',
    {
      detail: 'The trusted side answers it, and knows the user who has logged in.',
      hint: 'Ask for SESSION_USER or CURRENT_USER in the statement itself.',
    },
  );

function asksForRole(call: Node): boolean {
  const [name] = nodesIn(call, 'args');
  const value = name?.kind === 'CONST' ? constantValue(name) : undefined;
  return !value || roleSettings.test(Buffer.from(value).toString());
}

const isRelation = (node: Node): boolean =>
  (node.kind === 'RANGETBLENTRY' || node.kind === 'RTE') && numberIn(node, 'rtekind') === RTE.relation;

/** The answer depends on the role. */
export class AskedRole extends ClarusError {}

const asksRole = (detail: string): AskedRole =>
  new AskedRole(
    '0A000',
    'the statement asks for what depends on the role, which is another than the session’s own',
    {
      detail: `${detail} The cloud has one user for all, and would answer for that one.`,
      hint: 'RESET ROLE first, or ask for it in a statement that reads no tables.',
    },
  );

const searched = 'SELECT pg_catalog.current_schemas(true)::pg_catalog.text';

/** Does the role search the schemas that the session's own does? Only there do names mean the same to both. */
export async function searchesAlike(session: SessionPort): Promise<boolean> {
  const [own] = await readerOn(session.trusted)(searched, []);
  const [owners] = await session.asOwner(() => readerOn(session.trusted)(searched, []));
  return own?.[0] === owners?.[0];
}

/** The refusal of statements that others run, for whom their names could mean something else. */
export const otherPath = (): ClarusError =>
  new ClarusError('0A000', 'the role searches other schemas than the session’s own does', {
    detail:
      'It may not use one of the search_path, or "$user" is another schema for it. The cloud knows one user.',
    hint: 'SET search_path to schemas that both may use.',
  });

/** A function of users would be run where the role does not count. */
export class UncheckedRoutine extends ClarusError {}

/** Those that are no functions, or that the role may not call, or that others run with their rights. */
const changeable = `SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE p.oid = ANY ($1::pg_catalog.oid[])
  AND (p.prokind <> 'f' OR p.prosecdef OR NOT p.oid = ANY ($2::pg_catalog.oid[])
    AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) LIMIT 1`;

/** @throws ClarusError 0A000 for functions of users that could do more than compute */
export async function refuseRoutines(
  oids: readonly number[],
  session: SessionPort,
  homes: FunctionHomes,
): Promise<void> {
  if (oids.length === 0) return;
  const routines = await routinesCalled(new Set(oids), session);
  const called = new Set([...oids, ...routines.versions.oids]);
  const [row] = await readerOn(session.trusted)(changeable, [oidArray([...called]), oidArray(oids)]);
  if (!row && onlyComputes(routines, homes)) return;
  throw new UncheckedRoutine(
    '0A000',
    `a function of users is called beside tables, under a role that is not the session’s own${row ? `: "${row[0]}"` : ''}`,
    {
      detail: 'It would be run with the rights of the session’s own role.',
      hint: 'Let it only compute, call it in a statement of its own, or RESET ROLE.',
    },
  );
}

/** Do functions, with all that they call, the same whoever runs them? */
const onlyComputes = (routines: Routines, homes: FunctionHomes): boolean =>
  routines.doubt === undefined &&
  routines.tables.size === 0 &&
  [...routines.uses.views].length === 0 &&
  !routines.writes &&
  !routines.sequences &&
  !routines.catalogue &&
  !routines.role &&
  routines.settings !== undefined &&
  !routines.settings.some(name => roleSettings.test(name)) &&
  ![...routines.builtins].some(oid => homes.asksRole(oid) || homes.home(oid) === 'statistics');

/** Relations that a statement writes, in the shadow. */
function targetsOf(trees: readonly Node[]): ReadonlySet<number> {
  const found = new Set<number>();
  for (const tree of trees)
    walk(tree, node => {
      if (node.kind !== 'QUERY') return true;
      const command = numberIn(node, 'commandType');
      const target = nodesIn(node, 'rtable')[numberIn(node, 'resultRelation') - 1];
      if (command >= COMMAND.update && command <= COMMAND.merge && target)
        found.add(numberIn(target, 'relid'));
      return true;
    });
  return found;
}

const names = `SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND c.relpersistence <> 't'`;
const firing = `WITH RECURSIVE written AS (
    SELECT pg_catalog.to_regclass(u.name)::pg_catalog.oid AS oid FROM pg_catalog.unnest($1::pg_catalog.text[]) AS u (name)
    UNION SELECT x.oid FROM written w, LATERAL (
      SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = w.oid
      UNION ALL ${actedOn}) AS x (oid))
  SELECT t.tgname::text FROM pg_catalog.pg_trigger t JOIN written w ON w.oid = t.tgrelid WHERE NOT t.tgisinternal LIMIT 1`;
const asking = `SELECT c.conname::text FROM pg_catalog.pg_constraint c WHERE c.contype = 'c'
  AND (c.conrelid = ANY ($1::pg_catalog.oid[]) OR c.contypid IN (SELECT a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped))
  AND pg_catalog.pg_get_constraintdef(c.oid) ~* '\\m(current_user|current_role|user|current_schema|current_setting|has_\\w+_privilege|pg_has_role)\\M'
  LIMIT 1`;

/**
 * @param targets relations of the shadow that are written
 * @throws ClarusError 0A000 where triggers that the cloud fires, or what stands at the tables, would run with its user's rights
 */
export async function refuseTargets(
  targets: ReadonlySet<number>,
  session: SessionPort,
  homes: FunctionHomes,
): Promise<void> {
  if (targets.size === 0) return;
  const catalog = session.catalog();
  const read = readerOn(session.trusted);
  const all = await writtenWith(targets, session);
  const [check] = await read(asking, [oidArray(all)]);
  if (check) throw inWriting(`constraint "${check[0]}" asks who the user is`);
  await refuseRoutines(await standingFunctions(all, [], session), session, homes);
  const open = all.filter(oid => catalog.tables.get(oid)?.state !== 'protected');
  const named = open.length === 0 ? [] : await read(names, [oidArray(open)]);
  if (named.length === 0) return;
  const inCloud = named.map(([schema, name]) => inCloudsWords(catalog, schema!, name!));
  const [trigger] = await readerOn(session.cloud)(firing, [textArray(inCloud)]);
  if (trigger) throw inWriting(`trigger "${trigger[0]}" is fired by the cloud`);
}

const inWriting = (why: string): ClarusError =>
  new ClarusError('0A000', 'the table cannot be written under a role that is not the session’s own', {
    detail: `Its ${why}, and the cloud has one user for all.`,
    hint: 'RESET ROLE first.',
  });

function sequencesOf(trees: readonly Node[]): RightsNeeded['sequences'] {
  const found = new Map<string, RightsNeeded['sequences'][number]>();
  for (const tree of trees)
    walk(tree, node => {
      const oid = numberIn(node, 'funcid');
      if (node.kind === 'FUNCEXPR' && oid === LASTVAL) throw computedSequence();
      const called = sequenceCalled(node);
      if (called === 'unknown') throw computedSequence();
      if (called !== undefined) {
        const rights = sequenceRights.get(oid)!;
        found.set(`${called} ${rights}`, { oid: called, rights });
      }
      return true;
    });
  return [...found.values()];
}

const computedSequence = (): ClarusError =>
  new ClarusError(
    '0A000',
    'it cannot be told which sequence is meant, under a role that is not the session’s own',
    {
      hint: "Name the sequence as a constant, as in nextval('name').",
    },
  );
