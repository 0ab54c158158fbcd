/** The durable side of a commit that changes the catalogue (docs/architecture.md, "One commit"). */
import type { Pool } from 'pg';
import { ClarusError } from '../errors.js';
import { applyEncodingState } from '../trusted/encoding-state.js';
import type { Journal } from '../trusted/journal.js';
import { inTransaction } from '../trusted/server.js';
import { changesSchema, type Redo } from './catalog.js';
import { saveChanges, type TableKeys } from './store.js';

/** What a durable commit needs of the trusted side, for one cloud. */
export interface CommitServices {
  /** the state database */
  readonly state: Pool;
  readonly journal: Journal<Redo>;
  readonly keys: TableKeys;
  readonly cloud: string;
  /** name of this worker in the journal */
  readonly proxy: string;
  /** called after a commit has changed the schema, before the client hears of it */
  readonly applied?: () => void | Promise<void>;
  /** told of an entry that its session will not finish: recovery has to */
  readonly left?: (entry: number) => void;
}

/**
 * Writes what a commit has to do on the trusted side before the cloud commits, and does it afterwards. After a
 * crash in between, `recover` asks the cloud.
 */
export class Commits {
  readonly #services: CommitServices;
  readonly #pending = new Map<number, Redo>();

  constructor(services: CommitServices) {
    this.#services = services;
  }

  /** Durable when it returns. @returns number of the entry */
  async prepare(redo: Redo, cloudXid: string, shadowXid: string | undefined): Promise<number> {
    const { journal, cloud, proxy } = this.#services;
    const entry = await journal.write({ cloud, cloudXid, shadowXid, redo, proxy });
    this.#pending.set(entry, redo);
    return entry;
  }

  /** Both sides committed: catalogue and encodings' state take the changes and the entry goes, in one transaction. */
  async finish(entry: number): Promise<void> {
    const redo = this.#pending.get(entry);
    if (redo === undefined) throw new ClarusError('XX000', `no commit ${entry} is under way`);
    this.#pending.delete(entry);
    await applyEntry(this.#services, entry, redo);
    if (changesSchema(redo)) await this.#services.applied?.();
  }

  /** Its session cannot tell how the commit ended, or cannot follow it: recovery asks the cloud. */
  leave(entry: number): void {
    this.#pending.delete(entry);
    this.#services.left?.(entry);
  }

  /** The cloud did not commit: the entry goes without effect. */
  async abandon(entry: number): Promise<void> {
    this.#pending.delete(entry);
    await this.#services.journal.abandon(entry);
  }
}

/** Applies an entry once: when another process has done it meanwhile, nothing happens. */
export async function applyEntry(
  { state, journal, keys, cloud }: Omit<CommitServices, 'proxy' | 'applied' | 'left'>,
  entry: number,
  redo: Redo,
): Promise<void> {
  const { changes, state: ofEncodings = [] } = redo;
  await inTransaction(state, async client => {
    if (!(await journal.finish(entry, client))) return;
    await applyEncodingState(client, ofEncodings);
    // After the state: an entry of what is dropped goes with it.
    // Views and functions too: no plan outlives what it was made from.
    if (changesSchema(redo)) await saveChanges(client, cloud, changes, keys);
  });
  for (const change of changes) if (change.kind === 'drop-table') keys.forgetTable(change.number);
}
