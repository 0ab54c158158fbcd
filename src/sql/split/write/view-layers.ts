/** Views that PostgreSQL updates by itself, one over the other down to a table, and what they check of rows. */
import type { LogicalColumn } from '../../../catalog/catalog.js';
import { quoteName } from '../../../catalog/quote.js';
import { physical } from '../../compilation.js';
import { collect } from '../../execute/collect.js';
import type { SessionPort } from '../../ports.js';
import { deparse, deparseExpression } from '../../raw/deparse.js';
import { child, fieldsOf, list, type RawFields, type RawNode, text } from '../../raw/node.js';
import { parseOne } from '../../raw/parse.js';

/** A view over one relation. */
export interface ViewLayer {
  readonly name: string;
  /** its SelectStmt */
  readonly select: RawFields;
  /** WITH CHECK OPTION: `local`, `cascaded`, or empty */
  readonly option: string;
  /** attnums of its columns that have a default */
  readonly defaults: readonly number[];
}

const layerQuery = physical(
  `SELECT c.relname, pg_catalog.pg_get_viewdef(c.oid),
          coalesce((SELECT option_value FROM pg_catalog.pg_options_to_table(c.reloptions) WHERE option_name = 'check_option'), ''),
          (SELECT pg_catalog.jsonb_agg(adnum) FROM pg_catalog.pg_attrdef WHERE adrelid = c.oid)
     FROM pg_catalog.pg_class c WHERE c.oid = $1 AND c.relkind = 'v'`,
  [2205],
);

/**
 * The outermost view first.
 * @param view its OID
 * @throws cause for a view that is not over one relation
 */
export async function viewLayers(
  view: number,
  { trusted }: SessionPort,
  cause: Error,
): Promise<readonly ViewLayer[]> {
  const layers: ViewLayer[] = [];
  for (let name = String(view); ; ) {
    const [row] = await collect(trusted, layerQuery, [Buffer.from(name)], [0], [0]);
    if (!row) return layers;
    const [relname, definition, option, defaults] = row.map(field => Buffer.from(field ?? []).toString());
    const { SelectStmt: select } = parseOne(definition!);
    const [from, ...more] = list(select ?? {}, 'fromClause');
    if (!select || !from?.RangeVar || more.length > 0) throw cause;
    layers.push({
      name: relname!,
      select,
      option: option!,
      defaults: defaults ? (JSON.parse(defaults) as number[]) : [],
    });
    const { schemaname, relname: next } = from.RangeVar as { schemaname?: string; relname: string };
    name = `${schemaname === undefined ? '' : `${quoteName(schemaname)}.`}${quoteName(next)}`;
  }
}

/**
 * What the views check of a row of the table, in the order in which PostgreSQL does (rewriteTargetView in
 * rewriteHandler.c): the innermost first.
 * @param columns of the table that are known
 * @param row what these are columns of
 * @throws cause for a view that calls columns otherwise in FROM
 */
export function viewChecks(
  layers: readonly ViewLayer[],
  columns: readonly LogicalColumn[],
  row: string,
  cause: Error,
): readonly { readonly name: string; readonly sql: string }[] {
  let isCascaded = false;
  const checked = layers.map(({ option }) => {
    const checks = option !== '' || isCascaded;
    isCascaded ||= option === 'cascaded';
    return checks;
  });
  let below = rowOf(columns, row);
  const found: { name: string; sql: string }[] = [];
  for (const [i, { name, select }] of [...layers.entries()].reverse()) {
    const where = child(select, 'whereClause');
    const from = fromBelow(select, below, cause);
    if (checked[i] && where) found.push({ name, sql: `(SELECT ${deparseExpression(where)}${from})` });
    below = targetsOf(select) + from;
  }
  return found;
}

/**
 * What the outermost view shows of a row of the table, as a query.
 * @param columns of the table, all of them
 * @param row what these are columns of
 * @throws cause as `viewChecks`
 */
export const viewRow = (
  layers: readonly ViewLayer[],
  columns: readonly LogicalColumn[],
  row: string,
  cause: Error,
): string =>
  layers.reduceRight(
    (below, { select }) => targetsOf(select) + fromBelow(select, below, cause),
    rowOf(columns, row),
  );

const rowOf = (columns: readonly LogicalColumn[], row: string): string =>
  `SELECT ${columns.map(({ name }) => `${row}.${quoteName(name)}`).join(', ')}`;

const fromBelow = (select: RawFields, below: string, cause: Error): string =>
  ` FROM (${below}) AS ${quoteName(aliasOf(select, cause))}`;

const targetsOf = ({ targetList }: RawFields): string =>
  deparse({ SelectStmt: { targetList, limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' } });

function aliasOf(select: RawFields, cause: Error): string {
  const range = fieldsOf(list(select, 'fromClause')[0] as RawNode);
  const alias = range.alias as RawFields | undefined;
  if (alias && list(alias, 'colnames').length > 0) throw cause;
  return (alias && text(alias, 'aliasname')) ?? text(range, 'relname')!;
}
