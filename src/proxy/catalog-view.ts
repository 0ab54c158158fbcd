/** The catalogue as one worker works by it, kept up with the state database. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Catalog } from '../catalog/catalog.js';

/** What following the catalogue needs of the worker. */
export interface CatalogSource {
  load(): Promise<Catalog>;
  /** called before a newer catalogue is put into force: what it refers to must be at hand */
  before(next: Catalog): Promise<void>;
  /** called when it is in force; sessions have been told */
  after(next: Catalog, previous: Catalog): Promise<void>;
  /** a load that nobody waits for failed; it is tried again */
  failed(error: unknown): void;
}

const retry_ms = 500;

/** The catalogue in force, and who wants to hear when it changes. */
export class CatalogView {
  readonly #source: CatalogSource;
  readonly #listeners = new Set<() => void>();
  #catalog: Catalog;
  /** the last load asked for; never rejects */
  #last: Promise<void> = Promise.resolve();
  #retrying = false;
  #closed = false;

  constructor(catalog: Catalog, source: CatalogSource) {
    this.#catalog = catalog;
    this.#source = source;
  }

  get current(): Catalog {
    return this.#catalog;
  }

  /** @returns what ends the telling */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Loads the catalogue, and puts it into force if it is newer than ours. One load at a time: when it resolves,
   * what was committed before the call is in force. One that fails is the caller's to hear, and stops no later one.
   */
  reload(): Promise<void> {
    const load = this.#last.then(() => this.#load());
    this.#last = load.catch(() => undefined);
    return load;
  }

  /** Like `reload`, for when nobody waits: tries until it has succeeded. */
  follow(): void {
    if (this.#retrying) return;
    this.#retrying = true;
    void this.#try();
  }

  /** No more tries. */
  close(): void {
    this.#closed = true;
  }

  async #try(): Promise<void> {
    while (!this.#closed) {
      this.#retrying = false; // a newer version told of while this loads is another load
      try {
        await this.reload();
        return;
      } catch (error) {
        if (this.#closed) return;
        this.#source.failed(error);
      }
      if (this.#retrying) return;
      this.#retrying = true;
      await sleep(retry_ms, undefined, { ref: false });
    }
  }

  async #load(): Promise<void> {
    const next = await this.#source.load();
    const previous = this.#catalog;
    if (next.version <= previous.version) return;
    await this.#source.before(next);
    this.#catalog = next;
    for (const listener of this.#listeners) listener();
    await this.#source.after(next, previous);
  }
}
