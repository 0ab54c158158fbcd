/** Parameters of CREATE TABLE AS and SELECT INTO: of their query, which is run; the table is made without them. */

import { parametersOf } from '../operand.js';
import type { SessionPort } from '../ports.js';
import { kindOf, type RawNode, renumberAll } from '../raw/node.js';
import { castNames, castOf } from '../split/typed-source.js';

/**
 * @param raw a statement; its text is `sql`
 * @param given types that the client says; 0: PostgreSQL finds out
 * @returns their types, by OID; none for a statement of another kind
 * @throws PostgresError as PostgreSQL words what is wrong with the statement
 */
export async function tableParameters(
  raw: RawNode,
  sql: string,
  given: readonly number[],
  session: SessionPort,
): Promise<readonly number[]> {
  if (kindOf(raw) !== 'CreateTableAsStmt' && kindOf(raw) !== 'SelectStmt') return [];
  if (parametersOf(raw).length === 0) return [];
  return (await session.analyse(sql, given)).shape.parameterTypes;
}

/** The statement with NULL of their types in the places of parameters. */
export async function withoutParameters(
  raw: RawNode,
  types: readonly number[],
  session: SessionPort,
): Promise<RawNode> {
  if (types.length === 0) return raw;
  const columns = types.map((oid, i) => ({ name: `$${i + 1}`, type: { oid } }));
  const names = await castNames(columns, session);
  return renumberAll(raw, number => castOf({ A_Const: { isnull: true } }, names[number - 1]!));
}
