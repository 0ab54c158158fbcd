/** VACUUM and ANALYZE under a role of the application: of what it may, in the cloud; of the rest PostgreSQL tells that it is left. */
import { oidArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { rangeParts, resolveRelation } from '../ddl/resolve.js';
import type { Plan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, list, type RawFields, type RawNode } from '../raw/node.js';
import { readerOn, trustedMajor } from '../reading.js';

/** Of relations and what belongs to them: whether the role may, as vacuum_is_permitted_for_relation (vacuum.c), and whose they are. */
const permittedQuery = (right: string): string => `WITH RECURSIVE named AS (
    SELECT u.oid, true AS first FROM pg_catalog.unnest($1::pg_catalog.oid[]) u (oid)
    UNION SELECT i.inhrelid, false FROM named n JOIN pg_catalog.pg_inherits i ON i.inhparent = n.oid)
  SELECT (${right})::pg_catalog.text, n.first::pg_catalog.text FROM named n JOIN pg_catalog.pg_class c ON c.oid = n.oid
   WHERE c.relnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace`;

/**
 * @param plan plans it as if it were sent by the session's own role
 * @throws ClarusError 42P01, 0A000 for all tables at once, and for those that the role may together with others
 */
export async function planActingVacuum(
  node: RawNode,
  session: SessionPort,
  plan: () => Promise<Plan>,
): Promise<Plan> {
  const read = readerOn(session.trusted);
  const ranges = list(node.VacuumStmt!, 'rels').map(rel => fieldsOf(rel).relation as RawFields);
  if (ranges.length === 0)
    throw refused('All tables would be meant, and PostgreSQL would leave those that the role does not own.');
  const found = await Promise.all(ranges.map(range => resolveRelation(read, rangeParts(range))));
  const missing = ranges.find((_, i) => found[i] === undefined);
  if (missing) throw new ClarusError('42P01', `relation "${rangeParts(missing).join('.')}" does not exist`);
  const right =
    (await trustedMajor(session)) >= 17
      ? "pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')"
      : "pg_catalog.pg_has_role(c.relowner, 'USAGE')";
  const rows = await read(permittedQuery(right), [oidArray(found.map(relation => relation!.oid))]);
  if (rows.every(([may]) => may === 'true')) return plan();
  // the trusted side runs no VACUUM
  const vacuums = node.VacuumStmt!.is_vacuumcmd === true;
  if (vacuums || rows.some(([may]) => may === 'true') || rows.some(([, first]) => first !== 'true'))
    throw refused(
      'PostgreSQL would leave those tables that the role does not own, partitions and heirs by themselves.',
    );
  const shape = { parameterTypes: [], columns: undefined };
  return { kind: 'trusted', sql: deparse(alone(node)), shape };
}

/** Carriers inherit from their tables, and are none that PostgreSQL would tell of. */
const alone = (node: RawNode): RawNode => ({
  VacuumStmt: {
    ...node.VacuumStmt!,
    rels: list(node.VacuumStmt!, 'rels').map(rel => {
      const { inh: _heirs, ...relation } = fieldsOf(rel).relation as RawFields;
      return { VacuumRelation: { ...fieldsOf(rel), relation } };
    }),
  },
});

const refused = (detail: string): ClarusError =>
  new ClarusError('0A000', 'VACUUM and ANALYZE are answered under a role for tables that it owns', {
    detail,
    hint: 'Name its tables, or RESET ROLE first.',
  });
