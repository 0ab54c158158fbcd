/**
 * Select and RETURNING lists: each protected column becomes its sealed form (and the row id once a table), what
 * is computed from none stays, aggregates are asked of the encodings. Places are kept, so that `ORDER BY 2`
 * means the same; row ids and further physical columns come after the last.
 */
import type { Answer, EncodedColumn, Encoding } from '../../encodings/encoding.js';
import { ClarusError } from '../../errors.js';
import { flag, isNode, type Node, nodesIn, numberIn, textIn, type Value } from '../analysed/node.js';
import { entry, meaningOf, type Scope } from '../analysed/query.js';
import { aliasOf, asColumn, type ColumnUse, protectedColumns, readsWholeRow, refuse } from '../columns.js';
import { type Compilation, openingEncoding } from '../compilation.js';
import { child, columnRef, fieldsOf, kindOf, list, type RawNode, target } from '../raw/node.js';
import { markAnswered } from './answered.js';

/** How one column of the answer is made from the cloud's columns (0-based places). */
export type Output =
  | { readonly kind: 'open'; readonly place: number }
  | {
      readonly kind: 'cell';
      readonly encoding: Encoding;
      readonly encoded: EncodedColumn;
      /** places of the encoding's physical columns, by role */
      readonly places: Readonly<Record<string, number>>;
      /** place of the row id */
      readonly row: number;
      readonly type: { readonly oid: number; readonly modifier: number };
    }
  | {
      readonly kind: 'finish';
      readonly place: number;
      readonly finish: NonNullable<Answer['finish']>;
      readonly type: { readonly oid: number; readonly modifier: number };
    };

/** The list for the cloud, and how the answer's columns are made of its `width` columns. */
export interface Targets {
  readonly list: readonly RawNode[];
  readonly outputs: readonly Output[];
  /** places that must come in binary form */
  readonly binary: ReadonlySet<number>;
  readonly width: number;
}

/**
 * Rewrites a select or RETURNING list.
 * @param raw the list as it was parsed
 * @param analysed its TargetEntry nodes, in the same order once stars are expanded
 * @throws ClarusError 0A000 for what cannot be opened: whole rows, expressions, aggregates that no encoding answers
 */
export function rewriteTargets(
  raw: readonly RawNode[],
  analysed: readonly Node[],
  scope: Scope,
  compilation: Compilation,
): Targets {
  const entries = analysed.filter(t => !flag(t, 'resjunk'));
  const flat = expandStars(raw, entries, scope);
  const list: RawNode[] = [];
  const extra: RawNode[] = [];
  const outputs: Output[] = [];
  const binary = new Set<number>();
  const rows = new Map<string, number>();
  const width = flat.length;
  const append = (node: RawNode): number => {
    binary.add(width + extra.length);
    return width + extra.push(target(node)) - 1;
  };
  const rowPlace = (alias: string): number => {
    const known = rows.get(alias);
    if (known !== undefined) return known;
    const place = append(compilation.rowId(alias));
    rows.set(alias, place);
    return place;
  };
  flat.forEach(({ raw: node, entry: tle }, place) => {
    const value = tle.fields.expr;
    // ORDER BY and GROUP BY may look for the names of the answer's columns.
    const name = textIn(tle, 'resname');
    const uses = protectedColumns(value, scope, compilation.catalog);
    if (uses.length === 0) {
      list.push(node);
      outputs.push({ kind: 'open', place });
      return;
    }
    if (readsWholeRow(value, scope, compilation.catalog))
      throw refuse('a whole row', uses[0]!, 'Name the columns, or use *.');
    const use =
      isNode(value) && value.kind === 'VAR' ? asColumn(value, scope, compilation.catalog) : undefined;
    if (use) {
      const { encoding, encoded } = openingEncoding(compilation.registry, use.column);
      const alias = aliasOf(scope, use.varno);
      const roles = Object.keys(encoded.columns);
      const [first, ...more] = roles;
      list.push(target(columnRef(alias, encoded.columns[first!]!), name));
      binary.add(place);
      const places: Record<string, number> = { [first!]: place };
      for (const role of more) places[role] = append(columnRef(alias, encoded.columns[role]!));
      markAnswered(value, compilation);
      outputs.push({ kind: 'cell', encoding, encoded, places, row: rowPlace(alias), type: use.column.type });
      return;
    }
    const aggregate = aggregateTarget(value, uses, scope, compilation);
    if (!aggregate) throw refuse('an expression in the select list', uses[0]!);
    list.push(target(aggregate.node, name));
    if (aggregate.answer.finish) {
      binary.add(place);
      outputs.push({
        kind: 'finish',
        place,
        finish: aggregate.answer.finish,
        type: { oid: aggregate.type, modifier: -1 },
      });
    } else outputs.push({ kind: 'open', place });
  });
  return { list: [...list, ...extra], outputs, binary, width: width + extra.length };
}

function aggregateTarget(
  value: Value | undefined,
  uses: readonly ColumnUse[],
  scope: Scope,
  compilation: Compilation,
): { node: RawNode; answer: Answer; type: number } | undefined {
  if (
    !isNode(value) ||
    value.kind !== 'AGGREF' ||
    value.fields.aggfilter ||
    nodesIn(value, 'aggorder').length ||
    nodesIn(value, 'aggdirectargs').length
  )
    return undefined;
  const args = nodesIn(value, 'args');
  const use = args.length === 1 ? asColumn(args[0]!.fields.expr, scope, compilation.catalog) : undefined;
  if (!use || use.scope !== scope || uses.length !== 1) return undefined;
  const functionOid = numberIn(value, 'aggfnoid');
  const type = numberIn(value, 'aggtype');
  const name = aggregateNames.get(functionOid) ?? String(functionOid);
  const found = compilation.answer(use.column, {
    kind: 'aggregate',
    name,
    functionOid,
    distinct: nodesIn(value, 'aggdistinct').length > 0,
    resultType: type,
  });
  if (!found) throw refuse(`the aggregate ${name}`, use);
  markAnswered(value, compilation);
  return {
    node: compilation.expression(found.answer, found.encoded, aliasOf(scope, use.varno), []),
    answer: found.answer,
    type,
  };
}

/** pg_proc OIDs of the aggregates that encodings are asked by name (src/include/catalog/pg_proc.dat). */
const aggregateNames: ReadonlyMap<number, string> = new Map([
  [2147, 'count'],
  [2100, 'avg'],
  [2101, 'avg'],
  [2102, 'avg'],
  [2103, 'avg'],
  [2104, 'avg'],
  [2105, 'avg'],
  [2107, 'sum'],
  [2108, 'sum'],
  [2109, 'sum'],
  [2110, 'sum'],
  [2111, 'sum'],
  [2114, 'sum'],
  [2115, 'max'],
  [2116, 'max'],
  [2117, 'max'],
  [2130, 'max'],
  [2131, 'min'],
  [2132, 'min'],
  [2133, 'min'],
  [2146, 'min'],
]);

/** Pairs each raw target with its analysed entry, `*` written out as the columns it means. */
function expandStars(
  raw: readonly RawNode[],
  entries: readonly Node[],
  scope: Scope,
): { raw: RawNode; entry: Node }[] {
  const pairs: { raw: RawNode; entry: Node }[] = [];
  let at = 0;
  for (const item of raw) {
    const value = child(fieldsOf(item), 'val');
    const star =
      value && kindOf(value) === 'ColumnRef' && list(fieldsOf(value), 'fields').some(f => 'A_Star' in f);
    if (!star) {
      const tle = entries[at++];
      if (!tle) throw new Error('the select list and its analysis differ');
      pairs.push({ raw: item, entry: tle });
      continue;
    }
    const location = (fieldsOf(value).location as number | undefined) ?? 0;
    const from = at;
    while (at < entries.length && isStarColumn(entries[at]!, location)) {
      const tle = entries[at++]!;
      pairs.push({ raw: target(starColumn(tle, scope), textIn(tle, 'resname')), entry: tle });
    }
    if (at === from && raw.length === 1 && entries.length) throw new Error('a star stands for no columns');
  }
  if (at !== entries.length) throw new Error('the select list and its analysis differ');
  return pairs;
}

const isStarColumn = (tle: Node, location: number): boolean => {
  const expr = tle.fields.expr;
  return isNode(expr) && locationOf(expr) === location;
};

function locationOf(node: Node): number {
  if (node.kind === 'VAR' || node.fields.location !== undefined) {
    const own = numberIn(node, 'location');
    if (own >= 0) return own;
  }
  const arg = node.fields.arg;
  return isNode(arg) ? locationOf(arg) : -1;
}

function starColumn(tle: Node, scope: Scope): RawNode {
  const expr = tle.fields.expr;
  const name = textIn(tle, 'resname') ?? '';
  if (!isNode(expr) || expr.kind !== 'VAR') return columnRef(name);
  const meaning = meaningOf(expr, scope);
  // A merged join column has no table's name before it.
  if (meaning.kind === 'expression') return columnRef(name);
  const varno = numberIn(expr, 'varno');
  const alias = aliasOf(scope, varno);
  if (
    scope.rtable.filter(rte => rte === entry(scope, varno) || aliasName(rte) === alias).length > 1 &&
    duplicates(scope, alias)
  )
    throw new ClarusError('0A000', `two tables in FROM are called "${alias}"`, {
      hint: 'Give them aliases.',
    });
  return columnRef(alias, name);
}

const aliasName = (rte: Node): string | undefined => {
  const eref = rte.fields.eref;
  return isNode(eref) ? textIn(eref, 'aliasname') : undefined;
};
const duplicates = (scope: Scope, alias: string): boolean =>
  scope.rtable.filter(rte => flag(rte, 'inFromCl') && aliasName(rte) === alias).length > 1;
