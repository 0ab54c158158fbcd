/** A function alone in FROM, whose rows are parameters. */
import { quoteName } from '../../catalog/quote.js';
import { type Node, nodeIn, nodesIn, readNodes, textIn } from '../analysed/node.js';
import type { Analysis } from '../ports.js';
import type { RawFields, RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { Routine } from './routine.js';
import type { Types } from './types.js';

/** What an item in FROM is called, and its columns. */
export interface CalledAs {
  readonly name: string;
  readonly columns: readonly string[];
}

/**
 * What takes the place of the call.
 * @param numbers of the parameters that hold its columns: of a set they are arrays of texts
 */
export async function rowsGiven(
  { columns, isSet }: Routine,
  numbers: readonly number[],
  alias: CalledAs,
  types: Types,
): Promise<RawNode> {
  const outputs: string[] = [];
  const arrays: string[] = [];
  for (const [i, { type }] of columns.entries()) {
    const { name, kind } = await types.facts(type.oid);
    outputs.push(`u.c${i}::${name} AS ${quoteName(alias.columns[i]!)}`);
    // rows of a composite type would become their fields
    const one = kind === 'c' ? `ARRAY[$${numbers[i]!}::text]` : `ARRAY[$${numbers[i]!}]`;
    arrays.push(`pg_catalog.unnest(${isSet ? `$${numbers[i]!}` : one})`);
  }
  const names = arrays.map((_, i) => `c${i}`);
  const subquery = parseOne(
    `SELECT ${outputs.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${names.join(', ')})`,
  );
  return { RangeSubselect: { subquery, alias: { aliasname: alias.name } } };
}

/** The one call of a RangeFunction. */
export function functionIn(range: RawFields): RawFields | undefined {
  const functions = range.functions as readonly { readonly List?: { readonly items?: readonly RawNode[] } }[];
  return functions.length === 1 ? functions[0]!.List?.items?.[0]?.FuncCall : undefined;
}

/** What the one item in FROM is called, and its columns. */
export function aliasOf(parsed: Analysis['parsed']): CalledAs | undefined {
  const [query] = parsed.flatMap(readNodes);
  const [rte, ...more] = query ? nodesIn(query, 'rtable') : [];
  const alias = rte && nodeIn(rte, 'eref');
  if (!alias || more.length > 0) return undefined;
  return { name: textIn(alias, 'aliasname') ?? '', columns: namesIn(alias) };
}

const namesIn = (alias: Node): readonly string[] =>
  (Array.isArray(alias.fields.colnames) ? alias.fields.colnames : []).map(String);
