/**
 * What the analysed trees say about relations and columns. Numbers are those of PostgreSQL's nodes
 * (src/include/nodes/parsenodes.h), stable over versions 14 to 18.
 */
import { flag, isNode, type Node, nodeIn, nodesIn, numberIn, type Value, walk } from './node.js';

/** RTEKind: what a range table entry is. `group` is of PostgreSQL 18. */
export const RTE = {
  relation: 0,
  subquery: 1,
  join: 2,
  function: 3,
  tableFunction: 4,
  values: 5,
  cte: 6,
  group: 9,
} as const;
/** CmdType: a query's `commandType`. */
export const COMMAND = { select: 1, update: 2, insert: 3, delete: 4, merge: 5, utility: 6 } as const;

/** A query with the queries around it: what a Var's `varlevelsup` counts. */
export interface Scope {
  readonly query: Node;
  readonly rtable: readonly Node[];
  readonly outer: Scope | undefined;
}

/** @param outer the scope of the query around it, undefined for the top one */
export const scopeOf = (query: Node, outer?: Scope): Scope => ({
  query,
  rtable: nodesIn(query, 'rtable'),
  outer,
});

/** A base column that an expression reads. `attnum` 0 is the whole row, below 0 a system column. */
export interface BaseColumn {
  readonly scope: Scope;
  /** 1-based index in the scope's range table */
  readonly varno: number;
  readonly relid: number;
  readonly attnum: number;
}

/** The range table entry with a 1-based index. */
export function entry(scope: Scope, varno: number): Node {
  const rte = scope.rtable[varno - 1];
  if (!rte) throw new Error(`no range table entry ${varno}`);
  return rte;
}

/** Scope `levels` outwards. */
function outwards(scope: Scope, levels: number): Scope {
  let at: Scope | undefined = scope;
  for (let i = 0; i < levels; i++) at = at?.outer;
  if (!at) throw new Error('a variable refers to a query that is not there');
  return at;
}

/**
 * What a Var stands for: a base column, or an expression of its own (a merged join column, a grouped
 * expression), or a column of a subquery, function or VALUES list.
 */
export type Meaning =
  | { readonly kind: 'base'; readonly column: BaseColumn }
  | { readonly kind: 'expression'; readonly value: Value; readonly scope: Scope }
  | { readonly kind: 'derived'; readonly rte: Node; readonly scope: Scope; readonly attnum: number };

/**
 * Follows a Var one step, to the range table entry that it names.
 * @param variable a node of kind VAR
 * @param from the scope in which it stands
 * @throws Error when it names a query or an entry that is not there
 */
export function meaningOf(variable: Node, from: Scope): Meaning {
  const scope = outwards(from, numberIn(variable, 'varlevelsup'));
  const varno = numberIn(variable, 'varno');
  const attnum = numberIn(variable, 'varattno');
  const rte = entry(scope, varno);
  switch (numberIn(rte, 'rtekind')) {
    case RTE.relation:
      return { kind: 'base', column: { scope, varno, relid: numberIn(rte, 'relid'), attnum } };
    case RTE.join:
      if (attnum > 0)
        return { kind: 'expression', value: nodesIn(rte, 'joinaliasvars')[attnum - 1] ?? null, scope };
      break;
    case RTE.group:
      if (attnum > 0)
        return { kind: 'expression', value: nodesIn(rte, 'groupexprs')[attnum - 1] ?? null, scope };
      break;
  }
  return { kind: 'derived', rte, scope, attnum };
}

/** The call that gives a column of an entry of functions; undefined: the entry is none of functions, or has no such column. */
export function callOf(rte: Node, attnum: number): Node | undefined {
  if (numberIn(rte, 'rtekind') !== RTE.function) return undefined;
  let before = 0;
  for (const { fields } of nodesIn(rte, 'functions')) {
    const last = before + Number(fields.funccolcount);
    if (attnum > before && attnum <= last) return isNode(fields.funcexpr) ? fields.funcexpr : undefined;
    before = last;
  }
  return undefined;
}

/**
 * The base columns that an expression may read, through joins, grouping, subqueries and CTEs. Subqueries in the
 * expression are followed whole.
 */
export function columnsRead(
  value: Value | undefined,
  scope: Scope,
  seen: Set<Node> = new Set(),
): BaseColumn[] {
  const found: BaseColumn[] = [];
  walk(value, node => {
    if (node.kind === 'VAR') {
      const meaning = meaningOf(node, scope);
      if (meaning.kind === 'base') found.push(meaning.column);
      else if (meaning.kind === 'expression') found.push(...columnsRead(meaning.value, meaning.scope, seen));
      else found.push(...derivedColumns(meaning.rte, meaning.scope, meaning.attnum, seen));
      return false;
    }
    if (node.kind === 'QUERY') {
      found.push(...columnsOfQuery(node, scope, seen));
      return false;
    }
    if (node.kind === 'WINDOWFUNC') found.push(...columnsOfWindow(node, scope, seen));
    return true;
  });
  return found;
}

/** What a window function depends on beside its arguments: how its window is parted and ordered. */
function columnsOfWindow(call: Node, scope: Scope, seen: Set<Node>): BaseColumn[] {
  const window = nodesIn(scope.query, 'windowClause').find(
    clause => numberIn(clause, 'winref') === numberIn(call, 'winref'),
  );
  if (!window) return [];
  const targets = nodesIn(scope.query, 'targetList');
  return ['partitionClause', 'orderClause']
    .flatMap(field => nodesIn(window, field))
    .map(clause => targets.find(t => numberIn(t, 'ressortgroupref') === numberIn(clause, 'tleSortGroupRef')))
    .filter(target => target !== undefined && !seen.has(target))
    .flatMap(target => columnsRead(target!.fields.expr, scope, new Set(seen).add(target!)));
}

/** All base columns that a query reads anywhere. */
export function columnsOfQuery(
  query: Node,
  outer: Scope | undefined,
  seen: Set<Node> = new Set(),
): BaseColumn[] {
  const scope = scopeOf(query, outer);
  const found: BaseColumn[] = [];
  for (const [field, value] of Object.entries(query.fields)) {
    if (field === 'rtable') {
      for (const rte of scope.rtable) {
        // Vars that use a join's merged or a grouped column lead to its expression when they are met.
        for (const inner of ['subquery', 'functions', 'values_lists', 'tablefunc', 'tablesample'])
          found.push(...columnsRead(rte.fields[inner], scope, seen));
      }
    } else found.push(...columnsRead(value, scope, seen));
  }
  return found;
}

function derivedColumns(rte: Node, scope: Scope, attnum: number, seen: Set<Node>): BaseColumn[] {
  if (seen.has(rte)) return [];
  const next = new Set(seen).add(rte);
  const inner = numberIn(rte, 'rtekind') === RTE.subquery ? nodeIn(rte, 'subquery') : undefined;
  if (inner) return outputColumns(inner, scope, attnum, next);
  if (numberIn(rte, 'rtekind') === RTE.cte) {
    const found = cteOf(rte, scope);
    if (!found) return [];
    // the query of a recursive one reads its own columns
    return flag(found.cte, 'cterecursive')
      ? columnsOfQuery(found.query, found.scope, next)
      : outputColumns(found.query, found.scope, attnum, next);
  }
  if (numberIn(rte, 'rtekind') === RTE.values && attnum > 0) {
    const lists = (rte.fields.values_lists ?? []) as readonly (readonly Value[])[];
    return lists.flatMap(values => columnsRead(values[attnum - 1], scope, next));
  }
  return ['functions', 'values_lists', 'tablefunc'].flatMap(f => columnsRead(rte.fields[f], scope, next));
}

/**
 * The base columns that a column of a query's answer may depend on.
 * @param outer the scope of the query around it
 * @param attnum 0: any of its columns
 */
function outputColumns(query: Node, outer: Scope | undefined, attnum: number, seen: Set<Node>): BaseColumn[] {
  const scope = scopeOf(query, outer);
  const isWrite = numberIn(query, 'commandType') !== COMMAND.select;
  const targets = nodesIn(query, isWrite ? 'returningList' : 'targetList');
  // A set operation's own targets refer to its first arm; the column of each arm counts.
  if (nodeIn(query, 'setOperations'))
    return scope.rtable.flatMap(arm => derivedColumns(arm, scope, attnum, seen));
  const wanted = attnum > 0 ? targets.filter(t => numberIn(t, 'resno') === attnum) : targets;
  return wanted.flatMap(t => columnsRead(t.fields.expr, scope, seen));
}

function cteOf(
  rte: Node,
  scope: Scope,
): { readonly cte: Node; readonly query: Node; readonly scope: Scope } | undefined {
  const name = rte.fields.ctename;
  let at: Scope | undefined = scope;
  for (let i = Math.max(0, numberIn(rte, 'ctelevelsup')); i > 0; i--) at = at?.outer;
  const cte = at && nodesIn(at.query, 'cteList').find(c => c.fields.ctename === name);
  const query = cte && nodeIn(cte, 'ctequery');
  return query ? { cte, query, scope: at! } : undefined;
}

/** Every relation that appears in a tree, target relations included: shadow OIDs. */
export function relationsIn(trees: readonly Node[]): Set<number> {
  const found = new Set<number>();
  for (const tree of trees)
    walk(tree, node => {
      if (node.kind === 'RANGETBLENTRY' || node.kind === 'RTE') {
        const relid = numberIn(node, 'relid');
        if (relid > 0) found.add(relid);
      }
      return true;
    });
  return found;
}

/** Every function that a tree calls, operators' functions included: OIDs. */
export function functionsIn(trees: readonly Node[]): Set<number> {
  const found = new Set<number>();
  for (const tree of trees)
    walk(tree, node => {
      for (const field of ['funcid', 'opfuncid', 'aggfnoid', 'winfnoid', 'hashfuncid', 'negfuncid']) {
        const oid = numberIn(node, field);
        if (oid > 0) found.add(oid);
      }
      return true;
    });
  return found;
}

/** OID of pg_typeof (pg_proc.dat). */
const pgTypeof = 1619;

/** Could statements tell of which type a row is? A row of a subquery or WITH query is a record, that of a relation is not. */
export function tellsRowTypes(trees: readonly Node[]): boolean {
  if (!functionsIn(trees).has(pgTypeof)) return false;
  let found = false;
  for (const tree of trees)
    walk(tree, node => {
      found ||= node.kind === 'VAR' && numberIn(node, 'varattno') === 0;
      return !found;
    });
  return found;
}

/** True where a tree holds a query below the top one. */
export function hasSubqueries(query: Node): boolean {
  let found = false;
  for (const value of Object.values(query.fields))
    walk(value, node => {
      if (node.kind === 'QUERY') found = true;
      return !found;
    });
  return found || flag(query, 'hasSubLinks');
}

/** Skips what does not change a value: relabelling of a binary-compatible type. */
export function withoutRelabel(value: Value | undefined): Value | undefined {
  let at = value;
  while (isNode(at) && at.kind === 'RELABELTYPE') at = at.fields.arg;
  return at;
}

/** EXISTS, of rows, of an expression, ARRAY (SubLinkType, primnodes.h). */
const runOnce: ReadonlySet<number> = new Set([0, 3, 4, 6]);

/** Subqueries that PostgreSQL runs once where they depend on nothing around them, in queries and expressions. */
export function subLinksRunOnce(trees: readonly Node[]): readonly Node[] {
  const found: Node[] = [];
  for (const tree of trees)
    walk(tree, node => {
      if (node.kind === 'SUBLINK' && runOnce.has(numberIn(node, 'subLinkType'))) found.push(node);
      return true;
    });
  return found;
}
