/** Statements to which policies of row level security are applied: which of them the trusted PostgreSQL can finish, and how. */

import { quoteName } from '../../catalog/quote.js';
import { isInTree } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import { arrayOids, typeOids } from '../../wire/types.js';
import { type Node, nodesIn, numberIn, readNodes, walk } from '../analysed/node.js';
import { COMMAND } from '../analysed/query.js';
import type { PolicedUpdate } from '../execute/bodies.js';
import { kindOf, type RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { columnTypes } from '../split/delivery.js';
import { type SplitPlanning, splitBody } from '../split/plan.js';
import { touchOf } from '../touch.js';
import { writtenTable } from '../write/target.js';
import { broken, type PolicyChecks, policyChecks } from './policies.js';

/** Why the cloud does not answer it. */
export const securedCause = (): ClarusError =>
  new ClarusError('0A000', 'policies of row level security are applied to the statement', {
    detail: 'The cloud has one user for all, and enforces no policies.',
    hint: 'docs/compatibility.md lists what is answered under row level security.',
  });

/** @param detail why it is not answered */
export const securedRefusal = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} is not answered under row level security`, {
    detail: 'Policies of a table that the statement names are applied to it.',
    hint: 'docs/compatibility.md lists what is answered under row level security.',
  });

/** What is known of a statement to which policies are applied. */
export interface SecuredWrite {
  readonly kind: 'INSERT' | 'UPDATE';
  /** of the table that it writes; undefined: the role is exempt from them */
  readonly policies: PolicyChecks | undefined;
}

/**
 * @param raw the statement
 * @returns undefined: new rows need not be looked at
 * @throws ClarusError 0A000 for a statement that is not answered
 */
export async function securedWrite(
  raw: RawNode,
  { analysis, session }: SplitPlanning,
): Promise<SecuredWrite | undefined> {
  const [query, ...more] = analysis.parsed.flatMap(readNodes);
  if (!query || more.length > 0) throw securedRefusal('a statement of this kind');
  refuseWithin(query);
  const kind = kindOf(raw);
  if (kind === 'SelectStmt' || kind === 'DeleteStmt') {
    if (kind === 'DeleteStmt' && !writtenTable(query, session.catalog()))
      throw securedRefusal('a write through a view');
    return undefined;
  }
  if (kind !== 'InsertStmt' && kind !== 'UpdateStmt') throw securedRefusal('MERGE');
  if (raw.InsertStmt?.onConflictClause) throw securedRefusal('ON CONFLICT');
  const table = writtenTable(query, session.catalog());
  if (!table) throw securedRefusal('a write through a view');
  const command = kind === 'InsertStmt' ? 'INSERT' : 'UPDATE';
  const policies = await policyChecks(command, query, table, analysis, session);
  if (policies && isInTree(session.catalog(), table))
    throw securedRefusal('a write of new rows to partitions or heirs');
  return { kind: command, policies };
}

/** What is run in parts is another statement to PostgreSQL. */
function refuseWithin(statement: Node): void {
  walk(statement, node => {
    if (node.kind !== 'QUERY') return true;
    if (node !== statement && numberIn(node, 'commandType') !== COMMAND.select)
      throw securedRefusal('a write within WITH');
    if (nodesIn(node, 'rowMarks').length > 0) throw securedRefusal('SELECT ... FOR UPDATE');
    return true;
  });
}

/** How the rows of an UPDATE are looked at: as a query over arrays of their columns. */
export async function policedUpdate(policies: PolicyChecks, planning: SplitPlanning): Promise<PolicedUpdate> {
  const { session, homes } = planning;
  const { table, columns, checks } = policies;
  const types = await columnTypes(table, session);
  const named = columns.map((column, i) => `u.c${i}::${types.get(column.name)} AS ${quoteName(column.name)}`);
  const arrays = columns.map((_, i) => `pg_catalog.unnest($${i + 2}::pg_catalog.text[])`);
  const numbers = 'pg_catalog.generate_series(1, $1::pg_catalog.int4)';
  const rows = `SELECT ${[...named, 'u.clarus_place'].join(', ')} FROM ROWS FROM (${[numbers, ...arrays].join(', ')}) AS u (${['clarus_place', ...columns.map((_, i) => `c${i}`)].join(', ')})`;
  const row = `SELECT ${columns.map(({ name }) => `g.${quoteName(name)}`).join(', ')}`;
  const cases = checks.map((check, i) => `WHEN ${broken(check, table, row)} THEN ${i}`);
  const sql = `SELECT CASE ${cases.join(' ')} ELSE -1 END FROM (${rows}) AS g ORDER BY g.clarus_place`;
  const parameterTypes = [typeOids.int4, ...columns.map(() => arrayOids.text)];
  const analysis = await session.analyse(sql, parameterTypes);
  const touch = await touchOf(analysis, session, homes);
  const body = await splitBody(parseOne(sql), sql, { ...planning, analysis, touch, hides: true }, undefined);
  return { policies, body };
}
