/** The catalogue in force in a process: loaded, kept up to date by notifications, and settled before DDL. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Notification, Pool, PoolClient } from 'pg';
import { ClarusError } from '../errors.js';
import { CATALOGUE_CHANNEL, catalogueVersion } from '../trusted/catalogue-version.js';
import type { Catalog } from './catalog.js';
import { loadCatalog } from './store.js';

export interface LiveCatalogOptions {
  /** the state database */
  readonly state: Pool;
  readonly cloud: string;
  /** called before a newer catalogue comes into use: keys that other processes made must be there */
  readonly refreshKeys: () => Promise<void>;
  /** takes what goes wrong behind the scenes, in one line without values */
  readonly onProblem?: (message: string) => void;
}

const SETTLE_MS_MAX = 15_000;
const RECONNECT_MS = 500;

export class LiveCatalog {
  readonly #options: LiveCatalogOptions;
  readonly #listeners = new Set<() => void>();
  #current: Catalog;
  #loading: Promise<void> | undefined;
  #again = false;
  #client: PoolClient | undefined;
  #closed = false;

  private constructor(options: LiveCatalogOptions, current: Catalog) {
    this.#options = options;
    this.#current = current;
  }

  /** Loads the catalogue and listens for newer ones. */
  static async open(options: LiveCatalogOptions): Promise<LiveCatalog> {
    await options.refreshKeys();
    const live = new LiveCatalog(options, await loadCatalog(options.state, options.cloud));
    await live.#listen();
    await live.refresh();
    return live;
  }

  /** The newest catalogue known to this process. */
  get current(): Catalog {
    return this.#current;
  }

  /** Tells of each newer catalogue. @returns what ends the telling */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Loads the catalogue when there is a newer one; resolves when `current` is at least as new as at the call. */
  async refresh(): Promise<void> {
    if (this.#loading) {
      // What loads now may have begun before the change that the caller knows of.
      this.#again = true;
      return this.#loading;
    }
    this.#loading = this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #load(): Promise<void> {
    do {
      this.#again = false;
      const { state, cloud, refreshKeys } = this.#options;
      if ((await catalogueVersion(state, cloud)) === this.#current.version) continue;
      await refreshKeys();
      const loaded = await loadCatalog(state, cloud);
      if (loaded.version <= this.#current.version) continue;
      this.#current = loaded;
      for (const listener of this.#listeners) listener();
    } while (this.#again);
  }

  /**
   * Waits until every commit that has begun is in the catalogue, then loads it. For a session that holds the lock
   * on DDL, whose last holder may have committed the shadow a moment before the catalogue.
   * @throws ClarusError 55P03 when a commit stays open
   */
  async settle(): Promise<void> {
    const { state, cloud } = this.#options;
    const deadline = Date.now() + SETTLE_MS_MAX;
    for (let wait_ms = 1; ; wait_ms = Math.min(2 * wait_ms, 100)) {
      const { rowCount } = await state.query('SELECT FROM clarus.journal WHERE cloud = $1 LIMIT 1', [cloud]);
      if (rowCount === 0) return this.refresh();
      if (Date.now() > deadline)
        throw new ClarusError('55P03', 'a commit that changes the schema has not ended', {
          hint: 'Try again; when it stays, restart Clarus: it completes commits that were cut short.',
        });
      await sleep(wait_ms);
    }
  }

  async #listen(): Promise<void> {
    const client = await this.#options.state.connect();
    this.#client = client;
    client.on('notification', ({ channel, payload }: Notification) => {
      if (channel !== CATALOGUE_CHANNEL || payload?.split(' ').slice(1).join(' ') !== this.#options.cloud)
        return;
      this.refresh().catch(error => this.#problem(error));
    });
    client.once('error', error => {
      client.release(error);
      this.#client = undefined;
      this.#problem(error);
      void this.#listenAgain();
    });
    await client.query(`LISTEN ${CATALOGUE_CHANNEL}`);
  }

  async #listenAgain(): Promise<void> {
    while (!this.#closed) {
      await sleep(RECONNECT_MS);
      try {
        await this.#listen();
        return await this.refresh();
      } catch (error) {
        this.#problem(error);
      }
    }
  }

  #problem(error: unknown): void {
    if (this.#closed) return;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    this.#options.onProblem?.(`the catalogue could not be followed${code}`);
  }

  close(): void {
    this.#closed = true;
    this.#client?.removeAllListeners('notification');
    this.#client?.release(true);
    this.#client = undefined;
  }
}
