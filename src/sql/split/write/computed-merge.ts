/** MERGE: one query joins its source with the table, and says for each row which of the actions is taken. */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { quoteName } from '../../../catalog/quote.js';
import { hasHeirs } from '../../../catalog/trees.js';
import { type Node, nodesIn } from '../../analysed/node.js';
import type { ComputedAction } from '../../execute/bodies.js';
import { assignment } from '../../execute/convert.js';
import type { ProtectedPlan } from '../../plan.js';
import { deparseExpression } from '../../raw/deparse.js';
import { child, fieldsOf, list, type RawFields, type RawNode, text } from '../../raw/node.js';
import type { SplitPlanning } from '../plan.js';
import { castNames } from '../typed-source.js';
import {
  assignments,
  computedPlan,
  deparseWith,
  fromItem,
  nameOf,
  prefix,
  tableOf,
} from './computed-plan.js';
import { aliasOfTarget, type Filling, fillingsOf, writesInWith } from './given-rows.js';

/** What one WHEN clause does, and the values that it does it with. */
interface Clause {
  readonly matched: boolean;
  readonly condition: string | undefined;
  /** undefined: DO NOTHING */
  readonly action: Omit<ComputedAction, 'from'> | undefined;
  readonly values: readonly string[];
}

/**
 * @param raw a MergeStmt
 * @param query its analysed Query
 * @param noted all columns where the rows that stand are noted before they are changed
 * @throws cause for WHEN NOT MATCHED BY SOURCE, RETURNING and OVERRIDING
 */
export async function planComputedMerge(
  raw: RawNode,
  query: Node,
  table: LogicalTable,
  planning: SplitPlanning,
  noted: readonly LogicalColumn[] = [],
): Promise<ProtectedPlan> {
  const { analysis, cause, session } = planning;
  const fields = raw.MergeStmt!;
  if (writesInWith(query) || nodesIn(query, 'returningList').length > 0) throw cause;
  const clauses: Clause[] = [];
  for (const clause of list(fields, 'mergeWhenClauses'))
    clauses.push(await clauseOf(fieldsOf(clause), table, planning));
  const target = quoteName(aliasOfTarget(fields, table));

  const actions: ComputedAction[] = [];
  const values: string[] = [];
  const numbers = clauses.map(({ action, values: own }) => {
    if (!action) return 'NULL::pg_catalog.int4';
    const number = actions.length;
    actions.push({ ...action, from: prefix + values.length });
    values.push(...own.map(sql => `CASE WHEN clarus_rows.clarus_action = ${number} THEN ${sql} END`));
    return String(number);
  });
  const chosen = (matched: boolean): string => {
    const found = clauses.flatMap((clause, i) =>
      clause.matched === matched ? [` WHEN ${clause.condition ?? 'true'} THEN ${numbers[i]}`] : [],
    );
    return found.length > 0 ? `CASE${found.join('')} END` : 'NULL';
  };
  const old = prefix + values.length;
  values.push(...noted.map(({ name }) => `${target}.${quoteName(name)}`));
  const source = fromItem(child(fields, 'sourceRelation')!);
  const on = deparseExpression(child(fields, 'joinCondition')!);
  const own = deparseWith(fields, []);
  return computedPlan(
    `${own}SELECT clarus_rows.clarus_action, ${target}.ctid, NULL::pg_catalog.int8, ${tableOf(target, session.catalog(), table)}${values.map(value => `, ${value}`).join('')}
       FROM ${source} LEFT JOIN ${nameOf(table)} AS ${target} ON ${on}
         CROSS JOIN LATERAL (SELECT CASE WHEN ${target}.ctid IS NOT NULL THEN ${chosen(true)} ELSE ${chosen(false)} END::pg_catalog.int4 AS clarus_action OFFSET 0) AS clarus_rows`,
    analysis.shape.parameterTypes,
    {
      command: 'MERGE',
      planning,
      writes: {
        names: [`${table.schema}.${table.name}`],
        // a row that goes to another partition is written there whole
        returns: hasHeirs(session.catalog(), table) || table.bounds !== undefined,
        arbiters: [],
        locks: [],
        first: [],
        computed: {
          table,
          given: undefined,
          keys: [],
          actions: noted.length > 0 ? actions.map(action => ({ ...action, old })) : actions,
          width: prefix + values.length,
          once: 'MERGE',
        },
      },
    },
  );
}

async function clauseOf(clause: RawFields, table: LogicalTable, planning: SplitPlanning): Promise<Clause> {
  const { cause } = planning;
  const condition = child(clause, 'condition');
  if (clause.matchKind === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE') throw cause;
  if (clause.override !== undefined && clause.override !== 'OVERRIDING_NOT_SET') throw cause;
  const common = {
    matched: clause.matchKind === 'MERGE_WHEN_MATCHED',
    condition: condition && deparseExpression(condition),
  };
  switch (clause.commandType) {
    case 'CMD_NOTHING':
      return { ...common, action: undefined, values: [] };
    case 'CMD_DELETE':
      return { ...common, action: { kind: 'delete', columns: [], counters: [] }, values: [] };
    case 'CMD_UPDATE': {
      const set = await assignments(list(clause, 'targetList'), table, planning);
      const columns = set.map(({ column }) => column.name);
      return {
        ...common,
        action: { kind: 'update', columns, counters: [] },
        values: set.map(({ sql }) => sql),
      };
    }
    case 'CMD_INSERT':
      return { ...common, ...(await inserted(clause, table, planning)) };
  }
  throw cause;
}

async function inserted(
  clause: RawFields,
  table: LogicalTable,
  planning: SplitPlanning,
): Promise<Pick<Clause, 'action' | 'values'>> {
  const { cause, session } = planning;
  const values = list(clause, 'values');
  const targets = list(clause, 'targetList').map(fieldsOf);
  if (targets.some(target => list(target, 'indirection').length > 0)) throw cause;
  const names =
    targets.length > 0
      ? targets.map(target => text(target, 'name'))
      : table.columns.slice(0, values.length).map(c => c.name);
  const isGiven = (column: LogicalColumn): boolean =>
    names.includes(column.name) && values[names.indexOf(column.name)]?.SetToDefault === undefined;
  const fillings = [...(await fillingsOf(table, isGiven, planning))];
  const counters = fillings.flatMap(([column, filling]) =>
    filling.kind === 'counter' ? [{ column, sequence: filling.sequence }] : [],
  );
  const others = fillings.filter(([, { kind }]) => kind !== 'counter');
  const casts = await castNames(
    others.map(([column]) => column),
    session,
  );
  const sqlOf = (column: LogicalColumn, filling: Filling): string =>
    filling.kind === 'expression' ? filling.sql : deparseExpression(values[names.indexOf(column.name)]!);
  return {
    action: {
      kind: 'insert',
      columns: [...others.map(([{ name }]) => name), ...counters.map(({ column }) => column.name)],
      counters,
    },
    values: others.map(([column, filling], i) =>
      assignment(`(${sqlOf(column, filling)})::${casts[i]}`, column.type),
    ),
  };
}
