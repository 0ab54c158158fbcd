/** Checks over protected columns that a statement makes or validates: existing rows are looked at on the trusted side. */
import { ClarusError } from '../../errors.js';
import { firstBroken, timeOf } from '../checks/broken.js';
import { generatedOf } from '../checks/generated.js';
import { eachStored, storedColumns } from '../checks/stored.js';
import { type CheckExpression, checksOf, functionsOf, type TableChecks } from '../checks/table-checks.js';
import { FIRST_USER_OID } from '../functions.js';
import type { SessionPort } from '../ports.js';
import { keepsSnapshot } from '../snapshots.js';
import type { DdlDependencies } from './body.js';
import type { ChangedTable } from './changed-table.js';
import { mayHoldRows } from './refill/index.js';

/**
 * Looks at what changed, once the catalogue of the session holds it and the cloud has it.
 * @throws ClarusError 23514 where a row breaks a check, 0A000 for a check that does more than compute
 */
export async function validateChecks(
  session: SessionPort,
  deps: DdlDependencies,
  changed: readonly ChangedTable[],
): Promise<void> {
  for (const { before, after } of changed) {
    if (after?.table.state !== 'protected') continue;
    // an expression that the trusted side cannot compute is refused now, not by the first write
    await generatedOf(after.table, session);
    const of = await checksOf(after.table, session);
    const asBefore = (name: string): boolean => {
      const now = after.described.constraints.find(c => c.kind === 'c' && c.name === name);
      const was = before?.described.constraints.find(c => c.oid === now?.oid);
      return was?.validated === now?.validated;
    };
    const fresh = of?.checks.filter(({ name }) => !asBefore(name)) ?? [];
    if (!of || fresh.length === 0) continue;
    for (const check of fresh) await mustOnlyCompute(of, check, session, deps);
    const validated = fresh.filter(({ name }) =>
      after.described.constraints.some(c => c.kind === 'c' && c.name === name && c.validated),
    );
    if (before && (await mayHoldRows(session, after.table))) await mustHold(of, validated, session, deps);
  }
}

async function mustOnlyCompute(
  { table }: TableChecks,
  { name, text }: CheckExpression,
  session: SessionPort,
  { homes }: DdlDependencies,
): Promise<void> {
  const called = await functionsOf(table, text, session);
  if ([...called].every(oid => oid >= FIRST_USER_OID || homes.home(oid) !== 'unproven')) return;
  throw new ClarusError('0A000', `check constraint "${name}" of table "${table.name}" cannot be evaluated`, {
    detail: 'It calls a function that may run SQL text.',
    hint: 'Write the check over the columns of the row and functions that only compute.',
    table: table.name,
    constraint: name,
  });
}

/** ATRewriteTable of tablecmds.c */
async function mustHold(
  of: TableChecks,
  checks: readonly CheckExpression[],
  session: SessionPort,
  deps: DdlDependencies,
): Promise<void> {
  if (checks.length === 0) return;
  const { table } = of;
  if (await keepsSnapshot(session))
    throw new ClarusError('0A000', `check constraint "${checks[0]!.name}" cannot be validated here`, {
      detail: 'The transaction does not see rows that others have written since it began.',
      hint: 'Alter the table in a READ COMMITTED transaction, or add the constraint NOT VALID.',
      table: table.name,
      constraint: checks[0]!.name,
    });
  const time = await timeOf(checks, session);
  const columns = [...new Set(checks.flatMap(check => check.columns))];
  const stored = storedColumns(table, columns, deps.registry);
  await eachStored(stored, session, deps.context(session), async (values, count) => {
    const broken = await firstBroken(checks, of, values, count, time, session);
    if (!broken) return;
    throw (
      broken.error ??
      new ClarusError(
        '23514',
        `check constraint "${broken.check}" of relation "${table.name}" is violated by some row`,
        {
          schema: table.schema,
          table: table.name,
          constraint: broken.check,
        },
      )
    );
  });
}
