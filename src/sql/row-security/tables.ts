/** Tables with row level security, where no analysed statement tells whether policies are applied. */
import { ClarusError } from '../../errors.js';
import { rangeParts, resolveRelation } from '../ddl/resolve.js';
import { actingIn } from '../kept-plans.js';
import type { SessionPort } from '../ports.js';
import { child, list, type RawFields, type RawNode, stringOf } from '../raw/node.js';
import { oidsOnce, readerOn } from '../reading.js';

/** Tables that have it, by their OIDs in the shadow. */
export const securedTables = oidsOnce(
  'SELECT c.oid::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relrowsecurity',
);

const activeQuery = 'SELECT pg_catalog.row_security_active($1::pg_catalog.oid)::pg_catalog.text';

/** Are policies applied to what the session does with a table? @throws PostgresError where row_security is off */
export async function isActive(oid: number, session: SessionPort): Promise<boolean> {
  if (!(await securedTables(session)).has(oid)) return false;
  const [row] = await readerOn(session.trusted)(activeQuery, [String(oid)]);
  return row?.[0] === 'true';
}

const exemptQuery = `SELECT (r.rolsuper OR r.rolbypassrls)::pg_catalog.text FROM pg_catalog.pg_roles r
  WHERE r.rolname = current_user`;

/**
 * The trusted side gives the session's own role no attributes that it has in the cloud.
 * @throws ClarusError 0A000 for a role that is exempt from all policies
 */
export async function refuseExempt(session: SessionPort): Promise<void> {
  if (actingIn(session) !== undefined) return;
  const [row] = await readerOn(session.cloud)(exemptQuery, []);
  if (row?.[0] === 'true')
    throw new ClarusError(
      '0A000',
      'policies of row level security are applied on the trusted side, and the user is exempt from them in the cloud',
      {
        detail:
          'It is a superuser, or has BYPASSRLS, and row level security is forced for the owner of a table, or the table is of another owner.',
        hint: 'ALTER TABLE ... NO FORCE ROW LEVEL SECURITY, or log in to Clarus as another user.',
      },
    );
}

/**
 * COPY of a table is no query to PostgreSQL's analysis. Where policies are applied, COPY TO is one (BeginCopyTo of copyto.c).
 * @returns undefined: none are applied
 * @throws ClarusError 0A000 for COPY FROM, as DoCopy of copy.c
 */
export async function copySecured(raw: RawNode, session: SessionPort): Promise<RawNode | undefined> {
  const fields = raw.CopyStmt;
  if (!fields || child(fields, 'query')) return undefined;
  if ((await securedTables(session)).size === 0) return undefined;
  const range = fields.relation as RawFields;
  const relation = await resolveRelation(readerOn(session.trusted), rangeParts(range));
  if (!relation || !(await isActive(relation.oid, session))) return undefined;
  await refuseExempt(session);
  if (fields.is_from === true && !session.settings.rowSecurity)
    // check_enable_rls of rls.c
    throw new ClarusError(
      '42501',
      `query would be affected by row-level security policy for table "${relation.name}"`,
    );
  if (fields.is_from === true)
    throw new ClarusError('0A000', 'COPY FROM not supported with row-level security', {
      hint: 'Use INSERT statements instead.',
    });
  const names = list(fields, 'attlist').map(stringOf);
  const columns = names.length > 0 ? names.map(name => ({ String: { sval: name } })) : [{ A_Star: {} }];
  const targetList = columns.map(column => ({ ResTarget: { val: { ColumnRef: { fields: [column] } } } }));
  // the rows of partitions are those of their table; of heirs, COPY copies none
  const { inh: _inh, ...only } = range;
  const fromClause = [{ RangeVar: relation.kind === 'p' ? { ...only, inh: true } : only }];
  const query = {
    SelectStmt: { targetList, fromClause, limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' },
  };
  const { relation: _relation, attlist: _attlist, ...rest } = fields;
  return { CopyStmt: { ...rest, query } };
}
