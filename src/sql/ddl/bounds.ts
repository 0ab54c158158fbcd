/** Bounds of partitions that a statement changes: rows that stand there must be within them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import type { DescribedTable } from '../../catalog/description.js';
import { heirsOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import { firstBroken } from '../checks/broken.js';
import { eachStored, storedColumns } from '../checks/stored.js';
import { boundsOf } from '../checks/table-checks.js';
import type { SessionPort } from '../ports.js';
import { keepsSnapshot } from '../snapshots.js';
import type { DdlDependencies } from './body.js';
import type { ChangedTable } from './changed-table.js';
import { lockInCloud } from './locks.js';
import { mayHoldRows } from './refill/index.js';

/**
 * Looks at the rows of tables whose bounds only the trusted side knows (ATRewriteTable of tablecmds.c,
 * check_default_partition_contents of partbounds.c), once the catalogue of the session holds them. Where the
 * cloud holds bounds, it looks at the rows itself.
 * @throws ClarusError 23514 for a row that is not within them; 0A000 in a transaction that keeps its snapshot
 */
export async function validateBounds(
  session: SessionPort,
  deps: DdlDependencies,
  changed: readonly ChangedTable[],
): Promise<void> {
  const comes = changed.find(
    ({ before, after }) => after?.described.partition && !before?.described.partition,
  );
  // where partitions only go, what is beside them may hold more than before
  if (!comes) return;
  const isMade = comes.before === undefined;
  const narrowed = changed.flatMap(({ before, after }) =>
    before && after && getsUnknownBounds(before.described, after) ? [{ before, after }] : [],
  );
  // the partition that comes is looked at before that of DEFAULT
  const isUpdated = ({ before }: (typeof narrowed)[number]): boolean => before.described.partition !== null;
  narrowed.sort((a, b) => Number(isUpdated(a)) - Number(isUpdated(b)));
  const told = (one: (typeof narrowed)[number], { name }: LogicalTable): string =>
    isUpdated(one)
      ? `updated partition constraint for default partition "${isMade ? one.after.table.name : name}" would be violated by some row`
      : `partition constraint of relation "${name}" is violated by some row`;
  const looked = new Set<number>();
  // the catalogue may go on telling the old bounds of what is below a default partition
  for (const one of narrowed)
    for (const table of [one.after.table, ...heirsOf(session.catalog(), one.after.table)]) {
      if (table.partitioned || looked.has(table.number)) continue;
      looked.add(table.number);
      if (await mayHoldRows(session, table))
        await mustBeWithin(one.after.table, table, told(one, table), session, deps);
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

/**
 * @param bounded whose bounds they are
 * @param table whose rows are looked at: that, or one of its partitions
 * @param told what is said of a row that is not
 */
async function mustBeWithin(
  bounded: LogicalTable,
  table: LogicalTable,
  told: string,
  session: SessionPort,
  deps: DdlDependencies,
): Promise<void> {
  if (await keepsSnapshot(session)) throw unseen(table);
  await lockInCloud(session, [table]);
  const of = await boundsOf(table, session, bounded.oid);
  const stored = storedColumns(table, of.checks[0]!.columns, deps.registry);
  await eachStored(stored, session, deps.context(session), async (values, count) => {
    const broken = await firstBroken(of.checks, of, values, count, null, session);
    if (broken)
      throw broken.error ?? new ClarusError('23514', told, { schema: table.schema, table: table.name });
  });
}

const unseen = ({ schema, name }: LogicalTable): ClarusError =>
  new ClarusError('0A000', `the rows of table "${name}" cannot be looked at here`, {
    detail:
      'The transaction does not see rows that others have written since it began, and they must be within the new bounds.',
    hint: 'Change the partitions in a READ COMMITTED transaction.',
    schema,
    table: name,
  });
