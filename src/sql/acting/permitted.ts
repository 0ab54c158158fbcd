/** May the role that a session acts as run what it has planned? */

import { oidArray, textArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import type { Plan, RightsNeeded } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';

/** Plans that were found to be permitted. A plan is of one role and of one catalogue, which GRANT and REVOKE change. */
const permitted = new WeakSet<RightsNeeded>();

/**
 * @returns undefined: it may, and nothing had to be asked
 * @throws PostgresError, ClarusError 42501 as PostgreSQL says that the role may not; 0A000 for what is not known to be checked
 */
export function mustBePermitted(plan: Plan, session: SessionPort): Promise<void> | undefined {
  if (plan.kind !== 'pass' && plan.kind !== 'protected') return undefined;
  const { needs } = plan;
  if (!needs && session.transaction.acting === undefined) return undefined;
  if (!needs)
    throw new ClarusError('0A000', 'the statement is not answered under another role than the session’s own');
  return permitted.has(needs) ? undefined : checked(needs, session);
}

const denied = `SELECT p.proname::text, p.prokind::text FROM pg_catalog.pg_proc p
  WHERE p.oid = ANY ($1::pg_catalog.oid[]) AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE') LIMIT 1`;
const kinds: Readonly<Record<string, string>> = { a: 'aggregate', p: 'procedure' };
const deniedSequence = `SELECT c.relname::text
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.text[])) AS u (oid, rights)
    JOIN pg_catalog.pg_class c ON c.oid = u.oid WHERE NOT pg_catalog.has_sequence_privilege(c.oid, u.rights) LIMIT 1`;

async function checked(needs: RightsNeeded, session: SessionPort): Promise<void> {
  const { tries, functions, sequences } = needs;
  for (const statement of tries) await session.tries(statement);
  const read = readerOn(session.trusted);
  const [routine] = functions.length > 0 ? await read(denied, [oidArray(functions)]) : [];
  if (routine)
    throw new ClarusError('42501', `permission denied for ${kinds[routine[1]!] ?? 'function'} ${routine[0]}`);
  const [sequence] =
    sequences.length > 0
      ? await read(deniedSequence, [
          oidArray(sequences.map(({ oid }) => oid)),
          textArray(sequences.map(({ rights }) => rights)),
        ])
      : [];
  if (sequence) throw new ClarusError('42501', `permission denied for sequence ${sequence[0]}`);
  permitted.add(needs);
}
