/** Where values of protected columns may not come to: a new table's columns in the clear. */
import { readNodes } from '../analysed/node.js';
import type { SessionPort } from '../ports.js';
import { refuseFlowsInto } from '../split/write/flow.js';
import { touchOf } from '../touch.js';
import type { DdlDependencies } from './body.js';

/**
 * @param types of the query's parameters
 * @throws ClarusError 0A000 where values of protected columns would come to columns in the clear
 */
export async function refuseFlowsOf(
  session: SessionPort,
  deps: DdlDependencies,
  query: string,
  columns: readonly { readonly name: string; readonly protect: boolean }[],
  types: readonly number[] = [],
): Promise<void> {
  // As a subquery, a set operation is one whose columns are known by all its parts.
  const analysis = await session.analyse(`SELECT * FROM (${query}) AS s`, types);
  const touch = await touchOf(analysis, session, deps.homes);
  const catalog = session.catalog();
  for (const tree of analysis.rewritten.flatMap(readNodes)) refuseFlowsInto(columns, tree, touch, catalog);
}
