/** Names of a policy that no table answers to: a slip, or something that is still to be made. Pure. */
import { joinName } from './names.js';
import { nearest, suggest } from './nearest.js';
import type { Policy, SourcePosition } from './policy.js';
import type { Problem } from './problems.js';

/** A table that is there, with its logical columns. */
export interface KnownTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly { readonly name: string }[];
}

/** A column that only the policy knows. */
export interface MissingColumn extends Problem {
  /** `schema.table` */
  readonly table: string;
}

const nowhere: SourcePosition = { file: 'the policy', line: 0, column: 0 };

/**
 * Columns that the policy names of tables that are there and lack them. What was meant to be named is encrypted
 * without queries, like every column of a listed table that is not named.
 */
export function missingColumns(policy: Policy, tables: readonly KnownTable[]): readonly MissingColumn[] {
  return policy.tables.flatMap(listed => {
    const there = tables.find(({ schema, name }) => schema === listed.schema && name === listed.name);
    if (!there) return [];
    const title = joinName([listed.schema, listed.name]);
    const known = there.columns.map(({ name }) => name);
    const named = new Set(listed.columns.map(({ name }) => name));
    const unnamed = known.filter(name => !named.has(name));
    return listed.columns
      .filter(({ name }) => !known.includes(name))
      .map(({ name, position }) => ({
        table: title,
        message: `${title} has no column ${JSON.stringify(name)}`,
        suggestion:
          unnamed.length > 0
            ? suggest(name, unnamed).replace(/^known/, 'columns not named yet')
            : 'take it out until the column is added',
        position: position ?? listed.position ?? nowhere,
      }));
  });
}

/** Tables that the policy names and that are not there (yet). */
export function missingTables(policy: Policy, tables: readonly KnownTable[]): readonly Problem[] {
  const known = new Set(tables.map(({ schema, name }) => joinName([schema, name])));
  const listed = new Set(policy.tables.map(({ schema, name }) => joinName([schema, name])));
  const unlisted = [...known].filter(name => !listed.has(name));
  return policy.tables.flatMap(({ schema, name, position }) => {
    const title = joinName([schema, name]);
    if (known.has(title)) return [];
    const near = nearest(title, unlisted);
    const suggestion =
      near === undefined
        ? 'CREATE TABLE through Clarus makes it as the policy says'
        : `did you mean ${JSON.stringify(near)}?`;
    return [{ message: `there is no table ${title}`, suggestion, position: position ?? nowhere }];
  });
}
