/** What PostgreSQL says to rows that conflict by an EXCLUDE constraint. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { PostgresError } from '../../wire/diagnostic.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import type { Conflict } from './conflicts.js';
import type { Exclusion } from './exclusion.js';

/** Keys are called as the session would (pg_get_indexdef_columns of ruleutils.c). */
const keysQuery = `SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef($1::pg_catalog.oid, n, true), ', ' ORDER BY n)
  FROM pg_catalog.generate_series(1, $2::pg_catalog.int4) n`;

/**
 * 23P01 (check_exclusion_or_unique_constraint of execIndexing.c). Its detail is PostgreSQL's, for the client alone: who comes
 * here has read the keys of the table.
 * @param standing the rows stand already, and the constraint is new
 */
export async function violation(
  { schema, name: table }: LogicalTable,
  { name, index, keys }: Exclusion,
  conflict: Conflict,
  session: SessionPort,
  standing = false,
): Promise<PostgresError> {
  const [row] = await readerOn(session.trusted)(keysQuery, [String(index), String(keys.length)]);
  const described = (values: Conflict['keys']): string =>
    `(${row?.[0] ?? ''})=(${values.map(value => value ?? 'null').join(', ')})`;
  const [mine, other] = [described(conflict.keys), described(conflict.otherKeys)];
  return new PostgresError({
    severity: 'ERROR',
    severityPlain: 'ERROR',
    code: '23P01',
    message: standing
      ? `could not create exclusion constraint "${name}"`
      : `conflicting key value violates exclusion constraint "${name}"`,
    detail: standing
      ? `Key ${mine} conflicts with key ${other}.`
      : `Key ${mine} conflicts with existing key ${other}.`,
    schema,
    table,
    constraint: name,
    trusted: true,
  });
}
