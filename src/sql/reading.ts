/** Reading through a backend of the session. */
import type { Reader, TextRow } from '../catalog/reader.js';
import { physical } from './compilation.js';
import type { PhysicalStatement } from './plan.js';
import type { SessionPort, StatementPort } from './ports.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();
/** One statement a text, so that a session prepares it once. */
const statements = new Map<string, PhysicalStatement>();

function statementFor(sql: string): PhysicalStatement {
  const known = statements.get(sql);
  if (known) return known;
  const made = physical(sql, []);
  statements.set(sql, made);
  return made;
}

/** Reads through a backend of the session. Only for texts of a fixed set: each is prepared once a session. */
export const readerOn =
  (port: StatementPort): Reader =>
  async (sql, parameters): Promise<readonly TextRow[]> => {
    const values = parameters.map(value => (value === null ? null : encoder.encode(value)));
    const { rows } = await port.gather(statementFor(sql), values, false);
    return rows.map(row => row.map(value => (value === null ? null : decoder.decode(value))));
  };

/** The major version of the trusted PostgreSQL. */
export async function trustedMajor(session: Pick<SessionPort, 'trusted'>): Promise<number> {
  const asked = "SELECT pg_catalog.current_setting('server_version_num')";
  const [row] = await readerOn(session.trusted)(asked, []);
  return Math.floor(Number(row?.[0] ?? 0) / 10_000);
}
