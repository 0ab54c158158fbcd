/** The durable side of a commit that changes the catalogue (docs/architecture.md, "One commit"). */
import type { Pool } from 'pg';
import { ClarusError } from '../errors.js';
import type { Journal } from '../trusted/journal.js';
import { inTransaction } from '../trusted/server.js';
import type { CatalogChange, Redo } from './catalog.js';
import { saveChanges, type TableKeys } from './store.js';

export interface CommitServices {
  /** the state database */
  readonly state: Pool;
  readonly journal: Journal<Redo>;
  readonly keys: TableKeys;
  readonly cloud: string;
  /** name of this worker in the journal */
  readonly proxy: string;
  /** called after a commit has changed the catalogue, before the client hears of it */
  readonly applied?: () => void | Promise<void>;
}

/**
 * Writes what a commit has to do on the trusted side before the cloud commits, and does it afterwards. After a
 * crash in between, `recover` asks the cloud.
 */
export class Commits {
  readonly #services: CommitServices;
  readonly #pending = new Map<number, readonly CatalogChange[]>();

  constructor(services: CommitServices) {
    this.#services = services;
  }

  /** Durable when it returns. @returns number of the entry */
  async prepare(redo: Redo, cloudXid: string, shadowXid: string | undefined): Promise<number> {
    const { journal, cloud, proxy } = this.#services;
    const entry = await journal.write({ cloud, cloudXid, shadowXid, redo, proxy });
    this.#pending.set(entry, redo.changes);
    return entry;
  }

  /** Both sides committed: the catalogue takes the changes and the entry goes, in one transaction. */
  async finish(entry: number): Promise<void> {
    const changes = this.#pending.get(entry);
    if (changes === undefined) throw new ClarusError('XX000', `no commit ${entry} is under way`);
    this.#pending.delete(entry);
    await applyEntry(this.#services, entry, changes);
    await this.#services.applied?.();
  }

  /** The cloud did not commit: the entry goes without effect. */
  async abandon(entry: number): Promise<void> {
    this.#pending.delete(entry);
    await this.#services.journal.abandon(entry);
  }
}

/** Applies an entry once: when another process has done it meanwhile, nothing happens. */
export async function applyEntry(
  { state, journal, keys, cloud }: Omit<CommitServices, 'proxy' | 'applied'>,
  entry: number,
  changes: readonly CatalogChange[],
): Promise<void> {
  await inTransaction(state, async client => {
    const ours = await journal.finish(entry, client);
    if (ours && changes.length > 0) await saveChanges(client, cloud, changes, keys);
  });
  for (const change of changes) if (change.kind === 'drop-table') keys.forgetTable(change.number);
}
