/** EXCLUDE constraints over protected columns that a statement makes: existing rows are looked at on the trusted side. */
import { ClarusError } from '../../errors.js';
import { eachStored, storedColumns } from '../checks/stored.js';
import { conflictsAmong, type Rows, together } from '../exclusions/conflicts.js';
import { type Exclusion, type Exclusions, exclusionsOf } from '../exclusions/exclusion.js';
import { violation } from '../exclusions/violation.js';
import type { SessionPort } from '../ports.js';
import { keepsSnapshot } from '../snapshots.js';
import type { DdlDependencies } from './body.js';
import type { ChangedTable } from './changed-table.js';
import { mayHoldRows } from './refill/index.js';

/**
 * Looks at what changed, once the catalogue of the session holds it and the cloud has it. The table is locked.
 * @throws PostgresError 23P01 where rows conflict; ClarusError 0A000 for a constraint that the trusted side cannot evaluate,
 *   and in a transaction that does not see all rows
 */
export async function validateExclusions(
  session: SessionPort,
  deps: DdlDependencies,
  changed: readonly ChangedTable[],
): Promise<void> {
  for (const { before, after } of changed) {
    if (after?.table.state !== 'protected') continue;
    const of = await exclusionsOf(after.table, session);
    if (!of || !before) continue;
    const oidOf = (of: ChangedTable['after'], name: string): number | undefined =>
      of?.described.constraints.find(c => c.kind === 'x' && c.name === name)?.oid;
    const known = new Set(before.described.constraints.map(({ oid }) => oid));
    const fresh = of.exclusions.filter(({ name }) => !known.has(oidOf(after, name)!));
    if (fresh.length === 0 || !(await mayHoldRows(session, after.table))) continue;
    for (const exclusion of fresh) await mustHold(exclusion, of, session, deps);
  }
}

/** IndexCheckExclusion of catalog/index.c */
async function mustHold(
  exclusion: Exclusion,
  of: Exclusions,
  session: SessionPort,
  deps: DdlDependencies,
): Promise<void> {
  const { table } = of;
  if (await keepsSnapshot(session))
    throw new ClarusError('0A000', `exclusion constraint "${exclusion.name}" cannot be made here`, {
      detail: 'The transaction does not see rows that others have written since it began.',
      hint: 'Alter the table in a READ COMMITTED transaction.',
      table: table.name,
      constraint: exclusion.name,
    });
  const batches: Rows[] = [];
  const stored = storedColumns(table, exclusion.columns, deps.registry);
  await eachStored(stored, session, deps.context(session), async (values, count) => {
    batches.push({ values, count });
  });
  const [conflict] = await conflictsAmong(exclusion, of, together(batches), 'first', false, session);
  if (conflict) throw await violation(table, exclusion, conflict, session, true);
}
