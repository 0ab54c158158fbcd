/** What differs between two policies, as data and in words. */
import { columnOfTable, listedTable } from './effective.js';
import { formatLabel } from './label.js';
import { joinName } from './names.js';
import { type ColumnPolicy, type Policy, queryKinds, type TablePolicy, type Unlisted } from './policy.js';

/** One difference, from the policy before to the policy after. */
export type PolicyDifference =
  | { readonly kind: 'unlisted'; readonly before: Unlisted; readonly after: Unlisted; readonly words: string }
  | {
      readonly kind: 'names';
      readonly before: 'shown' | 'hidden';
      readonly after: 'shown' | 'hidden';
      readonly words: string;
    }
  | {
      readonly kind: 'declassify';
      readonly change: 'added' | 'removed';
      readonly target: string;
      readonly words: string;
    }
  | {
      readonly kind: 'table';
      readonly change: 'listed' | 'unlisted';
      readonly schema: string;
      readonly table: string;
      readonly words: string;
    }
  | {
      readonly kind: 'column';
      readonly schema: string;
      readonly table: string;
      readonly column: string;
      readonly before: ColumnPolicy;
      readonly after: ColumnPolicy;
      /** false when only the class differs: what a cloud holds stays as it is */
      readonly changesProtection: boolean;
      readonly words: string;
    };

/**
 * The differences, tables in the order of their names. Columns are compared by what holds for them: to name one
 * that is encrypted without queries anyway changes nothing. Places in files do not count.
 */
export function diffPolicy(before: Policy, after: Policy): readonly PolicyDifference[] {
  return [
    ...diffUnlisted(before, after),
    ...diffNames(before, after),
    ...diffDeclassify(before, after),
    ...diffTables(before, after),
  ];
}

function diffUnlisted(
  { unlisted: before }: Policy,
  { unlisted: after }: Policy,
): readonly PolicyDifference[] {
  if (before === after) return [];
  return [{ kind: 'unlisted', before, after, words: `unlisted tables: ${before} becomes ${after}` }];
}

function diffNames({ names: hidden }: Policy, { names: hides }: Policy): readonly PolicyDifference[] {
  if (hidden === hides) return [];
  const [before, after] = [hidden ?? 'shown', hides ?? 'shown'] as const;
  const words = `names of protected tables and of what belongs to them: ${before} becomes ${after}`;
  return [{ kind: 'names', before, after, words }];
}

function diffDeclassify(before: Policy, after: Policy): readonly PolicyDifference[] {
  const added = after.declassify.filter(target => !before.declassify.includes(target));
  const removed = before.declassify.filter(target => !after.declassify.includes(target));
  return [
    ...added.map(
      (target): PolicyDifference => ({
        kind: 'declassify',
        change: 'added',
        target,
        words: `${target}: protected values may now reach it in the clear`,
      }),
    ),
    ...removed.map(
      (target): PolicyDifference => ({
        kind: 'declassify',
        change: 'removed',
        target,
        words: `${target}: protected values may no longer reach it in the clear`,
      }),
    ),
  ];
}

function diffTables(before: Policy, after: Policy): readonly PolicyDifference[] {
  const names = new Map<string, TablePolicy>();
  for (const table of [...before.tables, ...after.tables])
    names.set(joinName([table.schema, table.name]), table);
  return [...names.keys()].sort().flatMap(name => {
    const { schema, name: table } = names.get(name)!;
    const old = listedTable(before, schema, table);
    const proposed = listedTable(after, schema, table);
    if (old && proposed) return diffColumns(name, old, proposed);
    const listed: PolicyDifference = proposed
      ? { kind: 'table', change: 'listed', schema, table, words: `${name}: listed now` }
      : {
          kind: 'table',
          change: 'unlisted',
          schema,
          table,
          words: `${name}: no longer listed (unlisted: ${after.unlisted} holds)`,
        };
    return [listed];
  });
}

function diffColumns(name: string, before: TablePolicy, after: TablePolicy): readonly PolicyDifference[] {
  const columns = new Set([...before.columns, ...after.columns].map(column => column.name));
  return [...columns].flatMap(column => {
    const [old, proposed] = [columnOfTable(before, column), columnOfTable(after, column)];
    const changesProtection = protectionOf(old) !== protectionOf(proposed);
    if (!changesProtection && old.class === proposed.class) return [];
    const difference: PolicyDifference = {
      kind: 'column',
      schema: after.schema,
      table: after.name,
      column,
      before: old,
      after: proposed,
      changesProtection,
      words: `${name}.${joinName([column])}: ${wordChange(old, proposed)}`,
    };
    return [difference];
  });
}

/** All that decides what a cloud holds, in one string. */
function protectionOf(column: ColumnPolicy): string {
  return formatLabel({
    ...column,
    class: undefined,
    queries: queryKinds.filter(kind => column.queries.includes(kind)),
  });
}

function wordChange(before: ColumnPolicy, after: ColumnPolicy): string {
  const words: string[] = [];
  if (before.class !== after.class)
    words.push(`class ${before.class ?? 'not said'} becomes ${after.class ?? 'not said'}`);
  if (before.protect !== after.protect) {
    words.push(after.protect === 'none' ? 'encrypt becomes none: in the clear' : 'none becomes encrypt');
  }
  const gained = after.queries.filter(kind => !before.queries.includes(kind));
  const lost = before.queries.filter(kind => !after.queries.includes(kind));
  if (gained.length > 0) words.push(`queries gains ${gained.join(', ')}`);
  if (lost.length > 0) words.push(`queries loses ${lost.join(', ')}`);
  if (before.domain !== after.domain) {
    words.push(`domain ${before.domain ?? 'of its own'} becomes ${after.domain ?? 'of its own'}`);
  }
  return words.join('; ');
}
