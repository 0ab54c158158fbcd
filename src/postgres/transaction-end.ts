/** How a transaction ends, on the cloud and on the trusted side where it takes part. */
import { ClarusError } from '../errors.js';
import { PostgresError } from '../wire/diagnostic.js';
import { type CarefulContext, isFailed } from './context.js';
import { physicalQuery } from './own-statements.js';

const transactionId = physicalQuery('SELECT pg_catalog.pg_current_xact_id()::text');

/**
 * Commits both sides: first a durable note of what the trusted side still has to do, then the cloud, then the
 * trusted side (docs/architecture.md, "One commit"). After a crash in between, recovery asks the cloud.
 * @returns the tag of the cloud: ROLLBACK when its transaction had failed
 * @throws PostgresError when the cloud refuses; then both sides are rolled back
 */
export async function commit(context: CarefulContext, sql: string): Promise<string> {
  const { transaction, cloud, trusted, options, user } = context;
  let entry: number | undefined;
  let tag: string;
  try {
    if (transaction.recorded && !isFailed(context)) {
      const xid = await idOf(cloud);
      const shadowXid = transaction.joined ? await idOf(trusted.port) : undefined;
      entry = await options.commits.prepare(transaction.redo(user.name), xid, shadowXid);
    }
    if (transaction.joined && context.temporary.exist && !isFailed(context)) await checkDeferred(context);
    tag = await cloud.run(sql);
  } catch (error) {
    // a lost connection, the client's or the cloud's, leaves the outcome open
    if (error instanceof ClarusError && error.code === '08006') {
      if (entry !== undefined) options.commits.leave(entry);
    } else {
      if (entry !== undefined) await options.commits.abandon(entry);
      await rollbackTrusted(context);
      rolledBack(context);
    }
    throw error;
  }
  if (tag !== 'COMMIT') {
    if (entry !== undefined) await options.commits.abandon(entry);
    await rollbackTrusted(context);
    return tag;
  }
  try {
    if (transaction.joined) {
      await trusted.port.run('COMMIT');
      trusted.settle();
    }
    if (entry !== undefined) await options.commits.finish(entry);
  } catch (error) {
    // a lost connection has rolled back
    await rollbackTrusted(context).catch(() => undefined);
    if (entry === undefined) throw error;
    options.commits.leave(entry);
    // the cloud has committed: the entry brings the trusted side after it
    options.log?.('error', 'the trusted side did not follow a commit; recovery will', {
      session: context.processId,
      entry,
    });
  }
  return tag;
}

/** Constraints of temporary tables that wait for the end of the transaction must not fail after the cloud has committed. */
async function checkDeferred({ trusted, cloud }: CarefulContext): Promise<void> {
  try {
    await trusted.port.run('SET CONSTRAINTS ALL IMMEDIATE');
  } catch (error) {
    await cloud.run('ROLLBACK');
    throw error;
  }
}

/** A COMMIT that failed has rolled back. */
export function rolledBack(context: CarefulContext): void {
  context.settings.stale = true;
  over(context, false);
}

/** The transaction is over. @param chain another has begun */
export function over(context: CarefulContext, chain: boolean): void {
  if (isFailed(context)) context.status = chain ? 'T' : 'I';
  context.transaction.end(chain);
}

/** COMMIT has ended the transaction. @param tag ROLLBACK when it had failed */
export function ended(context: CarefulContext, tag: string): void {
  const { transaction, settings } = context;
  // local ones are over, the others stay
  if (tag !== 'COMMIT' || transaction.settings.length > 0 || settings.hasBeenOff) settings.stale = true;
  if (tag !== 'COMMIT') return;
  for (const sql of transaction.settings) rememberSetting(context, sql);
  context.cursors.commit();
}

/** A setting that the transaction committed. SET LOCAL and SET TRANSACTION end with it. */
export function rememberSetting(context: CarefulContext, sql: string): void {
  if (!/^\s*set\s+(?:local|transaction|constraints)\b/i.test(sql)) context.trusted.remember(sql);
}

/** Rolls the trusted side back where it takes part. */
export async function rollbackTrusted({ transaction, trusted }: CarefulContext): Promise<void> {
  if (!transaction.joined) return;
  transaction.joined = false;
  await uncancelled(() => {
    trusted.settle();
    const rolledBack = trusted.port.run('ROLLBACK');
    trusted.settle();
    return rolledBack;
  });
}

/**
 * Does what must be done although the client may have asked to cancel the statement before: the request may come so late
 * that it hits this one, which then has done nothing.
 */
export async function uncancelled(work: () => Promise<unknown>): Promise<void> {
  for (let done = false; !done; )
    done = await work().then(
      () => true,
      error => {
        if (error instanceof PostgresError && error.code === '57014') return false;
        throw error;
      },
    );
}

async function idOf(port: CarefulContext['cloud']): Promise<string> {
  const { rows } = await port.gather(transactionId, [], false);
  return Buffer.from(rows[0]![0]!).toString();
}
