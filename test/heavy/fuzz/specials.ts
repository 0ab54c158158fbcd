/** Statements that make or lock something, tell of a query, or hold several statements. */
import { condition } from './conditions.js';
import { columnOf, constant, expression } from './expressions.js';
import { openPart, query, queryOf } from './queries.js';
import type { Table } from './schema.js';
import type { Making, Scope } from './scope.js';
import { has, scopeOf, write } from './writes.js';

/** Something beside reads and writes. */
export interface Special {
  readonly sql: string;
  readonly state: string | undefined;
  /** shows another session what is not locked */
  readonly locks?: string;
  /** its rows are compared, not only whether it succeeds */
  readonly compared: boolean;
  readonly ordered?: boolean;
}

const nothing: Scope = { columns: [], keys: undefined };

/** @param alone it is sent by itself, with parameters perhaps; otherwise several statements may be sent at once */
export function special(making: Making, alone: boolean): Special {
  const { choices, schema } = making;
  const table = choices.pick(schema.tables.filter(t => t.writable));
  return choices.way<Special>(
    [2, () => made(making, 'CREATE TABLE AS', name => `CREATE TABLE ${name} AS ${mostlyOpen(making)}`)],
    [
      2,
      () => made(making, 'SELECT INTO', name => mostlyOpen(making).replace(' FROM ', ` INTO ${name} FROM `)),
    ],
    [
      3,
      () =>
        made(
          making,
          'materialised view',
          name => `CREATE MATERIALIZED VIEW ${name} AS ${mostlyOpen(making)}`,
        ),
    ],
    [
      2,
      () => ({
        sql: has(making, 'EXPLAIN', `EXPLAIN (COSTS OFF) ${anyQuery(making)}`),
        state: undefined,
        compared: false,
      }),
    ],
    [9, () => locking(making, table)],
    [3, () => guarded(making, table)],
    [2, () => ({ ...all(table), sql: has(making, 'TRUNCATE', `TRUNCATE ${table.name}`) })],
    [2, () => block(making, table)],
    [alone ? 0 : 9, () => several(making)],
    [1, () => wrong(making, table)],
  );
}

const anyQuery = (making: Making): string => query(making, nothing, 1).sql;

/** A query for a table that the policy does not list: what is made of protected columns is refused. */
const mostlyOpen = (making: Making): string =>
  queryOf(
    making,
    nothing,
    (['int', 'text'] as const).map(kind => ({ kind, open: !making.choices.chance(8) })),
    1,
  ).sql;

const all = ({ name }: Table): Pick<Special, 'state' | 'compared'> => ({
  state: `SELECT * FROM ${name} ORDER BY id`,
  compared: true,
});

/** A relation that a query makes, and its rows. */
function made(making: Making, construct: string, sql: (name: string) => string): Special {
  const name = making.alias();
  return {
    sql: has(making, construct, sql(name)),
    state: `SELECT * FROM ${name}`,
    compared: true,
  };
}

function locking(making: Making, table: Table): Special {
  const { choices } = making;
  const scope = scopeOf('u', table);
  const strength = choices.pick(['UPDATE', 'SHARE', 'NO KEY UPDATE', 'KEY SHARE']);
  const wait = choices.pick(['', ' SKIP LOCKED', ' NOWAIT']);
  const of = choices.chance(20) ? ' OF u' : '';
  for (const part of [strength, wait.trim()]) if (part !== '') making.has(`FOR … ${part}`);
  const asked = choices.pick(['UPDATE', 'SHARE', 'NO KEY UPDATE', 'KEY SHARE']);
  return {
    sql: has(
      making,
      'FOR UPDATE and its kin',
      `SELECT u.id, ${expression(making, scope, 'text', 1)} FROM ${table.name} AS u WHERE ${condition(making, scope, 1)} ORDER BY u.id FOR ${strength}${of}${wait}`,
    ),
    state: undefined,
    locks: `SELECT id FROM ${table.name} ORDER BY id FOR ${asked} SKIP LOCKED`,
    compared: true,
    ordered: true,
  };
}

/** Of one table: a condition that fails for rows which one before it takes away. */
function guarded(making: Making, table: Table): Special {
  const { choices } = making;
  const scope = scopeOf('u', table);
  const divisor = columnOf(making, openPart(scope), 'int') ?? scope.columns[0]!;
  const other = choices.pick(scope.columns);
  return {
    sql: has(
      making,
      'guarded condition',
      `SELECT u.id FROM ${table.name} AS u WHERE (${divisor.sql} <> 0 AND ${other.sql} IS NOT NULL) IS TRUE AND 12 / ${divisor.sql} > 1${choices.chance(30) ? ` AND ${condition(making, scope, 0)}` : ''}`,
    ),
    state: undefined,
    compared: true,
  };
}

function block(making: Making, table: Table): Special {
  const body = [write(making).sql, write(making).sql].map(sql => sql.replace(/ RETURNING .*$/s, ''));
  const sql = body.some(text => text.startsWith('WITH'))
    ? `UPDATE ${table.name} AS u SET id = u.id + 50 WHERE ${condition(making, scopeOf('u', table), 0)}`
    : body.join('; ');
  return { ...all(table), sql: has(making, 'DO', `DO $do$ BEGIN ${sql}; END $do$`) };
}

function several(making: Making): Special {
  const { sql, state } = write(making);
  return {
    sql: has(making, 'several statements', `${sql}; ${write(making).sql}; ${anyQuery(making)}`),
    state,
    compared: true,
  };
}

function wrong(making: Making, table: Table): Special {
  return {
    sql: has(
      making,
      'wrong statement',
      making.choices.pick([
        `SELECT 1 / (u.id - u.id), ${constant(making, 'text')} FROM ${table.name} AS u`,
        `SELECT nosuch FROM ${table.name}`,
        `SELECT sum(u.m || 'x') FROM ${table.name} AS u`,
        `SELECT upper(u.k::text) FROM ${table.name} AS u GROUP BY u.id, u.m HAVING nosuch(u.k)`,
      ]),
    ),
    state: undefined,
    compared: true,
  };
}
