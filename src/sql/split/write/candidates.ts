/**
 * Rows that a statement which begins anew may still lock. PostgreSQL does not run a statement of READ COMMITTED again
 * where another session has changed a row of it: it looks at the new version of that row alone (EvalPlanQual of
 * execMain.c). What its first snapshot does not hold is not of it.
 */
import type { LogicalTable } from '../../../catalog/catalog.js';
import type { SessionPort } from '../../ports.js';
import { isProtected } from './batch-statement.js';
import type { CloudWrites } from './cloud-writes.js';
import { rowIdsAt } from './row-locks.js';

/** Rows of one table that are to be locked. */
export interface Places {
  readonly table: LogicalTable;
  readonly ctids: readonly string[];
}

type RowIds = ReadonlyMap<number, ReadonlySet<number>>;

/** Rows of protected tables are known by their ids; those of other tables have none, and all of them are candidates. */
export class Candidates {
  /** row ids by the number of their table; undefined: all rows */
  #chosen: RowIds | undefined;

  constructor(private readonly session: SessionPort) {}

  /**
   * Looks which rows there are, before the statement waits for others.
   * @param places all that it is about to lock
   * @returns what makes them the candidates, where it is to begin anew; nobody needs to wait for it
   */
  look(places: readonly Places[], writes: CloudWrites): () => Promise<void> {
    if (this.#chosen) return async () => undefined;
    // where it fails the lock fails too, and says why
    const looking = this.#look(places, writes).catch(() => undefined);
    return async () => {
      this.#chosen ??= await looking;
    };
  }

  /** @returns undefined: some have been changed already, so the statement begins anew as if it had not begun */
  async #look(places: readonly Places[], writes: CloudWrites): Promise<RowIds | undefined> {
    const looking = places
      .filter(({ table }) => isProtected(table))
      .map(async ({ table, ctids }) => ({
        table,
        ctids,
        ids: await rowIdsAt(table, ctids, writes, this.session),
      }));
    const chosen = new Map<number, Set<number>>();
    for (const { table, ctids, ids } of await Promise.all(looking)) {
      if (ids.size < ctids.length) return undefined;
      const of = chosen.get(table.number) ?? new Set();
      chosen.set(table.number, of);
      for (const id of ids.values()) of.add(id);
    }
    return chosen;
  }

  /** Those of rows that have come since the statement looked first. */
  async newcomers({ table, ctids }: Places, writes: CloudWrites): Promise<readonly string[]> {
    if (!this.#chosen || !isProtected(table)) return [];
    const chosen = this.#chosen.get(table.number);
    const ids = await rowIdsAt(table, ctids, writes, this.session);
    return [...ids].filter(([, id]) => !chosen?.has(id)).map(([ctid]) => ctid);
  }
}
