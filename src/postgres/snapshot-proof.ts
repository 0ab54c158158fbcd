/** Proves that rows which several queries of the cloud gave are of one snapshot. */
import type { OneSnapshot } from '../sql/ports.js';
import type { CarefulContext } from './context.js';
import { type Reading, snapshotNow } from './transaction-control.js';

/**
 * In READ COMMITTED each query has a snapshot of its own, of when it was bound (PortalStart in pquery.c): all are one if
 * the snapshot before the first and after the last are equal. Both are asked for.
 */
export class SnapshotProof implements OneSnapshot {
  readonly toBeProven: boolean;
  #before: string | undefined;

  /** @param reading what the queries are made in */
  constructor(
    private readonly context: CarefulContext,
    { snapshot }: Reading,
  ) {
    this.toBeProven = snapshot !== undefined;
    this.#before = snapshot;
  }

  async isOneSnapshot(queries: number): Promise<boolean> {
    return !this.toBeProven || queries <= 1 || (await snapshotNow(this.context)) === this.#before;
  }

  async boundInOne(bind: () => Promise<void>): Promise<boolean> {
    if (!this.toBeProven) {
      await bind();
      return true;
    }
    const before = snapshotNow(this.context);
    before.catch(() => undefined);
    await bind();
    const after = snapshotNow(this.context);
    this.#before = await after;
    return (await before) === this.#before;
  }
}
