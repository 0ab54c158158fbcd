/**
 * INSERT with ON CONFLICT into a table with BEFORE INSERT triggers of rows: they are fired for each row that is proposed, then
 * constraints are looked at, then conflicts (ExecInsert of nodeModifyTable.c).
 */
import type { LogicalColumn } from '../../catalog/catalog.js';
import { arrayOids } from '../../wire/types.js';
import { type Node, readNodes } from '../analysed/node.js';
import type { GivenRows } from '../execute/bodies.js';
import type { ProtectedPlan } from '../plan.js';
import { deparse } from '../raw/deparse.js';
import type { RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { SplitPlanning } from '../split/plan.js';
import { castNames } from '../split/typed-source.js';
import { planComputedInsert } from '../split/write/computed-insert.js';
import { planGivenRows } from '../split/write/given-rows.js';
import { touchOf } from '../touch.js';

/** Name of the rows that triggers have made. */
const proposed = 'clarus_proposed';

/** The columns of rows that are given, in the order of their values. */
export const columnsGiven = ({ columns, counters }: GivenRows): readonly LogicalColumn[] => [
  ...columns,
  ...counters.map(({ column }) => column),
];

/**
 * Plans an INSERT in two steps: what it gives, before triggers have made of it what is proposed; and the same INSERT of these
 * rows, which come to it as further parameters, an array a column.
 * @param raw an InsertStmt without RETURNING
 * @param query its analysed Query
 * @returns the plan of the second one
 * @throws as planGivenRows and planComputedInsert
 */
export async function planProposed(
  raw: RawNode,
  query: Node,
  table: GivenRows['table'],
  planning: SplitPlanning,
): Promise<{ readonly proposes: GivenRows; readonly planned: ProtectedPlan }> {
  const { analysis, session, homes } = planning;
  const proposes = await planGivenRows(raw, query, table, planning, undefined, false);
  const columns = columnsGiven(proposes);
  const casts = await castNames(columns, session);
  const { parameterTypes } = analysis.shape;
  const arrays = columns.map(
    (_, i) => `pg_catalog.unnest($${parameterTypes.length + i + 1}::pg_catalog.text[])`,
  );
  const values = columns.map((_, i) => `${proposed}.c${i}::${casts[i]}`);
  const names = columns.map((_, i) => `c${i}`);
  const source = parseOne(
    `SELECT ${values.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) WITH ORDINALITY AS ${proposed} (${names.join(', ')}, nth) ORDER BY ${proposed}.nth`,
  );
  const insert: RawNode = {
    InsertStmt: {
      ...raw.InsertStmt!,
      cols: columns.map(({ name }) => ({ ResTarget: { name } })),
      selectStmt: source,
      override: 'OVERRIDING_SYSTEM_VALUE',
    },
  };
  const types = [...parameterTypes, ...columns.map(() => arrayOids.text)];
  const inner = await session.analyse(deparse(insert), types);
  const [tree] = inner.parsed.flatMap(readNodes);
  const touch = await touchOf(inner, session, homes);
  const own = { ...planning, analysis: inner, touch };
  return { proposes, planned: await planComputedInsert(insert, tree!, table, own, undefined, table.columns) };
}
