/**
 * Row level security, and roles of the application as owners, stand in the shadow alone: what of it a table loses that is made
 * again there.
 */
import { isLogicalRole } from '../trusted/roles.js';
import type { Reader } from './reader.js';
import type { ShadowItem } from './shadow-ddl.js';

const keptQuery = `
SELECT pg_catalog.format('row level security of %I.%I', n.nspname, c.relname),
       pg_catalog.format('ALTER TABLE %I.%I %s ROW LEVEL SECURITY, %s ROW LEVEL SECURITY', n.nspname, c.relname,
         CASE WHEN c.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END, CASE WHEN c.relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END),
       n.nspname::pg_catalog.text, c.relname::pg_catalog.text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f') AND (c.relrowsecurity OR c.relforcerowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid))
UNION ALL
SELECT pg_catalog.format('row level security of %I.%I', n.nspname, c.relname),
       pg_catalog.format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s', p.polname, n.nspname, c.relname,
         CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
         CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
         (SELECT pg_catalog.string_agg(CASE WHEN r.oid = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(r.oid)) END, ', ')
            FROM pg_catalog.unnest(p.polroles) r (oid)))
         || coalesce(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
         || coalesce(' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''),
       n.nspname::pg_catalog.text, c.relname::pg_catalog.text
  FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT pg_catalog.format('owner of %I.%I', n.nspname, c.relname),
       pg_catalog.format('ALTER TABLE %I.%I OWNER TO %I', n.nspname, c.relname, r.rolname), n.nspname::pg_catalog.text, c.relname::pg_catalog.text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
 WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v', 'S') AND ${isLogicalRole('r.rolname')}
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE c.relkind = 'S' AND d.objid = c.oid AND d.deptype IN ('a', 'i')
     AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)`;

/** Row level security, or the owner, of one table. */
export interface KeptPolicies extends ShadowItem {
  readonly schema: string;
  readonly name: string;
}

/** Of all tables that have some, by statements that give it to a table of the same name again. @param read the shadow */
export async function policiesIn(read: Reader): Promise<readonly KeptPolicies[]> {
  const found = new Map<string, KeptPolicies & { readonly statements: string[] }>();
  for (const [what, statement, schema, name] of await read(keptQuery, [])) {
    const kept = found.get(what!) ?? { what: what!, statements: [], schema: schema!, name: name! };
    kept.statements.push(statement!);
    found.set(what!, kept);
  }
  return [...found.values()];
}

/** Those of them that are not there any more, of tables that are. */
export async function missingOf(
  before: readonly KeptPolicies[],
  read: Reader,
): Promise<readonly KeptPolicies[]> {
  if (before.length === 0) return [];
  const now = new Map((await policiesIn(read)).map(({ what, statements }) => [what, new Set(statements)]));
  const missing: KeptPolicies[] = [];
  for (const kept of before) {
    const [there] = await read(existsQuery, [kept.schema, kept.name]);
    const statements = kept.statements.filter(statement => !now.get(kept.what)?.has(statement));
    if (there && statements.length > 0) missing.push({ ...kept, statements });
  }
  return missing;
}

const existsQuery = `SELECT c.oid::pg_catalog.text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2`;
