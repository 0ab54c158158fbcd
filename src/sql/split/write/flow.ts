/**
 * What depends on a protected column may be written to protected columns only, and to those that the policy declassifies
 * (DESIGN.md, "Where values may flow").
 */
import type { Catalog, LogicalTable } from '../../../catalog/catalog.js';
import { ClarusError } from '../../../errors.js';
import { isDeclassified } from '../../../policy/effective.js';
import {
  isNode,
  type Node,
  nodeIn,
  nodesIn,
  numberIn,
  readNodes,
  textIn,
  type Value,
  walk,
} from '../../analysed/node.js';
import {
  COMMAND,
  callOf,
  columnsRead,
  functionsIn,
  meaningOf,
  RTE,
  type Scope,
  scopeOf,
} from '../../analysed/query.js';
import { protectedColumns } from '../../columns.js';
import { FIRST_USER_OID } from '../../functions.js';
import type { ProtectedPlan } from '../../plan.js';
import type { Analysis } from '../../ports.js';
import type { Touch } from '../../touch.js';
import { writtenRelation, writtenTable } from '../../write/target.js';

/** A query of a statement that writes a table. */
export interface Write {
  readonly query: Node;
  readonly scope: Scope;
  /** COMMAND */
  readonly command: number;
  readonly table: LogicalTable | undefined;
}

/** The queries of an analysed statement that write, the outermost first. */
export function writesOf(tree: Node, catalog: Catalog): readonly Write[] {
  const found: Write[] = [];
  const search = (query: Node, outer: Scope | undefined): void => {
    const scope = scopeOf(query, outer);
    const command = numberIn(query, 'commandType');
    if (command !== COMMAND.select)
      found.push({ query, scope, command, table: writtenTable(query, catalog) });
    for (const value of Object.values(query.fields))
      walk(value, node => {
        if (node.kind !== 'QUERY') return true;
        search(node, scope);
        return false;
      });
  };
  search(tree, undefined);
  return found;
}

/**
 * What the writes of an analysed statement store in tables that Clarus knows.
 * @param trees after rewriting: views are expanded, and defaults are there
 */
export function storedBy(trees: readonly Node[], catalog: Catalog): NonNullable<ProtectedPlan['stores']> {
  return trees
    .flatMap(tree => writesOf(tree, catalog))
    .flatMap(({ query, command, table }) => {
      if (!table || command === COMMAND.delete) return [];
      const actions = nodesIn(query, 'mergeActionList');
      const conflict = nodeIn(query, 'onConflict');
      const targets = [
        ...nodesIn(query, 'targetList'),
        ...(conflict ? nodesIn(conflict, 'onConflictSet') : []),
        ...actions.flatMap(action => nodesIn(action, 'targetList')),
      ];
      const columns = targets.flatMap(t => textIn(t, 'resname') ?? []);
      return [{ table: table.number, columns: [...new Set(columns)] }];
    });
}

/** paramkind of a column of `SET (a, b) = (SELECT ...)` (PARAM_MULTIEXPR in primnodes.h) */
const ofSeveral = 3;

/** The subqueries that give several columns at once, where a value is one of their columns. */
function severalAssigned(value: Node, query: Node): readonly Node[] {
  let found = false;
  walk(value, node => {
    found ||= node.kind === 'PARAM' && numberIn(node, 'paramkind') === ofSeveral;
    return !found;
  });
  return found ? nodesIn(query, 'targetList').filter(t => t.fields.resjunk === 'true') : [];
}

/** A protected value that comes to an unprotected column. */
interface Flow {
  /** undefined: no table that Clarus knows */
  readonly table: LogicalTable | undefined;
  readonly column: string | undefined;
  /** the column that it comes from; else a function of users returns it, or a variable or a temporary table holds it */
  readonly from: ReturnType<typeof protectedColumns>[number] | 'function' | 'variable' | 'temporary';
}

/**
 * What a function of users returns that reads a protected table counts as protected.
 * @param touch of the whole statement
 */
function flowsOf(writes: readonly Write[], touch: Touch, catalog: Catalog): readonly Flow[] {
  const flows: Flow[] = [];
  for (const { query, scope, command, table } of writes) {
    if (command === COMMAND.delete || touch.temporary.has(writtenRelation(query))) continue;
    const conflict = nodeIn(query, 'onConflict');
    const assigned = [
      ...nodesIn(query, 'targetList'),
      ...(conflict ? nodesIn(conflict, 'onConflictSet') : []),
      ...nodesIn(query, 'mergeActionList').flatMap(action => nodesIn(action, 'targetList')),
    ];
    for (const target of assigned) {
      if (target.fields.resjunk === 'true') continue;
      const column = table?.columns.find(c => c.attnum === numberIn(target, 'resno'));
      if (column?.protection) continue;
      const value = target.fields.expr;
      const to = { table, column: column?.name };
      if (!isNode(value)) continue;
      for (const part of [value, ...severalAssigned(value, query)])
        flows.push(...sourcesOf(part, scope, touch, catalog).map(from => ({ ...to, from })));
    }
  }
  return flows;
}

/** What a value comes from that may not come to the open. */
function sourcesOf(value: Node, scope: Scope, touch: Touch, catalog: Catalog): readonly Flow['from'][] {
  const { secrets } = touch;
  return [
    ...(doRoutinesRead(touch, catalog) && mayBe(value, scope, callsOfUsers) ? ['function' as const] : []),
    ...(secrets.size > 0 && mayBe(value, scope, isAmong(secrets)) ? ['variable' as const] : []),
    ...(isOfTemporary(value, scope, touch) ? ['temporary' as const] : []),
    ...protectedColumns(value, scope, catalog),
  ];
}

/** Temporary tables may hold what came from protected ones. */
const isOfTemporary = (value: Value | undefined, scope: Scope, { temporary }: Touch): boolean =>
  temporary.size > 0 && columnsRead(value, scope).some(({ relid }) => temporary.has(relid));

const doRoutinesRead = ({ routines }: Touch, catalog: Catalog): boolean =>
  [...(routines?.tables ?? [])].some(oid => catalog.tables.get(oid)?.state === 'protected');

const isAllowed = ({ table, column }: Flow, { policy }: Catalog): boolean =>
  table !== undefined && column !== undefined && isDeclassified(policy, table, column);

/** @throws ClarusError 0A000 where a protected value would come to an unprotected column that is not declassified */
export function refuseFlows(writes: readonly Write[], touch: Touch, catalog: Catalog): void {
  const flow = flowsOf(writes, touch, catalog).find(found => !isAllowed(found, catalog));
  if (flow) throw flowRefused(flow);
}

/**
 * The same for a table that is made from a query.
 * @param columns of the new table
 * @param query whose select list they are
 */
export function refuseFlowsInto(
  columns: readonly { readonly name: string; readonly protect: boolean }[],
  query: Node,
  touch: Touch,
  catalog: Catalog,
): void {
  const scope = scopeOf(query);
  for (const target of nodesIn(query, 'targetList')) {
    const column = columns[numberIn(target, 'resno') - 1];
    const value = target.fields.expr;
    if (!column || column.protect || !isNode(value)) continue;
    const to = { table: undefined, column: column.name };
    const [from] = sourcesOf(value, scope, touch, catalog);
    if (from) throw flowRefused({ ...to, from });
  }
}

/** What gives a value that is of no column. */
const holders = {
  function: 'what a function that reads a protected table returns',
  variable: 'what a variable holds that may depend on a protected column',
  temporary: 'what a temporary table holds',
};

function flowRefused({ from, table, column }: Flow): ClarusError {
  const them = typeof from === 'string' ? 'it' : 'them';
  const hint = `Protect the column that takes ${them}, or name it under "declassify" in the policy.`;
  if (typeof from === 'string') {
    return new ClarusError('0A000', `${holders[from]} would flow to "${column}", which is not protected`, {
      hint,
      ...(column === undefined ? {} : { column }),
    });
  }
  return new ClarusError(
    '0A000',
    `values of protected column "${from.column.name}" would flow to "${column}", which is not protected`,
    {
      hint: table ? hint : 'Protect the column that takes them.',
      schema: from.table.schema,
      table: from.table.name,
      column: from.column.name,
    },
  );
}

/** The columns that the policy declassifies and that protected values come to, as `schema.table.column`. */
export function declassifiedBy(
  { parsed, rewritten }: Analysis,
  touch: Touch,
  catalog: Catalog,
): readonly string[] {
  if (catalog.policy.declassify.length === 0) return [];
  const flows = [...parsed, ...rewritten]
    .flatMap(readNodes)
    .flatMap(tree => flowsOf(writesOf(tree, catalog), touch, catalog));
  const named = flows.flatMap(({ table, column }) =>
    table && column !== undefined ? [`${table.schema}.${table.name}.${column}`] : [],
  );
  return [...new Set(named)];
}

/** Does a node by itself stand for a value that may not flow? */
type Source = (node: Node) => boolean;

const callsOfUsers: Source = node =>
  node.kind === 'QUERY' || [...functionsIn([node])].some(oid => oid >= FIRST_USER_OID);

const isAmong =
  (secrets: ReadonlySet<number>): Source =>
  node =>
    node.kind === 'PARAM' && numberIn(node, 'paramkind') === 0 && secrets.has(numberIn(node, 'paramid'));

/** May a value be one of a source, or be made of it? */
function mayBe(value: Value | undefined, scope: Scope, source: Source): boolean {
  let may = false;
  walk(value, node => {
    may ||= source(node) || (node.kind === 'VAR' && mayStandFor(node, scope, source));
    if (may || node.kind !== 'QUERY') return !may;
    const inner = scopeOf(node, scope);
    may = Object.values(node.fields).some(field => mayBe(field, inner, source));
    return false;
  });
  return may;
}

/** May a Var stand for one? Subqueries in FROM are followed. */
function mayStandFor(variable: Node, from: Scope, source: Source): boolean {
  const meaning = meaningOf(variable, from);
  if (meaning.kind === 'base') return false;
  if (meaning.kind === 'expression') return mayBe(meaning.value, meaning.scope, source);
  const { rte, scope, attnum } = meaning;
  if (numberIn(rte, 'rtekind') === RTE.values && attnum > 0) {
    const lists = (rte.fields.values_lists ?? []) as readonly (readonly Value[])[];
    return lists.some(values => mayBe(values[attnum - 1], scope, source));
  }
  const call = callOf(rte, attnum);
  if (call) return mayBe(call, scope, source);
  const inner = numberIn(rte, 'rtekind') === RTE.subquery ? nodeIn(rte, 'subquery') : undefined;
  if (!inner || nodeIn(inner, 'setOperations')) return true;
  const target = nodesIn(inner, 'targetList').find(entry => numberIn(entry, 'resno') === attnum);
  return !target || mayBe(target.fields.expr, scopeOf(inner, scope), source);
}

/**
 * A volatile function sees what the statement that calls it has written so far; what is collected on the trusted side
 * it does not see.
 * @throws ClarusError 0A000
 */
export function refuseLateSight(writes: readonly Write[], { routines }: Touch): void {
  if (!routines?.volatile) return;
  const seen = writes.find(({ table }) => table && routines.tables.has(table.oid))?.table;
  if (seen)
    throw new ClarusError(
      '0A000',
      `the statement writes the table "${seen.name}", and calls a volatile function that reads it`,
      { hint: 'Declare the function STABLE if it may see the table as it was before the statement.' },
    );
}
