/** SELECT over protected tables: one statement for the cloud, whose rows are opened as they come. */
import { ClarusError } from '../../errors.js';
import { flag, type Node, nodeIn, nodesIn, numberIn } from '../analysed/node.js';
import { type Scope, scopeOf } from '../analysed/query.js';
import { protectedColumns, refuse } from '../columns.js';
import type { Compilation } from '../compilation.js';
import type { ReadBody } from '../execute/bodies.js';
import type { ProtectedPlan } from '../plan.js';
import { child, list, type RawNode } from '../raw/node.js';
import { rewriteFrom } from './from.js';
import { rewriteCondition } from './predicate.js';
import { rewriteTargets } from './targets.js';

/**
 * @param raw a SelectStmt
 * @param query its analysed Query
 * @throws ClarusError 0A000 for what no encoding answers
 */
export function planSelect(raw: RawNode, query: Node, compilation: Compilation): ProtectedPlan {
  const fields = raw.SelectStmt!;
  const scope = scopeOf(query);
  refuseNested(query, scope, compilation);
  const targets = rewriteTargets(
    list(fields, 'targetList'),
    nodesIn(query, 'targetList'),
    scope,
    compilation,
  );
  refuseOrder(query, scope, compilation);
  const jointree = nodeIn(query, 'jointree');
  const where = child(fields, 'whereClause');
  const tree: RawNode = {
    SelectStmt: {
      ...fields,
      targetList: targets.list,
      fromClause: rewriteFrom(
        list(fields, 'fromClause'),
        jointree ? nodesIn(jointree, 'fromlist') : [],
        scope,
        compilation,
      ),
      ...(where ? { whereClause: rewriteCondition(where, jointree?.fields.quals, scope, compilation) } : {}),
    },
  };
  const body: ReadBody = {
    kind: 'read',
    cloud: compilation.finish(tree),
    operands: compilation.operands,
    answering: targets,
    deletes: undefined,
  };
  return { kind: 'protected', command: 'SELECT', shape: compilation.shape, body };
}

/** What cannot be answered by one pushed statement: protected columns below the top query, grouping, sorting ... by them. */
function refuseNested(query: Node, scope: Scope, compilation: Compilation): void {
  const first = protectedTableBelow(query, compilation);
  if (first)
    throw new ClarusError(
      '0A000',
      `protected table "${first}" is used within a subquery, a view or a set operation`,
      { hint: 'Select from the table itself, or join it on a column of one domain.' },
    );
  if (nodeIn(query, 'setOperations'))
    throw new ClarusError('0A000', 'a set operation over protected tables is not answered by the cloud');
  for (const [field, doing] of [
    ['havingQual', 'HAVING'],
    ['limitCount', 'LIMIT'],
    ['limitOffset', 'OFFSET'],
    ['windowClause', 'a window'],
  ] as const) {
    const uses = protectedColumns(query.fields[field], scope, compilation.catalog);
    if (uses.length) throw refuse(doing, uses[0]!);
  }
}

/** Sorting, grouping and DISTINCT refer to target entries, hidden ones included. */
function refuseOrder(query: Node, scope: Scope, compilation: Compilation): void {
  const groups: readonly [string, string][] = [
    ['sortClause', 'ORDER BY'],
    ['groupClause', 'GROUP BY'],
    ['distinctClause', 'DISTINCT'],
  ];
  const targets = nodesIn(query, 'targetList');
  for (const [field, doing] of groups)
    for (const clause of nodesIn(query, field)) {
      const reference = numberIn(clause, 'tleSortGroupRef');
      const tle = targets.find(t => numberIn(t, 'ressortgroupref') === reference);
      const uses = protectedColumns(tle?.fields.expr, scope, compilation.catalog);
      if (uses.length) throw refuse(doing, uses[0]!);
    }
  for (const window of nodesIn(query, 'windowClause'))
    for (const clause of [...nodesIn(window, 'partitionClause'), ...nodesIn(window, 'orderClause')]) {
      const tle = targets.find(t => numberIn(t, 'ressortgroupref') === numberIn(clause, 'tleSortGroupRef'));
      const uses = protectedColumns(tle?.fields.expr, scope, compilation.catalog);
      if (uses.length) throw refuse('a window', uses[0]!);
    }
  // A hidden target that no clause above explains would be sent as it is.
  for (const tle of targets)
    if (flag(tle, 'resjunk') && protectedColumns(tle.fields.expr, scope, compilation.catalog).length)
      throw refuse('a hidden sort column', protectedColumns(tle.fields.expr, scope, compilation.catalog)[0]!);
}

/** Name of a protected table in a query below the top one. */
export function protectedTableBelow(query: Node, compilation: Compilation): string | undefined {
  let found: string | undefined;
  const see = (value: unknown, below: boolean): void => {
    if (found || value === null || typeof value !== 'object') return;
    if (Array.isArray(value)) {
      for (const item of value) see(item, below);
      return;
    }
    if (!('kind' in value)) return;
    const node = value as Node;
    if (below && (node.kind === 'RANGETBLENTRY' || node.kind === 'RTE')) {
      const table = compilation.catalog.tables.get(numberIn(node, 'relid'));
      if (table?.state === 'protected') found = `${table.schema}.${table.name}`;
    }
    for (const field of Object.values(node.fields)) see(field, below || node.kind === 'QUERY');
  };
  for (const field of Object.values(query.fields)) see(field, false);
  return found;
}
