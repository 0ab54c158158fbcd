/** RETURNING of a table with triggers: over the rows that were written, as triggers have made them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { arrayOids } from '../../wire/types.js';
import { type Node, nodesIn, numberIn, walk } from '../analysed/node.js';
import type { SplitBody } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import { HeldRows } from '../execute/held-rows.js';
import type { Bound } from '../execute/portal.js';
import type { ClientPort, ResidualPort } from '../ports.js';
import { deparseExpression } from '../raw/deparse.js';
import { child, fieldsOf, type RawFields } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { SplitServices } from '../split/cloud-rows.js';
import { columnTypes } from '../split/delivery.js';
import { fetching } from '../split/fetching.js';
import { type SplitPlanning, splitBody } from '../split/plan.js';
import { bindSplit } from '../split/portal.js';
import { orCause } from '../split/write/computed-plan.js';
import { withColumns } from '../split/write/computed-writes.js';
import { touchOf } from '../touch.js';
import { returningList } from '../write/returning.js';

/**
 * @param fields of the statement
 * @param query its analysed Query
 * @param alias what the statement calls the table
 * @returns undefined: it has no RETURNING
 * @throws cause for what is not of the table's own columns, and for what reads tables
 */
export async function planReturning(
  fields: RawFields,
  query: Node,
  table: LogicalTable,
  alias: string,
  planning: SplitPlanning,
): Promise<SplitBody | undefined> {
  const targets = returningList(fields);
  if (targets.length === 0) return undefined;
  const { analysis, cause, homes, session } = planning;
  for (const target of nodesIn(query, 'returningList'))
    walk(target, node => {
      if (node.kind === 'VAR' && numberIn(node, 'varreturningtype') > 0) throw cause;
      return true;
    });
  const { parameterTypes } = analysis.shape;
  const types = await columnTypes(table, session);
  const { columns } = table;
  const typed = columns.map(({ name }, i) => `u.c${i}::${types.get(name)} AS ${quoteName(name)}`);
  const arrays = columns.map(
    (_, i) => `pg_catalog.unnest($${parameterTypes.length + i + 1}::pg_catalog.text[])`,
  );
  const list = targets.map(target => {
    const { name } = fieldsOf(target) as { name?: string };
    return deparseExpression(child(fieldsOf(target), 'val')!) + (name ? ` AS ${quoteName(name)}` : '');
  });
  const sql = `SELECT ${list.join(', ')} FROM (SELECT ${typed.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) WITH ORDINALITY AS u (${columns.map((_, i) => `c${i}`).join(', ')}, clarus_place) ORDER BY u.clarus_place) AS ${quoteName(alias)}`;
  const all = [...parameterTypes, ...columns.map(() => arrayOids.text)];
  const inner = await session.analyse(sql, all).catch(orCause(cause));
  const wanted = analysis.shape.columns ?? [];
  if (inner.shape.columns?.map(c => c.typeOid).join() !== wanted.map(c => c.typeOid).join()) throw cause;
  const touch = await touchOf(inner, session, homes);
  // it is computed when all has been written, and in PostgreSQL sees nothing of that
  if (touch.tables.length > 0 || (touch.routines?.tables.size ?? 0) > 0) throw cause;
  return splitBody(parseOne(sql), sql, { ...planning, analysis: inner, touch }, undefined);
}

/** What RETURNING gives for rows. */
export async function returned(
  returning: SplitBody,
  rows: readonly Row[],
  columns: number,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
): Promise<HeldRows> {
  const held = new HeldRows(heldBytesMax);
  const client: ClientPort = {
    writer: held.writer,
    written: () => held.written(),
    notice: fields => bound.session.client.notice(fields),
    write(messages) {
      held.writer.bytes(messages);
      held.written();
    },
  };
  const given = withColumns(bound, rows, columns);
  const portal = bindSplit(
    returning,
    { ...given, session: fetching(bound.session, client) },
    residual,
    services,
  );
  await portal.execute(0, { done: () => undefined, failed: () => undefined });
  return held;
}

/** Bytes of what RETURNING gives. */
const heldBytesMax = 64 * 1024 * 1024;
