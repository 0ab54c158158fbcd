/**
 * The order in which the writes of one statement may be run one after the other. PostgreSQL runs all parts of a statement
 * on one snapshot, and looks at foreign keys when all have ended: so what a part reads must not have been written before
 * it by another one, nor what a foreign key does because of that (ExecPostprocessPlan in execMain.c).
 */
import type { Catalog, LogicalTable } from '../../../catalog/catalog.js';
import { acts } from '../../../catalog/foreign-keys.js';
import { heirsOf, treeOf } from '../../../catalog/trees.js';
import { type Node, nodeIn, nodesIn, numberIn, textIn, walk } from '../../analysed/node.js';
import { COMMAND, entry, RTE, scopeOf } from '../../analysed/query.js';
import { writtenTable } from '../../write/target.js';

/** OIDs of tables. */
type Tables = ReadonlySet<number>;

/** A query of a statement: one in WITH, or the main one, whose place is behind theirs. */
export interface Part {
  /** places of the queries in WITH that it needs, and that these need */
  readonly needs: ReadonlySet<number>;
  /** it writes, or it is the main query */
  readonly isRun: boolean;
  /** COMMAND */
  readonly command: number;
  /** what it reads, with the queries in WITH that are run within it */
  readonly reads: Tables;
  readonly writes: Tables;
  /** what ON CONFLICT DO UPDATE may find: rows that have not come by the same statement */
  readonly upserts: Tables;
  /** where ON CONFLICT looks for rows */
  readonly arbited: Tables;
  /** what foreign keys do when it is over */
  readonly late: Tables;
}

/** How the parts of a statement are run. */
export interface Turns {
  /** places of those that are run */
  readonly order: readonly number[];
  /** all are computed before any is written */
  readonly together: boolean;
}

const none: Tables = new Set();

/**
 * The parts of a statement, in the order of WITH.
 * @param query as it was analysed
 * @param expanded the same with views expanded
 */
export function partsOf(query: Node, expanded: Node, catalog: Catalog): readonly Part[] {
  const names = nodesIn(query, 'cteList').map(cte => textIn(cte, 'ctename'));
  const said = [...queriesInWith(query), withoutCtes(query)];
  const meant = [...queriesInWith(expanded), withoutCtes(expanded)];
  const needs = said.map(part => namedIn(part, names));
  const isRun = said.map((part, i) => i === names.length || numberIn(part, 'commandType') !== COMMAND.select);
  const own = meant.map(part => readBy(part, catalog));
  return said.map((part, i) => {
    const all = closed(i, needs);
    const within = [...closed(i, needs, k => !isRun[k])];
    const table = writtenTable(part, catalog);
    const command = numberIn(part, 'commandType');
    const conflict = nodeIn(part, 'onConflict');
    const updates = conflict !== undefined && nodesIn(conflict, 'onConflictSet').length > 0;
    const writes = table ? oids(familyOf(table, catalog)) : none;
    return {
      needs: all,
      isRun: isRun[i]!,
      command,
      reads: new Set([i, ...within].flatMap(k => [...own[k]!])),
      writes,
      upserts: updates ? writes : none,
      arbited: conflict ? writes : none,
      late: table ? actedOn(part, table, catalog) : none,
    };
  });
}

/**
 * The ways in which the parts of a statement can be run, the best first. Together none may ask whether a row conflicts
 * with what another one writes; one after the other each has in READ COMMITTED a snapshot of its own.
 */
export function turnsOf(parts: readonly Part[]): readonly Turns[] {
  const run = parts.flatMap(({ isRun }, i) => (isRun ? [i] : []));
  const needs = edges(run, (i, k) => parts[i]!.needs.has(k));
  const before = edges(run, (i, k) => needs.get(i)!.has(k) || mustPrecede(parts[k]!, parts[i]!));
  const likely = orderOfPostgres(parts);
  const isBeforeThere = (i: number, k: number): boolean =>
    likely.indexOf(k) < likely.indexOf(i) &&
    meet(parts[i]!.writes, parts[k]!.writes) &&
    !needs.get(k)!.has(i);
  const preferred = edges(run, isBeforeThere);
  const apart = sorted(run, before, preferred);
  const isConflicting = run.some(i => run.some(k => i !== k && meetInKeys(parts[i]!, parts[k]!)));
  const together = isConflicting ? undefined : (sorted(run, needs, preferred) ?? sorted(run, needs));
  const readers = run.filter(i => parts[i]!.reads.size > 0).length;
  // what a foreign key does is looked up among rows that stand
  const isActing = run.some(i => run.some(k => i !== k && meet(parts[i]!.writes, parts[k]!.late)));
  const ways = [apart && { order: apart, together: false }, together && { order: together, together: true }];
  if (readers > 1 && !isActing) ways.reverse();
  // in an order that PostgreSQL would not take, but where none sees another's rows
  const other = apart || (isConflicting && readers > 1) ? undefined : sorted(run, before);
  return [...ways, other && { order: other, together: false }].filter(way => way !== undefined);
}

/** Does a part ask whether rows conflict with some that another one writes? */
const meetInKeys = ({ arbited }: Part, { writes, late }: Part): boolean =>
  meet(arbited, writes) || meet(arbited, late);

/** What comes before what, by place. */
type Edges = ReadonlyMap<number, ReadonlySet<number>>;

const edges = (run: readonly number[], isBefore: (place: number, other: number) => boolean): Edges =>
  new Map(run.map(i => [i, new Set(run.filter(k => k !== i && isBefore(i, k)))]));

/** Would a part see, if it were run after another one, what it must not? */
function mustPrecede(part: Part, other: Part): boolean {
  return (
    meet(part.reads, other.writes) ||
    meet(part.reads, other.late) ||
    meet(part.writes, other.late) ||
    (other.command !== COMMAND.delete && meet(part.upserts, other.writes))
  );
}

/**
 * The main query comes first, with what it reads; what is left of WITH then, the last one first (ExecInitModifyTable of
 * nodeModifyTable.c). Which of them comes first matters where they meet in keys.
 */
function orderOfPostgres(parts: readonly Part[]): readonly number[] {
  const main = parts.length - 1;
  const run = parts.flatMap(({ isRun }, i) => (isRun && i !== main ? [i] : []));
  const read = run.filter(i => parts[main]!.needs.has(i));
  return [...read, main, ...run.filter(i => !read.includes(i)).reverse()];
}

function sorted(run: readonly number[], ...before: readonly Edges[]): readonly number[] | undefined {
  const order: number[] = [];
  const isReady = (i: number): boolean =>
    before.every(edges => [...edges.get(i)!].every(k => order.includes(k)));
  while (order.length < run.length) {
    const next = run.find(i => !order.includes(i) && isReady(i));
    if (next === undefined) return undefined;
    order.push(next);
  }
  return order;
}

const meet = (some: Tables, others: Tables): boolean => [...some].some(oid => others.has(oid));

/** What a part needs, and what that needs. @param which of them are gone through */
function closed(
  from: number,
  needs: readonly ReadonlySet<number>[],
  which: (place: number) => boolean = () => true,
): ReadonlySet<number> {
  const found = new Set<number>();
  const visit = (i: number): void => {
    for (const k of needs[i]!)
      if (k !== from && !found.has(k) && which(k)) {
        found.add(k);
        visit(k);
      }
  };
  visit(from);
  return found;
}

/** Places of the queries in WITH that a query names; one of its own WITH may have the name too. */
function namedIn(query: Node, names: readonly (string | undefined)[]): ReadonlySet<number> {
  const found = new Set<number>();
  walk(query, node => {
    const isCte =
      (node.kind === 'RANGETBLENTRY' || node.kind === 'RTE') && numberIn(node, 'rtekind') === RTE.cte;
    const place = isCte ? names.indexOf(textIn(node, 'ctename')) : -1;
    if (place >= 0) found.add(place);
    return true;
  });
  return found;
}

/** All that a query reads; the target of an INSERT is not read, nor are rows that are given as EXCLUDED. */
function readBy(query: Node, catalog: Catalog): Tables {
  const scope = scopeOf(query);
  const conflict = nodeIn(query, 'onConflict');
  const isInsert = numberIn(query, 'commandType') === COMMAND.insert;
  const target = isInsert ? entry(scope, numberIn(query, 'resultRelation')) : undefined;
  const excluded = conflict ? scope.rtable[numberIn(conflict, 'exclRelIndex') - 1] : undefined;
  const found = new Set<number>();
  walk(query, node => {
    const isRead = node !== target && node !== excluded;
    if ((node.kind === 'RANGETBLENTRY' || node.kind === 'RTE') && isRead) {
      const table = catalog.tables.get(numberIn(node, 'relid'));
      if (table) for (const { oid } of familyOf(table, catalog)) found.add(oid);
    }
    return true;
  });
  return found;
}

/** A table with all whose rows are also its own, whether or not ONLY is said. */
const familyOf = (table: LogicalTable, catalog: Catalog): readonly LogicalTable[] => [
  table,
  ...heirsOf(catalog, table),
];

const oids = (tables: readonly LogicalTable[]): Tables => new Set(tables.map(({ oid }) => oid));

/** Tables that foreign keys change because of what a query does. */
function actedOn(query: Node, table: LogicalTable, catalog: Catalog): Tables {
  const command = numberIn(query, 'commandType');
  const conflict = nodeIn(query, 'onConflict');
  const isDelete = command === COMMAND.delete || command === COMMAND.merge;
  const targets = [
    ...(command === COMMAND.update ? nodesIn(query, 'targetList') : []),
    ...(conflict ? nodesIn(conflict, 'onConflictSet') : []),
    ...nodesIn(query, 'mergeActionList').flatMap(action => nodesIn(action, 'targetList')),
  ];
  const updated = new Set(targets.map(target => textIn(target, 'resname')));
  const found = new Set<LogicalTable>();
  const visit = (of: LogicalTable, own: boolean): void => {
    for (const parent of treeOf(catalog, of))
      for (const child of catalog.tables.values())
        for (const { references, actions } of child.keys) {
          if (references?.table !== parent.number || !actions) continue;
          const isKey = parent.columns.some(
            ({ number, name }) => references.columns.includes(number) && updated.has(name),
          );
          const isActing = (acts(actions.onDelete) && isDelete) || (acts(actions.onUpdate) && isKey);
          if ((own && !isActing) || found.has(child)) continue;
          for (const one of familyOf(child, catalog)) found.add(one);
          visit(child, false);
        }
  };
  visit(table, true);
  return oids([...found]);
}

const queriesInWith = (query: Node): readonly Node[] =>
  nodesIn(query, 'cteList').map(cte => cte.fields.ctequery as Node);

/** A query without its WITH. */
export const withoutCtes = (query: Node): Node => {
  const { cteList: _ctes, ...fields } = query.fields;
  return { ...query, fields };
};
