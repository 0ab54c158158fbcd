/**
 * Raw parse trees as libpg-query gives them: a node is an object with one key, its kind, and the node's fields
 * as value. `location`s are byte offsets into the statement text.
 */
export type RawFields = { readonly [field: string]: unknown };
/** A node: one key, its kind, with the fields as value. */
export type RawNode = { readonly [kind: string]: RawFields };

/** Kind of a node: the one key it has. */
export const kindOf = (node: RawNode): string => Object.keys(node)[0] ?? '';

/** Fields of a node whatever its kind. */
export const fieldsOf = (node: RawNode): RawFields => node[kindOf(node)] ?? {};

/** A list field of a node; empty when absent. */
export const list = (fields: RawFields, name: string): readonly RawNode[] =>
  (fields[name] as readonly RawNode[] | undefined) ?? [];

/** A node field, or undefined. */
export const child = (fields: RawFields, name: string): RawNode | undefined =>
  fields[name] as RawNode | undefined;

/** A string field, or undefined. */
export const text = (fields: RawFields, name: string): string | undefined =>
  fields[name] as string | undefined;

/** The string of a String node. */
export const stringOf = (node: RawNode | undefined): string =>
  (node?.String?.sval as string | undefined) ?? '';

/** Calls `visit` for every node below a value (the value itself included when it is a node). */
export function visit(value: unknown, see: (kind: string, fields: RawFields) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, see);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, field] of Object.entries(value)) {
      if (field !== null && typeof field === 'object' && !Array.isArray(field)) see(key, field as RawFields);
      visit(field, see);
    }
  }
}

/**
 * Rewrites a tree bottom-up without changing it: `change` gets each node and returns another or undefined to
 * keep it.
 */
export function rewrite<T>(value: T, change: (kind: string, fields: RawFields) => RawNode | undefined): T {
  if (Array.isArray(value)) return value.map(item => rewrite(item, change)) as T;
  if (value === null || typeof value !== 'object') return value;
  const copy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) copy[key] = rewrite(field, change);
  const keys = Object.keys(copy);
  const only = keys.length === 1 ? keys[0]! : undefined;
  if (only !== undefined && /^[A-Z]/.test(only)) {
    const changed = change(only, copy[only] as RawFields);
    if (changed) return changed as T;
  }
  return copy as T;
}

/** Replaces the parameters of a tree; `replace` gets a number and returns another node or undefined to keep it. */
export const renumberAll = (tree: RawNode, replace: (number: number) => RawNode | undefined): RawNode =>
  rewrite(tree, (kind, fields) =>
    kind === 'ParamRef' ? replace((fields.number as number | undefined) ?? 0) : undefined,
  );

/** Builders for the few nodes that rewriting makes. */
export const str = (sval: string): RawNode => ({ String: { sval } });
/** A column by its names, the qualifying ones first. */
export const columnRef = (...names: readonly string[]): RawNode => ({
  ColumnRef: { fields: names.map(str) },
});
/** `$number`. */
export const paramRef = (number: number): RawNode => ({ ParamRef: { number } });
/** An entry of a select list, `val AS name`. */
export const target = (val: RawNode, name?: string): RawNode => ({
  ResTarget: name === undefined ? { val } : { name, val },
});
/**
 * `arg::type`.
 * @param type name of a type of pg_catalog, with `[]` for its array
 */
export const castTo = (arg: RawNode, type: string): RawNode => {
  const array = type.endsWith('[]');
  const name = array ? type.slice(0, -2) : type;
  return {
    TypeCast: {
      arg,
      typeName: {
        names: [str('pg_catalog'), str(name)],
        typemod: -1,
        ...(array ? { arrayBounds: [{ Integer: { ival: -1 } }] } : {}),
      },
    },
  };
};
