/** Time zones with rules, as the trusted PostgreSQL knows them: loaded once a process, for all sessions. */
import type { Pool } from 'pg';
import { type ZoneOffsets, zoneFromRows, zoneQuery } from '../wire/codecs/zone.js';
import { inTransaction } from './server.js';

/** Zones kept; a client may name any number of them. */
const zones_max = 64;

/** Offsets of zones by name, as `SHOW TimeZone` prints it. */
export class Zones {
  readonly #state: Pool;
  readonly #known = new Map<string, ZoneOffsets>();
  readonly #loading = new Map<string, Promise<ZoneOffsets>>();
  /** one at a time: a load takes the server a tenth of a second */
  #last: Promise<unknown> = Promise.resolve();

  /** @param state the state database, whose sessions nobody else can set anything in */
  constructor(state: Pool) {
    this.#state = state;
  }

  /** Offsets that are loaded; undefined: not yet. */
  known(name: string): ZoneOffsets | undefined {
    return this.#known.get(name);
  }

  /** @throws DatabaseError 22023 for a zone that the server does not know */
  load(name: string): Promise<ZoneOffsets> {
    const known = this.#known.get(name) ?? this.#loading.get(name);
    if (known !== undefined) return Promise.resolve(known);
    const loading = this.#last
      .then(() => this.#read(name))
      .then(zone => {
        if (this.#known.size >= zones_max) this.#known.delete(this.#known.keys().next().value!);
        this.#known.set(name, zone);
        return zone;
      })
      .finally(() => this.#loading.delete(name));
    this.#loading.set(name, loading);
    this.#last = loading.catch(() => undefined);
    return loading;
  }

  #read(name: string): Promise<ZoneOffsets> {
    return inTransaction(this.#state, async client => {
      await client.query("SELECT pg_catalog.set_config('TimeZone', $1, true)", [name]);
      const { rows } = await client.query<{ start: number; east: number }>(zoneQuery);
      return zoneFromRows(rows);
    });
  }
}
