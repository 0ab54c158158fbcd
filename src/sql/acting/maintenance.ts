/** VACUUM and ANALYZE under a role of the application: of what it may, in the cloud; of the rest PostgreSQL tells that it is left. */
import { ClarusError } from '../../errors.js';
import type { DdlBody } from '../ddl/body.js';
import { rangeParts, resolveRelation } from '../ddl/resolve.js';
import { tablesMeant, withoutCarriers } from '../ddl/vacuum.js';
import type { Plan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, list, type RawFields, type RawNode, text } from '../raw/node.js';
import { readerOn } from '../reading.js';

const shape = { parameterTypes: [], columns: undefined };

/**
 * @param plan plans it as if it were sent by the session's own role
 * @throws ClarusError 42P01, 0A000 for all tables at once, and for ANALYZE of those that the role may together with others
 */
export async function planActingVacuum(
  node: RawNode,
  session: SessionPort,
  plan: () => Promise<Plan>,
): Promise<Plan> {
  const { is_vacuumcmd: vacuums } = node.VacuumStmt!;
  const ranges = list(node.VacuumStmt!, 'rels').map(rel => fieldsOf(rel).relation as RawFields);
  if (ranges.length === 0)
    throw refused('All tables would be meant, and PostgreSQL would leave those that the role does not own.');
  for (const range of ranges)
    if (!(await resolveRelation(readerOn(session.trusted), rangeParts(range))))
      throw new ClarusError('42P01', `relation "${rangeParts(range).join('.')}" does not exist`);
  const meant = await tablesMeant(node, session);
  if (meant.every(({ permitted }) => permitted)) return plan();
  if (
    vacuums &&
    list(node.VacuumStmt!, 'options').some(option => text(fieldsOf(option), 'defname') === 'verbose')
  )
    throw refused('VERBOSE would tell of what stands in the cloud.');
  if (vacuums) {
    const body: DdlBody = { kind: 'ddl', node, text: deparse(node), parameterTypes: [], secrets: undefined };
    const needs = { tries: [], functions: [], sequences: [] };
    return { kind: 'protected', command: 'VACUUM', shape, body, needs };
  }
  if (meant.some(({ permitted }) => permitted))
    throw refused(
      'PostgreSQL would leave those tables that the role does not own, partitions and heirs by themselves.',
    );
  return { kind: 'trusted', sql: deparse(await withoutCarriers(node, session)), shape };
}

const refused = (detail: string): ClarusError =>
  new ClarusError('0A000', 'VACUUM and ANALYZE are answered under a role for tables that it owns', {
    detail,
    hint: 'Name its tables, or RESET ROLE first.',
  });
