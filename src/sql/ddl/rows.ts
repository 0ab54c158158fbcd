/** Changes that existing rows would have to be sealed anew for are possible while a table is empty only. */

import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { joinName } from '../../policy/names.js';
import type { SessionPort } from '../plan.js';
import { readerOn } from './backends.js';
import type { ChangedTable } from './changed-table.js';

/**
 * @throws ClarusError 55000 or 0A000 when a table with rows would need them sealed
 */
export async function requireEmptyWhereNeeded(
  session: SessionPort,
  changed: readonly ChangedTable[],
): Promise<void> {
  for (const { before, after } of changed) {
    if (!before || !after) continue;
    const error = neededEmpty(before.table, after);
    if (error && (await hasRows(session, before.table))) throw error;
  }
}

/** Locks the physical table, so that nothing is written between the look and the change, and looks. */
export async function hasRows(session: SessionPort, { physical }: LogicalTable): Promise<boolean> {
  const name = quoteQualified(physical.schema, physical.name);
  await session.cloud.run(`LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`);
  const [row] = await readerOn(session.cloud)(`SELECT EXISTS (SELECT FROM ${name})`, []);
  return row?.[0] === 't';
}

function neededEmpty(
  before: LogicalTable,
  after: NonNullable<ChangedTable['after']>,
): ClarusError | undefined {
  const name = joinName([before.schema, before.name]);
  const fields = { schema: before.schema, table: before.name };
  for (const column of after.table.columns) {
    const old = before.columns.find(({ number }) => number === column.number);
    const described = after.described.columns.find(({ attnum }) => attnum === column.attnum);
    if (!old && column.protection && described?.default != null)
      return new ClarusError(
        '0A000',
        `table ${name} holds rows, which would need the default sealed into "${column.name}"`,
        {
          hint: 'Add the column without a default, set the default afterwards, and update the rows.',
          column: column.name,
          ...fields,
        },
      );
    if (old && encodingNames(old) !== encodingNames(column))
      return new ClarusError(
        '55000',
        `table ${name} holds rows, so the protection of "${column.name}" cannot change here`,
        {
          hint: `This version changes the protection of empty tables only: copy the rows of ${name} into a new table.`,
          column: column.name,
          ...fields,
        },
      );
  }
  if (before.state === 'open' && after.table.state === 'protected')
    return new ClarusError('55000', `table ${name} holds unprotected rows`, {
      hint: `This version changes the protection of empty tables only: stop Clarus and run "clarus copy ${name}".`,
      ...fields,
    });
  return undefined;
}

const encodingNames = ({ protection }: LogicalTable['columns'][number]): string =>
  (protection?.encodings ?? []).map(({ kind, encoded }) => `${kind}${encoded.generation}`).join();
