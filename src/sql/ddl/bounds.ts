/** Bounds of partitions that a statement changes: rows that stand there must be within them. */

import type { DescribedTable } from '../../catalog/description.js';
import { heirsOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import { joinName } from '../../policy/names.js';
import type { SessionPort } from '../ports.js';
import type { ChangedTable } from './changed-table.js';
import { mayHoldRows } from './refill/index.js';

/**
 * Where the cloud holds the bounds, it looks at the rows itself. Elsewhere they could be looked at here, but a session that waits to
 * write where a row went before would not be stopped.
 * @throws ClarusError 0A000 where a partition comes, and there are rows of which the cloud cannot tell
 */
export async function requireKnownBounds(
  session: SessionPort,
  changed: readonly ChangedTable[],
): Promise<void> {
  const comes = changed.some(
    ({ before, after }) => after?.described.partition && !before?.described.partition,
  );
  // where partitions only go, what is beside them may hold more than before
  if (!comes) return;
  for (const { before, after } of changed) {
    if (!before || !after || !getsUnknownBounds(before.described, after)) continue;
    // the catalogue may go on telling the old bounds of what is below a default partition
    for (const table of [before.table, ...heirsOf(session.catalog(), before.table)])
      if (!table.partitioned && (await mayHoldRows(session, table)))
        throw unknownBounds(joinName([table.schema, table.name]), table);
  }
}

function getsUnknownBounds(
  before: DescribedTable,
  { table, described }: NonNullable<ChangedTable['after']>,
): boolean {
  if (table.state !== 'protected' || table.bounds !== 'trusted') return false;
  const constraint = described.partition?.constraint ?? null;
  return constraint !== null && constraint !== (before.partition?.constraint ?? null);
}

const unknownBounds = (table: string, { schema, name }: { schema: string; name: string }): ClarusError =>
  new ClarusError(
    '0A000',
    `table ${table} holds rows, and the cloud cannot tell whether they are within its new bounds`,
    {
      detail: 'It is partitioned by a protected column, by hash or by an expression.',
      hint: 'Bring the partition while the table is empty, and insert the rows afterwards.',
      schema,
      table: name,
    },
  );
