/** What stands behind FROM: tables, views, subqueries, functions, and every join of them. */
import { condition } from './conditions.js';
import { columnOf, expression } from './expressions.js';
import { query } from './queries.js';
import type { Kind, Table } from './schema.js';
import type { Making, Reach, Scope } from './scope.js';

/** Items of FROM and what they bring into reach. */
export interface Source {
  readonly sql: string;
  readonly scope: Scope;
  /** names of columns that a USING may name, by the alias that has them */
  readonly names: ReadonlyMap<string, Kind>;
}

const nothing: Scope = { columns: [], keys: undefined };

/** One item, or several that are joined. */
export function from(making: Making, outer: Scope, depth: number): Source {
  const { choices } = making;
  let source = item(making, outer, depth);
  for (let joins = choices.pick([0, 0, 0, 1, 1, depth > 1 ? 2 : 1]); joins > 0; joins--)
    source = join(making, source, outer, depth);
  return source;
}

function item(making: Making, outer: Scope, depth: number): Source {
  const { choices } = making;
  return choices.way(
    [12, () => table(making, choices.pick([...making.schema.tables, ...making.ctes, ...making.ctes]))],
    [depth > 0 ? 2 : 0, () => subquery(making, outer, depth)],
    [1, () => generated(making, outer)],
  );
}

function table(making: Making, { name, columns, key, writable }: Table): Source {
  const alias = making.alias();
  making.has(
    columns.some(c => c.label !== undefined)
      ? writable
        ? 'protected table'
        : 'view'
      : writable
        ? 'unprotected table'
        : 'derived table',
  );
  const sampled = writable && making.choices.chance(1);
  if (sampled) making.has('TABLESAMPLE');
  return {
    sql: `${name} AS ${alias}${sampled ? ' TABLESAMPLE BERNOULLI (100)' : ''}`,
    scope: {
      columns: columns.map(
        (column): Reach => ({
          sql: `${alias}.${column.name}`,
          kind: column.kind,
          column: column.pool.length > 0 ? column : undefined,
        }),
      ),
      keys: key === undefined ? undefined : [`${alias}.${key}`],
    },
    names: new Map(columns.map(column => [column.name, column.kind])),
  };
}

function derived(alias: string, sql: string, outputs: readonly { name: string; kind: Kind }[]): Source {
  return {
    sql,
    scope: {
      columns: outputs.map(({ name, kind }): Reach => ({ sql: `${alias}.${name}`, kind, column: undefined })),
      keys: undefined,
    },
    names: new Map(outputs.map(({ name, kind }) => [name, kind])),
  };
}

function subquery(making: Making, outer: Scope, depth: number): Source {
  const lateral = outer.columns.length > 0 && making.choices.chance(30);
  const alias = making.alias();
  const { sql, outputs } = query(making, lateral ? outer : nothing, depth - 1);
  making.has(lateral ? 'LATERAL' : 'subquery in FROM');
  return derived(alias, `${lateral ? 'LATERAL ' : ''}(${sql}) AS ${alias}`, outputs);
}

function generated(making: Making, outer: Scope): Source {
  const alias = making.alias();
  making.has('function in FROM');
  const int = (): string => expression(making, outer, 'int', 0);
  const { sql, outputs } = making.choices.pick<
    () => { sql: string; outputs: { name: string; kind: Kind }[] }
  >([
    () => ({ sql: `generate_series(1, 3) AS ${alias}(c0)`, outputs: [{ name: 'c0', kind: 'int' }] }),
    () => ({
      sql: `(VALUES (1, 'a'), (2, 'ann'), (NULL, NULL)) AS ${alias}(c0, c1)`,
      outputs: [
        { name: 'c0', kind: 'int' },
        { name: 'c1', kind: 'text' },
      ],
    }),
    () => ({
      sql: `unnest(ARRAY['a', 'ann']::text[]) WITH ORDINALITY AS ${alias}(c0, c1)`,
      outputs: [
        { name: 'c0', kind: 'text' },
        { name: 'c1', kind: 'int' },
      ],
    }),
    () => ({
      sql: `generate_series(1, abs(${int()}) % 4) AS ${alias}(c0)`,
      outputs: [{ name: 'c0', kind: 'int' }],
    }),
    () => ({
      sql: `jsonb_to_recordset('[{"c0": 1, "c1": "a"}, {"c0": 2}]') AS ${alias}(c0 int, c1 text)`,
      outputs: [
        { name: 'c0', kind: 'int' },
        { name: 'c1', kind: 'text' },
      ],
    }),
  ])();
  return derived(alias, sql, outputs);
}

function join(making: Making, left: Source, outer: Scope, depth: number): Source {
  const { choices } = making;
  const lateral = depth > 0 && choices.chance(15);
  const reach: Scope = lateral
    ? { columns: [...left.scope.columns, ...outer.columns], keys: undefined }
    : outer;
  const right = lateral ? lateralItem(making, reach, depth) : item(making, outer, depth > 1 ? 1 : 0);
  const columns = [...left.scope.columns, ...right.scope.columns];
  const keys = left.scope.keys && right.scope.keys ? [...left.scope.keys, ...right.scope.keys] : undefined;
  const both: Scope = { columns, keys };
  const names = new Map([...left.names, ...right.names]);
  const made = (sql: string, construct: string): Source => {
    making.has(construct);
    return { sql, scope: both, names };
  };
  const on = equality(making, left.scope, right.scope);
  if (lateral)
    return made(
      `${left.sql} ${choices.pick(['JOIN', 'LEFT JOIN'])} ${right.sql} ON ${on ?? 'true'}`,
      'LATERAL',
    );
  const shared = [...left.names]
    .filter(([name, kind]) => right.names.get(name) === kind && kind !== 'jsonb')
    .map(([name]) => name);
  // a name that stands in two items already is ambiguous
  const isSimple = !left.sql.includes(' JOIN ') && !left.sql.includes(', ');
  return choices.way(
    [6, () => made(`${left.sql} JOIN ${right.sql} ON ${on ?? condition(making, both, 0)}`, 'JOIN')],
    [
      3,
      () =>
        made(
          `${left.sql} LEFT JOIN ${right.sql} ON ${on ?? condition(making, both, 0)}${choices.chance(30) ? ` AND ${condition(making, both, 0)}` : ''}`,
          'outer join',
        ),
    ],
    [1, () => made(`${left.sql} RIGHT JOIN ${right.sql} ON ${on ?? 'true'}`, 'outer join')],
    [2, () => made(`${left.sql} FULL JOIN ${right.sql} ON ${on ?? 'true'}`, 'outer join')],
    [2, () => made(`${left.sql} CROSS JOIN ${right.sql}`, 'cross join')],
    [2, () => made(`${left.sql}, ${right.sql}`, 'cross join')],
    [
      5,
      () => {
        if (!isSimple || shared.length === 0)
          return made(`${left.sql} JOIN ${right.sql} ON ${on ?? 'true'}`, 'JOIN');
        const using = [choices.pick(shared), ...(choices.chance(20) ? [choices.pick(shared)] : [])];
        const merged = [...new Set(using)];
        const source = made(
          `${left.sql} ${choices.pick(['', 'LEFT ', 'FULL '])}JOIN ${right.sql} USING (${merged.join(', ')})`,
          'JOIN USING',
        );
        const named: Reach[] = merged.map(name => ({
          sql: name,
          kind: left.names.get(name)!,
          column: undefined,
        }));
        return choices.chance(50) ? { ...source, scope: { columns: [...columns, ...named], keys } } : source;
      },
    ],
    [
      3,
      () =>
        isSimple
          ? {
              ...natural(
                making,
                left,
                (sql, construct) => ({
                  ...made(sql, construct),
                  scope: { columns: left.scope.columns, keys: undefined },
                }),
                () => left,
              ),
            }
          : left,
    ],
  );
}

function lateralItem(making: Making, reach: Scope, depth: number): Source {
  const alias = making.alias();
  if (making.choices.chance(30)) return generated(making, reach);
  const { sql, outputs } = query(making, reach, depth - 1);
  return derived(alias, `LATERAL (${sql}) AS ${alias}`, outputs);
}

/** NATURAL JOIN with some columns of a table that stand in `left` too. */
function natural(
  making: Making,
  left: Source,
  made: (sql: string, construct: string) => Source,
  otherwise: () => Source,
): Source {
  const other = making.choices.pick(making.schema.tables);
  const shared = other.columns.filter(c => left.names.get(c.name) === c.kind && c.kind !== 'jsonb');
  if (shared.length === 0) return otherwise();
  const merged = [...new Set([making.choices.pick(shared).name, making.choices.pick(shared).name])];
  return made(
    `${left.sql} NATURAL ${making.choices.pick(['', 'LEFT '])}JOIN (SELECT ${merged.join(', ')} FROM ${other.name}) AS ${making.alias()}`,
    'NATURAL JOIN',
  );
}

/** `left.x = right.y` of one kind. */
function equality(making: Making, left: Scope, right: Scope): string | undefined {
  const { choices } = making;
  if (left.columns.length === 0 || choices.chance(15)) return undefined;
  const column = choices.pick(left.columns);
  const other = columnOf(making, right, column.kind);
  if (other === undefined) return undefined;
  const joined = `${column.sql} = ${other.sql}`;
  if (column.column === undefined || !choices.chance(12)) return joined;
  // what is concluded of it may compare the other column with the same value
  making.has('join on a constant too');
  return `${joined} AND ${column.sql} = ${making.literal(making.valueOf(column.column))}`;
}
