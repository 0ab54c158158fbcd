/** DROP OWNED and REASSIGN OWNED of roles of the application: what they own stands in the shadow, and some of it in the cloud too. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { textArray } from '../../catalog/reader.js';
import { treeOf } from '../../catalog/trees.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, list, type RawFields, type RawNode } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { detachCarriers, inShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { lockBoth } from './locks.js';
import { ofConfiguration, rolesNamed, spelt } from './named-roles.js';
import { mustInherit } from './ownership.js';
import { changeTables } from './tables.js';
import { refuseOtherRows } from './values-of-types.js';

type Done = Promise<{ readonly tag: string }>;

/** The roles that a statement names, those that are nowhere too. @throws ClarusError 0A000 for others than the application's */
async function namesOf(
  session: SessionPort,
  specs: readonly RawNode[],
  what: string,
): Promise<readonly string[]> {
  const names = await Promise.all(specs.map(spec => spelt(session, spec)));
  const { others } = await rolesNamed(session, names);
  if (others.length > 0) throw ofConfiguration(`${what} of a role that was not made through Clarus`);
  return names.filter(name => name !== undefined);
}

const owned = (catalogue: string): string =>
  `FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid JOIN pg_catalog.${catalogue} o ON o.oid = d.objid
   WHERE d.dbid = (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database())
     AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.classid = 'pg_catalog.${catalogue}'::pg_catalog.regclass
     AND r.rolname = ANY ($1::pg_catalog.text[])`;

/** Tables, materialised views included: also those that it has rights on only. */
const tablesQuery = `SELECT o.oid::pg_catalog.text ${owned('pg_class')} AND o.relkind IN ('r', 'p', 'f', 'm')`;

async function tablesOf(session: SessionPort, names: readonly string[]): Promise<readonly LogicalTable[]> {
  const catalog = session.catalog();
  const rows = await readerOn(session.trusted)(tablesQuery, [textArray(names)]);
  const tables = rows.flatMap(([oid]) => catalog.tables.get(Number(oid)) ?? []);
  return [...new Set(tables.flatMap(table => treeOf(catalog, table)))];
}

/** What may stand in the cloud and is no table, in an order in which it can be dropped there: views of roles stand in none. */
const objectsQuery = `SELECT x.word, x.name, x.found FROM (
    SELECT 1 AS at, 'SEQUENCE' AS word, pg_catalog.format('%I.%I', n.nspname, o.relname) AS name, 'to_regclass' AS found, n.nspname
      ${owned('pg_class').replace('WHERE', 'JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace WHERE')} AND d.deptype = 'o' AND o.relkind = 'S'
    UNION ALL SELECT 2, 'ROUTINE', pg_catalog.format('%I.%I(%s)', n.nspname, o.proname, pg_catalog.pg_get_function_identity_arguments(o.oid)),
        'to_regprocedure', n.nspname
      ${owned('pg_proc').replace('WHERE', 'JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace WHERE')} AND d.deptype = 'o' AND o.prokind <> 'a'
    UNION ALL SELECT 3, CASE o.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, pg_catalog.format('%I.%I', n.nspname, o.typname), 'to_regtype', n.nspname
      ${owned('pg_type').replace('WHERE', 'JOIN pg_catalog.pg_namespace n ON n.oid = o.typnamespace WHERE')} AND d.deptype = 'o'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = o.typrelid AND c.relkind <> 'c')
    UNION ALL SELECT 4, 'SCHEMA', pg_catalog.quote_ident(o.nspname), 'to_regnamespace', o.nspname ${owned('pg_namespace')} AND d.deptype = 'o') x
  WHERE x.nspname NOT LIKE 'pg\\_temp%' ORDER BY x.at, x.name`;

/** Statements for the cloud that drop what stands there and is no table. */
async function dropsInCloud(
  session: SessionPort,
  names: readonly string[],
  cascade: boolean,
): Promise<readonly string[]> {
  const drops: string[] = [];
  for (const [word, name, lookUp] of await readerOn(session.trusted)(objectsQuery, [textArray(names)])) {
    // a signature holds what the look-up does not read
    const exists = lookUp === 'to_regprocedure' ? 'true' : `pg_catalog.${lookUp}($1) IS NOT NULL`;
    const [row] = await readerOn(session.cloud)(
      `SELECT (${exists})::pg_catalog.text WHERE $1::pg_catalog.text IS NOT NULL`,
      [name ?? ''],
    );
    if (row?.[0] === 'true') drops.push(`DROP ${word} IF EXISTS ${name}${cascade ? ' CASCADE' : ''}`);
  }
  return drops;
}

/**
 * DROP OWNED.
 * @throws ClarusError 0A000 for roles that Clarus did not make; PostgresError
 */
export async function dropOwned(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const names = await namesOf(session, list(fields, 'roles'), 'DROP OWNED');
  const cascade = fields.behavior === 'DROP_CASCADE';
  await lockBoth(
    session,
    deps,
    (await tablesOf(session, names)).filter(({ state }) => state !== 'blocked'),
  );
  // what else goes with types and functions has carriers, too
  await detachCarriers(session, session.catalog().tables.values());
  const afterwards = await dropsInCloud(session, names, cascade);
  const { tag } = await changeTables(session, deps, {
    scope: undefined,
    text: body.text,
    cascade,
    check: ({ changed }) => refuseOtherRows(session, deps, changed),
    afterwards,
  });
  return { tag };
}

/**
 * REASSIGN OWNED to a role of the application, or to the session's own. In the cloud all stays as it is.
 * @throws ClarusError 0A000 for other roles; PostgresError
 */
export async function reassignOwned(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const names = await namesOf(session, list(fields, 'roles'), 'REASSIGN OWNED');
  const owner = await spelt(session, fields.newrole as RawFields | undefined);
  const [own] = await session.asOwner(() =>
    readerOn(session.trusted)('SELECT current_user::pg_catalog.text', []),
  );
  const { logical, others } = await rolesNamed(session, [owner]);
  if (owner !== own?.[0] && others.length > 0)
    throw ofConfiguration('REASSIGN OWNED to a role that was not made through Clarus');
  if (owner !== undefined && logical.has(owner)) await mustInherit(owner, session);
  await lockBoth(
    session,
    deps,
    (await tablesOf(session, names)).filter(({ state }) => state !== 'blocked'),
  );
  return inShadow(session, body);
}
