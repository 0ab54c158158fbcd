/**
 * Writes rows of a table whose EXCLUDE constraints the trusted side checks. No two sessions do so at once: each first takes
 * the lock of the table in the cloud (catalog/exclusion-lock.ts), and so finds all that others have written. Each row is
 * then compared with those that are there when PostgreSQL would write it: rows before it are written, and those behind it are
 * what they were.
 */
import type { LogicalTable } from '../../catalog/catalog.js';
import { takeExclusionLock } from '../../catalog/exclusion-lock.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { isOfReference } from '../execute/copy-failure.js';
import type { SessionPort } from '../ports.js';
import type { BatchServices } from '../split/write/batch-statement.js';
import { exclusionsFor } from './concerned.js';
import { type Exclusion, type Exclusions, exclusionsOf } from './exclusion.js';
import { Looking } from './looking.js';
import { violation } from './violation.js';
import type { GuardedChange, GuardedWrite } from './write.js';

/**
 * Writes the rows of a statement, where none conflicts.
 * @returns those that were written
 * @throws PostgresError 23P01 for one that conflicts with another, after what the cloud says to the rows before it and to
 *   the row itself; 40001 in a transaction whose snapshot does not hold what others have written, and 40P01, of the cloud
 */
export async function writeGuarded<Change extends GuardedChange>(
  write: GuardedWrite<Change>,
  session: SessionPort,
  services: BatchServices,
): Promise<readonly Change[]> {
  const { table, changes, skips } = write;
  const of = changes.some(change => isConcerned(table, change)) && (await exclusionsOf(table, session));
  if (!of) {
    await write.write(changes);
    return changes;
  }
  await session.transaction.begin();
  await lockFor(table, session);
  const looking = new Looking(write, of, session, services);
  const taken = skips ? await looking.left(skips) : changes;
  const found = await looking.first(taken, exclusion => !skips?.exclusions.includes(exclusion.name));
  if (!found) {
    await write.write(taken);
    return taken;
  }
  const { place, exclusion } = found;
  const said = await violation(table, exclusion, found.conflict, session);
  await write.write(taken.slice(0, place)).catch(error => {
    throw isLookedAtLast(error) ? said : error;
  });
  await write.write([taken[place]!]).catch(error => {
    throw isLookedAtLast(error) || isOfLaterIndex(error, exclusion, of) ? said : error;
  });
  throw said;
}

/** @throws ClarusError 40001 where the snapshot of the transaction is older than the constraint */
async function lockFor(table: LogicalTable, session: SessionPort): Promise<void> {
  const tag = await session.cloud.run(takeExclusionLock(table));
  if (tag !== 'UPDATE 1')
    throw new ClarusError('40001', 'could not serialize access due to concurrent update');
}

const isConcerned = (table: LogicalTable, { kind, columns }: GuardedChange): boolean =>
  kind !== 'delete' && exclusionsFor(table, kind === 'insert' ? 'INSERT' : 'UPDATE', columns).length > 0;

/** PostgreSQL looks at foreign keys when the statement ends. */
const isLookedAtLast = (error: unknown): boolean =>
  isOfReference(error) || (error instanceof ClarusError && error.code === '23503');

/** PostgreSQL goes from one index to the next, in the order of their OIDs. */
function isOfLaterIndex(error: unknown, { index }: Exclusion, { uniques }: Exclusions): boolean {
  if (!(error instanceof PostgresError) || error.code !== '23505') return false;
  return (uniques.get(error.diagnostic.constraint ?? '') ?? 0) > index;
}
