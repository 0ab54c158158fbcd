/**
 * RETURNING of rows that are computed, as parts of FROM: expressions over the row under the name of the target, beside
 * what else the statement names, and the rows as they were and as they are (OLD and NEW).
 */
import { quoteName } from '../../../catalog/quote.js';
import { type Node, nodesIn, numberIn, walk } from '../../analysed/node.js';
import { COMMAND } from '../../analysed/query.js';
import { constantValue } from '../../analysed/types.js';
import { deparseExpression } from '../../raw/deparse.js';
import { child, fieldsOf, list, type RawFields, type RawNode } from '../../raw/node.js';
import { returningNames } from '../../write/returning.js';

/** The rows that RETURNING can mean, each a SELECT of all columns of the target. */
export interface ReturnedRow {
  /** what the statement calls the target */
  readonly alias: string;
  readonly current: string;
  readonly old: string;
  readonly new: string;
}

/** VarReturningType (primnodes.h) */
const RETURNING_OLD = 1;

/** MaxTransactionIdAttributeNumber (sysattr.h) */
const XMAX = -4;

/** xid = int4, xid <> int4 (pg_operator.dat) */
const xidBesideInt4: ReadonlySet<number> = new Set([353, 3316]);

/**
 * Which of OLD and NEW does RETURNING read, and does it ask whether `xmax` is 0, as upserts do to tell rows that are new?
 * @throws cause for whole rows and other system columns of the target
 */
export function rowsReturned(query: Node, cause: Error): ReadonlySet<'old' | 'new' | 'xmax'> {
  const found = new Set<'old' | 'new' | 'xmax'>();
  const tests = xmaxTests([query]);
  for (const target of nodesIn(query, 'returningList'))
    walk(target, node => {
      if (tests.has(node)) {
        found.add('xmax');
        return false;
      }
      if (node.kind !== 'VAR') return true;
      const which = numberIn(node, 'varreturningtype');
      const isOwn =
        numberIn(node, 'varlevelsup') === 0 && numberIn(node, 'varno') === numberIn(query, 'resultRelation');
      if ((isOwn || which > 0) && numberIn(node, 'varattno') <= 0) throw cause;
      if (which > 0) found.add(which === RETURNING_OLD ? 'old' : 'new');
      return true;
    });
  return found;
}

/** Expressions of RETURNING that ask whether `xmax` of the row that is written is 0: whether an upsert made it. */
export function xmaxTests(trees: readonly Node[]): ReadonlySet<Node> {
  const found = new Set<Node>();
  for (const tree of trees)
    walk(tree, query => {
      if (query.kind === 'QUERY' && numberIn(query, 'commandType') === COMMAND.insert)
        for (const target of nodesIn(query, 'returningList'))
          walk(target, node => {
            const isTest = isXmaxTest(node, numberIn(query, 'resultRelation'));
            if (isTest) found.add(node);
            return !isTest;
          });
      return true;
    });
  return found;
}

/** `xmax = 0` and `xmax <> 0` of a row as it is */
function isXmaxTest(node: Node, resultRelation: number): boolean {
  if (node.kind !== 'OPEXPR' || !xidBesideInt4.has(numberIn(node, 'opno'))) return false;
  const [variable, constant] = nodesIn(node, 'args');
  return (
    variable?.kind === 'VAR' &&
    numberIn(variable, 'varlevelsup') === 0 &&
    numberIn(variable, 'varno') === resultRelation &&
    numberIn(variable, 'varattno') === XMAX &&
    numberIn(variable, 'varreturningtype') === 0 &&
    constant?.kind === 'CONST' &&
    constantValue(constant)?.every(byte => byte === 0) === true
  );
}

/** The row with `xmax` as a column, of which it is only told whether it is 0. */
export const withXmax = (row: string, isUpdated: string): string =>
  `SELECT clarus_stored.*, (CASE WHEN ${isUpdated} THEN '1' ELSE '0' END)::pg_catalog.xid AS xmax FROM (${row}) AS clarus_stored`;

/**
 * @param fields of the statement
 * @param query its analysed Query
 * @param targets RETURNING
 * @param all what `*` stands for
 * @param width number of columns that it gives
 * @returns further items of FROM, and the columns of the answer
 */
export function returnedRows(
  fields: RawFields,
  query: Node,
  targets: readonly RawNode[],
  row: ReturnedRow,
  all: string,
  width: number,
  cause: Error,
): { readonly from: string; readonly columns: readonly string[] } {
  const names = returningNames(fields);
  const used = (['old', 'new'] as const).filter(name => rowsReturned(query, cause).has(name));
  const beside = used.map(name => ` CROSS JOIN LATERAL (${row[name]}) AS ${quoteName(names[name])}`);
  const values = targets.map(target => {
    const value = child(fieldsOf(target), 'val')!;
    const [first, ...more] = value.ColumnRef ? list(value.ColumnRef, 'fields') : [];
    return first?.A_Star && more.length === 0 ? all : deparseExpression(value);
  });
  const columns = Array.from({ length: width }, (_, i) => `r${i}`);
  return {
    from: `${beside.join('')} CROSS JOIN LATERAL (SELECT ${values.join(', ')} FROM (${row.current}) AS ${quoteName(row.alias)}) AS clarus_returned (${columns.join(', ')})`,
    columns: columns.map(name => `clarus_returned.${name}`),
  };
}
