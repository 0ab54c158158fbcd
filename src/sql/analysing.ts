/** The analysis of whole statements, those within EXPLAIN included. */
import type { Analysis, SessionPort } from './ports.js';
import { deparse } from './raw/deparse.js';
import { child, type RawNode } from './raw/node.js';

/** The query that an EXPLAIN is about; undefined for another statement. */
export function explainedQuery({ ExplainStmt }: RawNode): RawNode | undefined {
  const explained = ExplainStmt && child(ExplainStmt, 'query');
  return (explained?.CreateTableAsStmt && child(explained.CreateTableAsStmt, 'query')) ?? explained;
}

/** An EXPLAIN about another query. */
export function explaining({ ExplainStmt }: RawNode, query: RawNode): RawNode {
  const table = child(ExplainStmt!, 'query')?.CreateTableAsStmt;
  return {
    ExplainStmt: { ...ExplainStmt, query: table ? { CreateTableAsStmt: { ...table, query } } : query },
  };
}

/**
 * Up to version 15, PostgreSQL does not print the query that an EXPLAIN holds: it is analysed by itself.
 * @param raw the statement; its text is `sql`
 */
export async function analysed(
  raw: RawNode,
  sql: string,
  parameterTypes: readonly number[],
  session: SessionPort,
): Promise<Analysis> {
  const analysis = await session.analyse(sql, parameterTypes);
  const query = explainedQuery(raw);
  if (query === undefined) return analysis;
  const { parsed, rewritten } = await session.analyse(deparse(query), parameterTypes);
  return { shape: analysis.shape, parsed, rewritten };
}
