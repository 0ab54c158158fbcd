/**
 * Proves that a query, a view or a function touches open tables only, by the trusted PostgreSQL's own analysis.
 * What is not proven does not reach a cloud.
 */
import { oidArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import type { Policy } from '../../policy/policy.js';
import { type Node, readNodes } from '../analysed/node.js';
import { functionsIn, relationsIn } from '../analysed/query.js';
import { FIRST_USER_OID, type FunctionHomes } from '../functions.js';
import type { SessionPort } from '../ports.js';
import { routineOf } from '../procedural/routine.js';
import { fieldsOf, list, type RawNode, stringOf } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import { partsOf } from '../routine-bodies.js';
import { type Routines, routinesCalled } from '../routines.js';
import { rowsWithin, typesIn } from '../row-types.js';
import { absence, absentFromCloud, causeOf } from '../standing.js';

/** Undefined: proven. Else why not, in words. */
export type Doubt = string | undefined;

/** What a proof asks. */
export interface ProofContext {
  readonly session: SessionPort;
  readonly homes: FunctionHomes;
}

/**
 * One that names what the cloud does not know is not proven either.
 * @param types of its parameters
 */
export async function doubtOfQuery(
  context: ProofContext,
  sql: string,
  types: readonly number[] = [],
): Promise<Doubt> {
  const analysis = await context.session.analyse(sql, types);
  if (analysis.rewritten.length === 0) return 'its analysis is not known';
  const trees = analysis.rewritten.flatMap(readNodes);
  const functions = [...functionsIn(trees)].filter(oid => oid >= FIRST_USER_OID);
  return (
    (await doubtOfTrees(context, trees)) ??
    inWords(await absence(parseOne(sql), analysis, { functions }, context.session))
  );
}

const inWords = (cause: ClarusError | undefined): Doubt => cause && `the ${cause.message}`;

/**
 * Analyses a query that may read protected tables, where only the trusted side runs it. What functions of users do is
 * looked at where a statement reads the view.
 */
export async function doubtOfServedQuery(context: ProofContext, sql: string): Promise<Doubt> {
  const { rewritten } = await context.session.analyse(sql, []);
  const trees = rewritten.flatMap(readNodes);
  const { tables } = context.session.catalog();
  const others = [...relationsIn(trees)].filter(oid => tables.get(oid)?.state !== 'protected');
  const builtins = [...functionsIn(trees)].filter(oid => oid < FIRST_USER_OID);
  return (
    (await doubtOfRelations(context.session, new Set(others))) ?? doubtOfFunctions(context, new Set(builtins))
  );
}

async function doubtOfTrees(context: ProofContext, trees: readonly Node[]): Promise<Doubt> {
  const relations = await doubtOfRelations(context.session, relationsIn(trees));
  const types = relations ?? (await doubtOfTypes(context.session, typesIn(trees)));
  return types ?? doubtOfFunctions(context, functionsIn(trees));
}

/** The cloud knows the row of a protected table as one of encodings. */
async function doubtOfTypes(session: SessionPort, types: ReadonlySet<number>): Promise<Doubt> {
  const table = await rowsWithin(types, [], session);
  return table && `it uses the row type of the table "${table.name}", which is ${table.state}`;
}

/** Views have been expanded into their tables by the analysis; sequences hold no row of a table. */
export async function doubtOfRelations(session: SessionPort, oids: ReadonlySet<number>): Promise<Doubt> {
  const { tables } = session.catalog();
  const unknown: number[] = [];
  for (const oid of oids) {
    const table = tables.get(oid);
    if (table && table.state !== 'open') return `it uses the table "${table.name}", which is ${table.state}`;
    if (!table && oid >= FIRST_USER_OID) unknown.push(oid);
  }
  if (unknown.length === 0) return undefined;
  const [row] = await readerOn(session.trusted)(
    "SELECT c.relname::text FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relkind NOT IN ('v', 'S') LIMIT 1",
    [oidArray(unknown)],
  );
  return row && `it uses "${row[0]}", which Clarus does not know`;
}

/** Functions of users are proven by what they do; built-in ones by the list of those that run SQL text. */
export async function doubtOfFunctions(context: ProofContext, oids: ReadonlySet<number>): Promise<Doubt> {
  const users: number[] = [];
  for (const oid of oids) {
    if (oid >= FIRST_USER_OID) users.push(oid);
    else if (context.homes.home(oid) === 'unproven') return 'it calls a function that may run SQL text';
  }
  if (users.length === 0) return undefined;
  const routines = await routinesCalled(new Set(users), context.session);
  return doubtOfRoutines(context, routines);
}

async function doubtOfRoutines({ session, homes }: ProofContext, routines: Routines): Promise<Doubt> {
  if (routines.doubt !== undefined) return routines.doubt;
  for (const oid of routines.builtins)
    if (homes.home(oid) === 'unproven') return 'it calls a function that may run SQL text';
  const table = routines.rowsOf;
  return (
    (await doubtOfRelations(session, routines.tables)) ??
    (table && `it uses the row type of the table "${table.name}", which is ${table.state}`)
  );
}

/** What a CREATE FUNCTION that has just run in the shadow made. */
export interface NewFunction {
  /** why it is not proven to touch open tables only, in words */
  readonly doubt: Doubt;
  /**
   * it can stand on the trusted side alone: it is known what it reads, all of it served, and it writes nothing,
   * it names relations that are still to come (check_function_bodies), or its body can be run statement by statement
   */
  readonly stands: boolean;
}

/** Overloads of the name are looked at with it: more than asked, never less. */
export async function newFunction(context: ProofContext, node: RawNode): Promise<NewFunction> {
  const fields = fieldsOf(node);
  const parts = list(fields, 'funcname').map(stringOf);
  const rows = await readerOn(context.session.trusted)(
    `SELECT p.oid::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE p.proname = $1 AND n.nspname = coalesce($2::text, pg_catalog.current_schema()::text)`,
    [parts.at(-1) ?? '', parts.length > 1 ? (parts.at(-2) ?? null) : null],
  );
  const routines = await routinesCalled(new Set(rows.map(row => Number(row[0]))), context.session);
  const { tables } = context.session.catalog();
  const states = new Set([...routines.tables].map(oid => tables.get(oid)?.state));
  const made = new Set(rows.map(row => Number(row[0])));
  const touches = await doubtOfRoutines(context, openWhenThere(routines, context.session.catalog().policy));
  const doubt = touches ?? (await doubtOfUses(routines, made, context.session));
  const needs = states.has('protected') || routines.rowsOf?.state === 'protected';
  const isKnown = routines.doubt === undefined && (needs || touches === undefined);
  const proven = [...routines.builtins].every(oid => context.homes.home(oid) !== 'unproven');
  const reads = (routines.absent.length > 0 || isKnown) && proven && !routines.writes;
  return {
    doubt,
    stands: !states.has('blocked') && (reads || (await canBeRun([...made], context.session))),
  };
}

/** A function that stands in the shadow. */
export async function doubtOfFunction(context: ProofContext, oid: number): Promise<Doubt> {
  const routines = await routinesCalled(new Set([oid]), context.session);
  return (
    (await doubtOfRoutines(context, routines)) ??
    (await doubtOfUses(routines, new Set([oid]), context.session))
  );
}

/** Types, functions and views that functions need and the cloud has not. @param made the functions themselves */
async function doubtOfUses(
  { uses }: Routines,
  made: ReadonlySet<number>,
  session: SessionPort,
): Promise<Doubt> {
  const routines = [...uses.routines].filter(oid => !made.has(oid));
  return inWords(causeOf(await absentFromCloud({ ...uses, routines }, session)));
}

/** Relations that are still to come are open tables where the policy says nothing of tables of their names. */
function openWhenThere(routines: Routines, { unlisted, tables }: Policy): Routines {
  const { absent } = routines;
  const listed = absent.some(joined => tables.some(({ name }) => name === partsOf(joined).name));
  return absent.length === 0 || unlisted !== 'pass' || listed ? routines : { ...routines, doubt: undefined };
}

/** Can the bodies of all of these be run statement by statement? */
async function canBeRun(oids: readonly number[], session: SessionPort): Promise<boolean> {
  for (const oid of oids) if (!(await routineOf(oid, session))) return false;
  return true;
}

/** The refusal of what the cloud would have to run. @param detail of the doubt */
export const notProven = (
  what: string,
  detail: string,
  hint = 'Write the body in SQL or PL/pgSQL; one that writes must be VOLATILE.',
): ClarusError =>
  new ClarusError('0A000', `${what} is not proven to touch unprotected tables only`, { detail, hint });
