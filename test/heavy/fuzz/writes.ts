/** Writes of every shape, into tables whose columns are protected and not. */
import { condition } from './conditions.js';
import { expression } from './expressions.js';
import { openPart, queryOf } from './queries.js';
import type { Column, Table } from './schema.js';
import { type Making, type Scope, typeOf } from './scope.js';

/** A write. */
export interface Write {
  readonly sql: string;
  /** a query that shows what it did */
  readonly state: string;
}

const nothing: Scope = { columns: [], keys: undefined };

/** The columns of a table under an alias. */
export const scopeOf = (alias: string, { columns }: Table): Scope => ({
  columns: columns.map(column => ({ sql: `${alias}.${column.name}`, kind: column.kind, column })),
  keys: [`${alias}.id`],
});

const isOpenKey = ({ columns, key }: Table): boolean =>
  columns.some(c => c.name === key && c.label === undefined);

/** Any write. */
export function write(making: Making): Write {
  const { choices, schema } = making;
  const tables = schema.tables.filter(t => t.writable);
  const table = choices.pick(tables);
  const { view } = schema;
  if (choices.chance(10)) {
    making.has('write through a view');
    const sql = choices.way(
      [1, () => insert(making, view)],
      [2, () => update(making, view)],
      [1, () => remove(making, view)],
    );
    return { sql, state: `SELECT * FROM ${tables[0]!.name} ORDER BY id` };
  }
  const sql = choices.way(
    [5, () => insert(making, table)],
    [4, () => insertSelect(making, table)],
    [4, () => upsert(making, table)],
    [8, () => update(making, table)],
    [4, () => remove(making, table)],
    [3, () => merge(making, table, choices.pick(tables.filter(t => isOpenKey(t) || !isOpenKey(table))))],
    [2, () => modifyingCte(making, table)],
  );
  return { sql, state: `SELECT * FROM ${table.name} ORDER BY id` };
}

/** A value for a column: one that it may hold, so that nothing protected is written in the clear by the test. */
const value = (making: Making, column: Column): string =>
  making.choices.chance(10)
    ? 'NULL'
    : making.literal(making.valueOf(column), making.choices.chance(30) ? typeOf[column.kind] : undefined);

/**
 * The columns that a value for a column may be computed from. Where protected values would come to stand in the clear,
 * Clarus has to refuse, so that is seldom asked.
 */
function sourceFor(making: Making, { label }: Column, scope: Scope): Scope {
  if (label !== undefined) return scope;
  const closed = scope.columns.filter(c => c.column?.label !== undefined);
  if (closed.length === 0 || !making.choices.chance(5)) return openPart(scope);
  making.has('flow into the open');
  return { columns: closed, keys: scope.keys };
}

const freshId = (making: Making): string => making.literal(String(making.choices.integer(100, 999)), 'int');

const someOf = (making: Making, { columns }: Table): readonly Column[] => {
  const others = columns.filter(c => !c.unique);
  return others.filter((_, i) => i === 0 || making.choices.chance(50));
};

function returning(making: Making, table: Table, alias = table.name): string {
  const { choices } = making;
  if (!choices.chance(35)) return '';
  making.has('RETURNING');
  if (choices.chance(30)) return ' RETURNING *';
  if (choices.chance(50)) {
    making.has('RETURNING expression');
    return ` RETURNING ${alias}.id, ${expression(making, scopeOf(alias, table), choices.pick(['text', 'int'] as const), 1)}`;
  }
  return ` RETURNING ${alias}.id, ${alias}.${choices.pick(table.columns).name}`;
}

function insert(making: Making, table: Table): string {
  making.has('INSERT VALUES');
  const columns = someOf(making, table);
  const rows = making.choices.some(
    1,
    3,
    i =>
      `(${[i === 0 ? freshId(making) : String(1000 + i), ...columns.map(c => value(making, c))].join(', ')})`,
  );
  const conflict = making.choices.chance(30);
  if (conflict) making.has('ON CONFLICT DO NOTHING');
  return `INSERT INTO ${table.name} (id, ${columns.map(c => c.name).join(', ')}) VALUES ${rows.join(', ')}${conflict ? ' ON CONFLICT DO NOTHING' : ''}${returning(making, table)}`;
}

function insertSelect(making: Making, table: Table): string {
  making.has('INSERT SELECT');
  const columns = someOf(making, table);
  const into = `INSERT INTO ${table.name} (id, ${columns.map(c => c.name).join(', ')})`;
  const closed = columns.some(c => c.label !== undefined);
  // a number by the order of protected values would tell of them
  if (isOpenKey(table) && closed) return `${into} ${keyedSource(making, columns)}${returning(making, table)}`;
  const flows = making.choices.chance(5);
  if (flows) making.has('flow into the open');
  const { sql } = queryOf(
    making,
    nothing,
    columns.map(({ kind, label }) => ({ kind, open: label === undefined && !flows })),
    1,
  );
  const alias = making.alias();
  return `${into} SELECT row_number() OVER (ORDER BY ${columns.map((_, i) => `c${i}::text`).join(', ')}) + 100, ${columns.map((_, i) => `c${i}`).join(', ')} FROM (${sql}) AS ${alias}${returning(making, table)}`;
}

/** Rows with the keys of a table whose keys stand in the clear. */
function keyedSource(making: Making, columns: readonly Column[]): string {
  const { choices, schema } = making;
  const source = choices.pick(schema.tables.filter(isOpenKey));
  const alias = making.alias();
  const scope = scopeOf(alias, source);
  const values = columns.map(c => expression(making, sourceFor(making, c, scope), c.kind, 1));
  return `SELECT ${alias}.id + 100, ${values.join(', ')} FROM ${source.name} AS ${alias}${choices.chance(50) ? ` WHERE ${condition(making, scope, 1)}` : ''}`;
}

function upsert(making: Making, table: Table): string {
  const { choices } = making;
  making.has('ON CONFLICT DO UPDATE');
  const columns = someOf(making, table);
  const target = choices.pick(columns);
  const id = making.literal(String(choices.integer(1, 20)), 'int');
  const set = choices.pick([
    () => `${target.name} = EXCLUDED.${target.name}`,
    () => `${target.name} = ${value(making, target)}`,
    () => `${target.name} = coalesce(${table.name}.${target.name}, EXCLUDED.${target.name})`,
  ])();
  const where = choices.chance(30) ? ` WHERE ${condition(making, scopeOf(table.name, table), 0)}` : '';
  return `INSERT INTO ${table.name} (id, ${columns.map(c => c.name).join(', ')}) VALUES (${[id, ...columns.map(c => value(making, c))].join(', ')}) ON CONFLICT (id) DO UPDATE SET ${set}${where}${returning(making, table)}`;
}

function update(making: Making, table: Table): string {
  const { choices } = making;
  const columns = someOf(making, table).slice(0, 3);
  const scope = scopeOf('u', table);
  const where = choices.chance(80) ? ` WHERE ${condition(making, scope, 1)}` : '';
  const plain = (): string => columns.map(c => `${c.name} = ${value(making, c)}`).join(', ');
  return choices.way(
    [
      5,
      () =>
        has(
          making,
          'UPDATE constants',
          `UPDATE ${table.name} AS u SET ${plain()}${where}${returning(making, table, 'u')}`,
        ),
    ],
    [
      4,
      () =>
        has(
          making,
          'UPDATE expression',
          `UPDATE ${table.name} AS u SET ${columns.map(c => `${c.name} = ${expression(making, sourceFor(making, c, scope), c.kind, 1)}`).join(', ')}${where}${returning(making, table, 'u')}`,
        ),
    ],
    [
      2,
      () => {
        const other = choices.pick(making.schema.tables.filter(t => t.writable));
        const both: Scope = { columns: [...scope.columns, ...scopeOf('o', other).columns], keys: undefined };
        return has(
          making,
          'UPDATE FROM',
          `UPDATE ${table.name} AS u SET ${columns.map(c => `${c.name} = ${expression(making, sourceFor(making, c, both), c.kind, 0)}`).join(', ')} FROM ${other.name} AS o WHERE o.id = u.id AND ${condition(making, both, 0)}${returning(making, table, 'u')}`,
        );
      },
    ],
    [
      3,
      () =>
        has(
          making,
          'UPDATE row assignment',
          `UPDATE ${table.name} AS u SET (${columns.map(c => c.name).join(', ')}) = ROW(${columns.map(c => value(making, c)).join(', ')})${where}`,
        ),
    ],
    [
      isOpenKey(table) ? 4 : 0,
      () => {
        const [column] = columns;
        return has(
          making,
          'UPDATE subquery',
          `UPDATE ${table.name} AS u SET ${column!.name} = (SELECT s.${column!.name} FROM ${table.name} AS s WHERE s.id = u.id + 1)${where}`,
        );
      },
    ],
  );
}

/** Notes a construct. */
export function has(making: Making, construct: string, sql: string): string {
  making.has(construct);
  return sql;
}

function remove(making: Making, table: Table): string {
  const { choices } = making;
  const scope = scopeOf('u', table);
  if (choices.chance(30)) {
    const other = choices.pick(making.schema.tables.filter(t => t.writable));
    const both: Scope = { columns: [...scope.columns, ...scopeOf('o', other).columns], keys: undefined };
    return has(
      making,
      'DELETE USING',
      `DELETE FROM ${table.name} AS u USING ${other.name} AS o WHERE o.id = u.id AND ${condition(making, both, 0)}${returning(making, table, 'u')}`,
    );
  }
  return has(
    making,
    'DELETE',
    `DELETE FROM ${table.name} AS u WHERE ${condition(making, scope, 1)}${returning(making, table, 'u')}`,
  );
}

function merge(making: Making, table: Table, source: Table): string {
  const [column] = someOf(making, table);
  const { name } = column!;
  const delta = making.choices.pick(['+ 5', '', '+ 100']);
  const matched = (): string =>
    `WHEN MATCHED AND ${condition(making, scopeOf('u', table), 0)} THEN ${making.choices.pick([`UPDATE SET ${name} = ${value(making, column!)}`, 'DELETE', 'DO NOTHING'])}`;
  return has(
    making,
    'MERGE',
    `MERGE INTO ${table.name} AS u USING (SELECT id ${delta} AS id FROM ${source.name}) AS s ON u.id = s.id ${making.choices.some(1, 2, matched).join(' ')} WHEN NOT MATCHED THEN INSERT (id, ${name}) VALUES (s.id, ${value(making, column!)})`,
  );
}

function modifyingCte(making: Making, table: Table): string {
  const [column] = someOf(making, table);
  const alias = making.alias();
  return has(
    making,
    'data-modifying CTE',
    making.choices.pick([
      `WITH ${alias} AS (DELETE FROM ${table.name} AS u WHERE ${condition(making, scopeOf('u', table), 0)} RETURNING u.id, u.${column!.name}) SELECT count(*), count(${column!.name}) FROM ${alias}`,
      `WITH ${alias} AS (UPDATE ${table.name} AS u SET ${column!.name} = ${value(making, column!)} WHERE u.id < 4 RETURNING u.id) SELECT * FROM ${alias} ORDER BY id`,
      `WITH ${alias} AS (INSERT INTO ${table.name} (id, ${column!.name}) VALUES (${freshId(making)}, ${value(making, column!)}) RETURNING id) SELECT count(*) FROM ${alias}`,
    ]),
  );
}
