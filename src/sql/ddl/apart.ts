/** REINDEX and CLUSTER of what is done in several transactions, on both sides. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { holdSql, letGoSql } from '../../trusted/carriers.js';
import type { Diagnostic } from '../../wire/diagnostic.js';
import { tell } from '../notices.js';
import type { SessionPort, StatementPort } from '../ports.js';
import type { RawNode } from '../raw/node.js';
import { runInShadow } from './backends.js';
import type { DdlBody } from './body.js';

/**
 * Runs what cannot be in a transaction block: in the shadow as it stands, then in the cloud.
 * @param tables those that it may be about: none of them must be carried meanwhile
 * @param work the statements for the cloud, or what gives them when the shadow is done
 * @param inShadow it is done in the shadow too
 */
export async function apart(
  session: SessionPort,
  { text, node }: DdlBody,
  tables: readonly LogicalTable[],
  work: readonly string[] | (() => Promise<readonly string[]>),
  inShadow = true,
): Promise<{ readonly tag: string }> {
  if (session.transaction.block) {
    // PostgreSQL's own error
    await session.transaction.touchTrusted();
    return { tag: await runInShadow(session, text) };
  }
  const tag = inShadow
    ? await uncarried(session, tables, () => runAlone(session, session.trusted, text))
    : tagOf(node);
  for (const sql of typeof work === 'function' ? await work() : work)
    await runAlone(session, session.cloud, sql, !inShadow);
  return { tag };
}

/** Runs in the shadow what would meet foreign tables where tables are carried (trusted/carriers.ts). */
async function uncarried<T>(
  session: SessionPort,
  tables: readonly LogicalTable[],
  work: () => Promise<T>,
): Promise<T> {
  if (!session.residual || tables.length === 0) return work();
  const { trusted } = session;
  await trusted.flushLast();
  try {
    await trusted.run(holdSql(tables.map(({ oid }) => oid)));
    await trusted.flushLast();
    return await work();
  } finally {
    // behind an error, too
    await trusted.flushLast();
    await trusted.run(letGoSql);
    await trusted.flushLast();
  }
}

/** @throws ClarusError 25001 behind statements that no Sync has followed (PreventInTransactionBlock, xact.c) */
export function mustBeFirst({ transaction }: SessionPort, { node }: DdlBody): void {
  if (transaction.begun && !transaction.block)
    throw new ClarusError('25001', `${tagOf(node)} cannot be executed within a pipeline`);
}

const tagOf = (node: RawNode): string =>
  node.ReindexStmt ? 'REINDEX' : node.VacuumStmt ? 'VACUUM' : 'CLUSTER';

/** Runs a statement that ends transactions, by itself. @param told the client hears what is noticed */
async function runAlone(
  session: SessionPort,
  port: StatementPort,
  sql: string,
  told = true,
): Promise<string> {
  const noticed: Diagnostic[] = [];
  await port.flushLast();
  try {
    return await port.run(sql, diagnostic => noticed.push(diagnostic));
  } finally {
    await port.flushLast();
    if (told) await tell(session, noticed);
  }
}
