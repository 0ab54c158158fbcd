/** Functions of users that touch tables with row level security, where the cloud, which enforces no policies, would run them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { oidArray, textArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { readNodes } from '../analysed/node.js';
import { functionsIn, relationsIn } from '../analysed/query.js';
import { FIRST_USER_OID } from '../functions.js';
import type { Analysis, SessionPort } from '../ports.js';
import { list, type RawNode, stringOf, visit } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { type Routines, routinesCalled } from '../routines.js';
import { isActive, securedTables } from './tables.js';

/** A function that is SECURITY DEFINER does what its owner may (check_enable_rls of rls.c). */
const definersQuery = `SELECT p.proname::pg_catalog.text FROM pg_catalog.pg_proc p, pg_catalog.pg_class c
  WHERE p.oid = ANY ($1::pg_catalog.oid[]) AND p.prosecdef AND c.oid = ANY ($2::pg_catalog.oid[]) AND c.relrowsecurity
    AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(p.proowner, c.relowner, 'USAGE')) LIMIT 1`;

/** Would policies be applied to what functions do, for whom calls them or for the owner of one of them? */
async function meetsPolicies({ tables, versions }: Routines, session: SessionPort): Promise<boolean> {
  const secured = await securedTables(session);
  const touched = [...tables].filter(oid => secured.has(oid));
  if (touched.length === 0) return false;
  for (const oid of touched) if (await isActive(oid, session)) return true;
  const parameters = [oidArray(versions.oids), oidArray(touched)];
  return (await readerOn(session.trusted)(definersQuery, parameters)).length > 0;
}

/**
 * A function of users is run where no policies are applied to what it reads, unless the trusted PostgreSQL runs the statement.
 * @throws ClarusError 0A000 where policies would be applied
 */
export async function refuseSecuredRoutines(routines: Routines, session: SessionPort): Promise<void> {
  if (await meetsPolicies(routines, session))
    throw new ClarusError(
      '0A000',
      'a function of users touches a table to which policies of row level security are applied',
      { hint: 'Name the table in the statement itself.' },
    );
}

/** Would policies be applied to what the functions do that a query calls? */
export async function callsSecured({ rewritten }: Analysis, session: SessionPort): Promise<boolean> {
  if ((await securedTables(session)).size === 0) return false;
  const called = [...functionsIn(rewritten.flatMap(readNodes))].filter(oid => oid >= FIRST_USER_OID);
  return called.length > 0 && meetsPolicies(await routinesCalled(new Set(called), session), session);
}

const ownerQuery = `SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class v, pg_catalog.pg_class c
  WHERE v.oid = $1::pg_catalog.oid AND c.oid = ANY ($2::pg_catalog.oid[]) AND c.relrowsecurity
    AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(v.relowner, c.relowner, 'USAGE')) LIMIT 1`;

/**
 * A materialised view that the cloud fills is filled without policies.
 * @param oid of it
 * @param query its own
 * @throws ClarusError 0A000 where its owner is subject to those of a table that it reads
 */
export async function refuseSecuredView(oid: number, query: string, session: SessionPort): Promise<void> {
  if ((await securedTables(session)).size === 0) return;
  const trees = (await session.analyse(query, [])).rewritten.flatMap(readNodes);
  const called = new Set([...functionsIn(trees)].filter(oid => oid >= FIRST_USER_OID));
  const routines = called.size > 0 ? await routinesCalled(called, session) : undefined;
  const read = [...relationsIn(trees), ...(routines?.tables ?? [])];
  const [row] = await readerOn(session.trusted)(ownerQuery, [String(oid), oidArray(read)]);
  if (row) throw ofView(`Policies of table "${row[0]}" are applied to what its owner reads.`);
  if (routines) await refuseSecuredRoutines(routines, session);
}

/** The refusal of a materialised view. */
export const ofView = (detail: string): ClarusError =>
  new ClarusError('0A000', 'a materialized view is not filled under row level security', {
    detail,
    hint: 'Make a table with CREATE TABLE AS.',
  });

/**
 * What the cloud runs by itself where rows of tables are written: triggers, and functions in constraints, defaults and indexes;
 * those of heirs, and of tables whose rows foreign keys change, too.
 */
const firedQuery = `WITH RECURSIVE written AS (
    SELECT u.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) u (oid)
    UNION SELECT x.oid FROM written w, LATERAL (
      SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = w.oid
      UNION ALL SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = w.oid
        AND ($2::pg_catalog.bool OR k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))) x (oid)),
  parts AS (
    SELECT w.oid AS of, 'pg_catalog.pg_constraint'::pg_catalog.regclass AS class, k.oid FROM written w JOIN pg_catalog.pg_constraint k ON k.conrelid = w.oid
    UNION ALL SELECT w.oid, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, a.oid FROM written w JOIN pg_catalog.pg_attrdef a ON a.adrelid = w.oid
    UNION ALL SELECT w.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid FROM written w JOIN pg_catalog.pg_index i ON i.indrelid = w.oid),
  run AS (
    SELECT w.oid AS of, t.tgfoid::pg_catalog.oid AS function FROM written w JOIN pg_catalog.pg_trigger t ON t.tgrelid = w.oid WHERE NOT t.tgisinternal
    UNION SELECT p.of, coalesce(o.oprcode::pg_catalog.oid, d.refobjid) FROM parts p
      JOIN pg_catalog.pg_depend d ON d.classid = p.class AND d.objid = p.oid
      LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
     WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass))
  SELECT r.of::pg_catalog.text, r.function::pg_catalog.text FROM run r WHERE r.function >= ${FIRST_USER_OID}`;

/**
 * The cloud fires the triggers of open tables, and applies no policies to what they do.
 * @param tables that a statement writes
 * @param empties TRUNCATE may empty all that refer to them
 * @throws ClarusError 0A000 where policies would be applied
 */
export async function refuseSecuredTriggers(
  tables: Iterable<Pick<LogicalTable, 'oid'>>,
  session: SessionPort,
  empties = false,
): Promise<void> {
  if ((await securedTables(session)).size === 0) return;
  const catalog = session.catalog();
  const written = new Set([...tables].map(({ oid }) => oid));
  const run = new Set<number>();
  // what they write fires more
  for (let before = -1; before < written.size; ) {
    before = written.size;
    const rows = await readerOn(session.trusted)(firedQuery, [oidArray([...written]), String(empties)]);
    for (const [of, routine] of rows)
      if (catalog.tables.get(Number(of))?.state === 'open') run.add(Number(routine));
    if (run.size === 0) return;
    const routines = await routinesCalled(run, session);
    await refuseSecuredRoutines(routines, session);
    if (routines.writes) for (const oid of routines.tables) written.add(oid);
  }
}

const namedQuery = `SELECT p.oid::pg_catalog.text FROM pg_catalog.pg_proc p
  WHERE p.proname = ANY ($1::pg_catalog.text[]) AND p.oid >= ${FIRST_USER_OID}`;

/**
 * Expressions of DDL that the cloud computes over rows: of constraints, indexes, new columns and types.
 * @throws ClarusError 0A000 where policies would be applied to what their functions do
 */
export async function refuseSecuredExpressions(node: RawNode, session: SessionPort): Promise<void> {
  if ((await securedTables(session)).size === 0) return;
  const names = new Set<string>();
  visit(node, (kind, fields) => {
    if (kind === 'FuncCall') names.add(stringOf(list(fields, 'funcname').at(-1)));
  });
  if (names.size === 0) return;
  const rows = await readerOn(session.trusted)(namedQuery, [textArray(names)]);
  if (rows.length === 0) return;
  await refuseSecuredRoutines(
    await routinesCalled(new Set(rows.map(([oid]) => Number(oid))), session),
    session,
  );
}
