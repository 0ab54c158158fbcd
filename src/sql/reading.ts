/** Reading through a backend of the session. */
import type { Catalog } from '../catalog/catalog.js';
import type { Reader, TextRow } from '../catalog/reader.js';
import { statement } from './execute/convert.js';
import type { SessionPort, StatementPort } from './ports.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Reads through a backend of the session. Each text is prepared once a session, so it should be one of a fixed set. */
export const readerOn =
  (port: StatementPort): Reader =>
  async (sql, parameters): Promise<readonly TextRow[]> => {
    const values = parameters.map(value => (value === null ? null : encoder.encode(value)));
    const { rows } = await port.gather(statement(sql, []), values, false);
    return rows.map(row => row.map(value => (value === null ? null : decoder.decode(value))));
  };

/** The major version of the trusted PostgreSQL. */
export async function trustedMajor(session: Pick<SessionPort, 'trusted'>): Promise<number> {
  const asked = "SELECT pg_catalog.current_setting('server_version_num')";
  const [row] = await readerOn(session.trusted)(asked, []);
  return Math.floor(Number(row?.[0] ?? 0) / 10_000);
}

/**
 * OIDs of the shadow that a query finds, read once for each state of the schema.
 * @param query of one column, without parameters
 */
export function oidsOnce(query: string): (session: SessionPort) => Promise<ReadonlySet<number>> {
  const known = new WeakMap<Catalog, Promise<ReadonlySet<number>>>();
  const read = async (session: SessionPort): Promise<ReadonlySet<number>> =>
    new Set((await readerOn(session.trusted)(query, [])).map(([oid]) => Number(oid)));
  return session => {
    const catalog = session.catalog();
    const found = known.get(catalog) ?? read(session);
    known.set(catalog, found);
    found.catch(() => known.delete(catalog));
    return found;
  };
}
