/** setval whose arguments read tables: they are known before it, and it runs where the sequence counts. */
import { ClarusError } from '../../errors.js';
import { collect } from '../execute/collect.js';
import { statement } from '../execute/convert.js';
import type { SessionPort } from '../ports.js';
import { livesInCloud, sequenceInCloud } from '../sequences.js';
import { mustBeWritable } from '../split/write/read-only.js';
import type { Value } from './types.js';

const nameQuery = statement(
  `SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = $1::pg_catalog.text::pg_catalog.regclass`,
  [25],
);

/**
 * Runs setval with its arguments, none of which is NULL.
 * @returns what it returns, as a text
 * @throws ClarusError 0A000 where a cloud would be told what may depend on a protected column; PostgresError
 */
export async function setSequence(given: readonly Value[], session: SessionPort): Promise<Uint8Array | null> {
  const [sequence, ...values] = given.map(({ text }) => text);
  const [named] = await collect(session.trusted, nameQuery, [sequence!], [0], [0]);
  const name = named?.[0] ? Buffer.from(named[0]).toString() : Buffer.from(sequence!).toString();
  const isThere = await livesInCloud(name, session);
  if (!isThere) await mustBeWritable('setval()', session);
  if (isThere && given.some(({ secret }) => secret))
    throw new ClarusError(
      '0A000',
      'a sequence that counts in the cloud would be set to what may depend on a protected column',
      {
        hint: 'Set it to a constant.',
      },
    );
  const sql = `SELECT pg_catalog.setval($1::pg_catalog.text::pg_catalog.regclass, $2::pg_catalog.int8${values.length > 1 ? ', $3::pg_catalog.bool' : ''})`;
  const query = statement(sql, values.length > 1 ? [25, 20, 16] : [25, 20]);
  const place = Buffer.from(isThere ? sequenceInCloud(name, session) : name);
  const [row] = await collect(
    isThere ? session.cloud : session.trusted,
    query,
    [place, ...values],
    given.map(() => 0 as const),
    [0],
  );
  if (!isThere) await session.transaction.keepSequences([name]);
  return row![0] ?? null;
}
