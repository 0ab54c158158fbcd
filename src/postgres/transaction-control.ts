import { ClarusError } from '../errors.js';
import type { TransactionAction } from '../sql/plan.js';
import { backendTypes } from '../wire/protocol.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { type AnswerHandler, expects, internal } from './expectations.js';
import type { Origin } from './failure.js';
import { physicalQuery } from './own-statements.js';
import type { ClientPortal } from './prepared.js';
import { ranInCloud, runInCloud } from './run-in-cloud.js';
import { commandComplete } from './shapes.js';
import { commit, ended, over, rollbackTrusted, rolledBack, uncancelled } from './transaction-end.js';

/**
 * Runs a transaction statement on the cloud, and on the trusted side where it takes part.
 * @param portal the one that it is executed by
 */
export function controlTransaction(
  context: CarefulContext,
  portal: ClientPortal,
  action: TransactionAction,
  recording: AnswerHandler,
): void | Promise<void> {
  context.transaction.controlled = true;
  const shift = portal.prepared.statement.start;
  if (!endsPortals(action)) return control(context, action, shift, recording);
  if (action.kind !== 'rollback-to') context.executedBefore = context.executed;
  // other portals end only if it is carried out: nothing sent before it may fail any more
  if (context.portals.hasOthers(portal))
    return drained(context).then(going => {
      if (!going) return;
      endPortals(context, action);
      return control(context, action, shift, recording);
    });
  endPortals(context, action);
  return control(context, action, shift, recording);
}

type Ending = Extract<TransactionAction, { kind: 'commit' | 'rollback' | 'rollback-to' }>;

const endsPortals = (action: TransactionAction): action is Ending =>
  action.kind === 'commit' || action.kind === 'rollback' || action.kind === 'rollback-to';

/** Portals end with their transaction, also one that cannot be committed, and with their subtransaction. */
function endPortals({ portals, cloud, transaction }: CarefulContext, action: Ending): void {
  const kept = action.kind === 'rollback-to' ? transaction.portalsAt(action.name) : 0;
  if (kept !== undefined) portals.forget(kept);
  if (portals.get('') === undefined) cloud.portals.unnamedTaken = false;
}

function control(
  context: CarefulContext,
  action: TransactionAction,
  shift: Origin,
  recording: AnswerHandler,
): void | Promise<void> {
  const { transaction, cloud } = context;
  if (transaction.internal) {
    if (action.kind === 'begin') return takeOverInternal(context, action, shift, recording);
    inImplicitBlock(context, action);
    return controlBoth(context, action, shift, recording);
  }
  if (transaction.joined || transaction.recorded) return controlBoth(context, action, shift, recording);
  if (action.kind === 'begin') {
    transaction.explicit = true;
    if (transaction.queriedIn === context.batch) cloud.run('SELECT').catch(() => undefined);
  } else if (action.kind === 'commit' || action.kind === 'rollback') transaction.explicit = action.chain;
  const bound = context.portals.bound;
  runInCloud(context, action.sql, shift, {
    done: (type, tag) => {
      recording.done?.(type, tag);
      applied(context, action, tag, bound);
    },
    failed: error => {
      recording.failed?.(error);
      // a COMMIT that fails has rolled back
      if (action.kind === 'commit' && !(error instanceof ClarusError)) rolledBack(context);
    },
  });
  // what follows is taken, or not, as it is then
  if (isFailed(context)) return drained(context).then(() => undefined);
}

/**
 * The block that we opened around the batch becomes the client's. Inside a block PostgreSQL takes the modes of BEGIN
 * as SET TRANSACTION does, with a warning, which is not for the client.
 */
async function takeOverInternal(
  context: CarefulContext,
  action: TransactionAction,
  shift: Origin,
  recording: AnswerHandler,
): Promise<void> {
  if (!(await drained(context))) return;
  const { transaction, cloud, trusted } = context;
  if (transaction.queriedIn === context.batch) await cloud.run('SELECT');
  const began = await ranInCloud(context, action.sql, shift, recording, { notice: () => undefined });
  if (began === undefined) return;
  transaction.begin(action.sql);
  if (transaction.joined && /\bread\s+only\b/i.test(action.sql))
    await trusted.port.run('SET LOCAL transaction_read_only = on');
}

/**
 * What PostgreSQL says to a transaction statement in an implicit block (xact.c).
 * @throws ClarusError 25P01
 */
function inImplicitBlock(context: CarefulContext, action: TransactionAction): void {
  const only = (statement: string): ClarusError =>
    new ClarusError('25P01', `${statement} can only be used in transaction blocks`);
  switch (action.kind) {
    case 'savepoint':
      throw only('SAVEPOINT');
    case 'release':
      throw only('RELEASE SAVEPOINT');
    case 'rollback-to':
      throw only('ROLLBACK TO SAVEPOINT');
    case 'commit':
    case 'rollback':
      if (action.chain) throw only(`${action.kind.toUpperCase()} AND CHAIN`);
      context.port.client.notice({
        severity: 'WARNING',
        code: '25P01',
        message: 'there is no transaction in progress',
      });
  }
}

/**
 * What a statement that the cloud has carried out means for the rest of the session.
 * @param bound number of portals that the client had bound when it was sent
 */
function applied(context: CarefulContext, action: TransactionAction, tag: string, bound: number): void {
  const { transaction, trusted, settings } = context;
  switch (action.kind) {
    case 'begin':
      transaction.begin(action.sql);
      return;
    case 'savepoint':
      transaction.savepoint(action.name, action.sql, bound);
      return;
    case 'release':
      transaction.release(action.name);
      return;
    case 'rollback-to':
      transaction.rollbackTo(action.name);
      if (isFailed(context)) context.status = 'T';
      settings.stale = true;
      return;
    case 'commit':
      ended(context, tag);
      break;
    case 'rollback':
      settings.stale = true;
      break;
  }
  over(context, action.chain);
  trusted.settle();
}

async function controlBoth(
  context: CarefulContext,
  action: TransactionAction,
  shift: Origin,
  recording: AnswerHandler,
): Promise<void> {
  if (!(await drained(context))) return;
  const { transaction, trusted, cloud } = context;
  if (action.kind === 'commit') {
    const tag = await commit(context, action.sql);
    ended(context, tag);
    over(context, action.chain);
    recording.done?.(backendTypes.commandComplete, tag);
    cloud.pipeline.own(commandComplete(tag));
    return;
  }
  const tag = await ranInCloud(context, action.sql, shift, recording);
  if (tag === undefined) return;
  const { joined } = transaction;
  applied(context, action, tag, context.portals.bound);
  if (!joined) return;
  trusted.settle();
  await trusted.port.run(action.kind === 'rollback' ? 'ROLLBACK' : action.sql);
  trusted.settle();
}

const sequencesNow = physicalQuery(
  `SELECT pg_catalog.format('SELECT pg_catalog.setval(%L, %s)', s.name, pg_catalog.pg_sequence_last_value(s.name::pg_catalog.regclass))
     FROM pg_catalog.unnest($1::pg_catalog.text[]) AS s (name)`,
  [1009],
);

/**
 * Makes durable what sequences of the trusted side have given: by the end of its own transaction there or, where it
 * takes part in the session's, by the entry of the journal that is written before the cloud commits. That also holds the
 * counts of sequences that this transaction has made, which a crash would begin anew.
 */
export async function keepSequences(context: CarefulContext, sequences: readonly string[]): Promise<void> {
  const { transaction, trusted, settings } = context;
  if (!transaction.joined) {
    trusted.settle();
    await trusted.pipeline.drained();
    return;
  }
  if (!transaction.changesSchema || sequences.length === 0) return;
  const names = `{${sequences.map(name => `"${name.replace(/["\\]/g, '\\$&')}"`).join()}}`;
  const { rows } = await trusted.port.gather(sequencesNow, [Buffer.from(names)], false);
  for (const [sql] of rows) transaction.record(Buffer.from(sql ?? []).toString(), [], settings.current);
}

/** Puts cloud and trusted backend into a transaction block of ours, or into the client's. */
export async function touchTrusted(context: CarefulContext): Promise<void> {
  const { transaction, cloud, trusted } = context;
  if (transaction.joined) return;
  if (transaction.block) await cloud.pipeline.drained();
  else await beginInternal(context);
  await trusted.join();
}

/** Puts the cloud into a transaction block of ours, unless it is in one. */
export async function beginInternal({ transaction, cloud }: CarefulContext): Promise<void> {
  if (transaction.block) return;
  transaction.internal = true;
  await cloud.run('BEGIN');
}

// SHOW takes no snapshot, after which a transaction could not be given one
const isolation = physicalQuery('SHOW transaction_isolation');
const readOnlyNow = physicalQuery('SHOW transaction_read_only');
const snapshot = physicalQuery('SELECT pg_catalog.pg_current_snapshot()::text');

/** What a statement that reads several times reads in. */
export interface Reading {
  /** a transaction that was begun for it alone */
  readonly ours: boolean;
  /** undefined: the transaction has one snapshot; else the one that held when reading began */
  readonly snapshot: string | undefined;
  /** it has one snapshot because we want it, not the client */
  readonly frozen: boolean;
  readonly readOnly: boolean;
}

/**
 * Begins to read from the cloud several times. A statement outside a transaction block gets a transaction that has one
 * snapshot. The tables are locked against DDL, in the order in which DDL locks: here first, then on the trusted side.
 * @param tables their names in the cloud
 * @param writes the statement writes in the same transaction, so that one snapshot is had only where several tables are
 *   read: without it rows that others change meanwhile can be locked and read again
 */
export async function beginReading(
  context: CarefulContext,
  tables: readonly string[],
  writes: boolean,
): Promise<Reading> {
  const { transaction, cloud } = context;
  const ours = !transaction.block && !cloud.pipeline.dirty;
  if (!transaction.block) {
    transaction.internal = true;
    cloud.run('BEGIN').catch(() => undefined);
  }
  const locked =
    tables.length > 0 ? cloud.run(`LOCK TABLE ${tables.join(', ')} IN ACCESS SHARE MODE`) : undefined;
  locked?.catch(() => undefined);
  const asked = [isolation, ...(writes ? [readOnlyNow] : [])].map(query => cloud.gather(query, [], false));
  const [level, only] = (await Promise.all(asked)).map(({ rows }) => Buffer.from(rows[0]![0]!).toString());
  await locked;
  const readOnly = only === 'on';
  if (level === 'repeatable read' || level === 'serializable')
    return { ours, snapshot: undefined, frozen: false, readOnly };
  if (!ours || (writes && tables.length === 1))
    return { ours, snapshot: await snapshotNow(context), frozen: false, readOnly };
  // what goes wrong with it, the first query hears
  cloud.run('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ').catch(() => undefined);
  return { ours, snapshot: undefined, frozen: true, readOnly };
}

/** The snapshot that a query of the cloud would have now: equal texts are equal snapshots. */
export async function snapshotNow({ cloud }: CarefulContext): Promise<string> {
  const { rows } = await cloud.gather(snapshot, [], false);
  return Buffer.from(rows[0]![0]!).toString();
}

/** Ends the transaction that `beginReading` began. What fails of it, the end of the client's batch rolls back. */
export async function endReading({ transaction, cloud }: CarefulContext): Promise<void> {
  await cloud.run('COMMIT');
  transaction.end(false);
}

/** Begins a transaction of ours anew. */
export async function abandonReading(context: CarefulContext): Promise<void> {
  await rollbackCloud(context);
  context.transaction.end(false);
}

/** Does something in the cloud, in a subtransaction, which is rolled back when it fails. */
export async function inSubtransaction<T>({ cloud }: CarefulContext, work: () => Promise<T>): Promise<T> {
  await cloud.run('SAVEPOINT clarus_write');
  try {
    const result = await work();
    await cloud.run('RELEASE SAVEPOINT clarus_write');
    return result;
  } catch (error) {
    cloud.pipeline.sync(internal(expects.sync));
    await cloud.run('ROLLBACK TO SAVEPOINT clarus_write');
    await cloud.run('RELEASE SAVEPOINT clarus_write');
    throw error;
  }
}

/** Ends the transaction block that we opened around the client's batch. Called where the client's Sync stands. */
export async function endInternal(context: CarefulContext, failed: boolean): Promise<void> {
  const { transaction, settings } = context;
  try {
    if (!failed) {
      ended(context, await commit(context, 'COMMIT'));
      return;
    }
    settings.stale = true;
    await rollbackTrusted(context);
    await rollbackCloud(context);
  } catch (error) {
    context.fail(error);
    await rollbackCloud(context).catch(() => undefined);
  } finally {
    transaction.end(false);
  }
}

/** Rolls back in the cloud, whatever state it is in. */
export function rollbackCloud({ cloud }: CarefulContext): Promise<void> {
  return uncancelled(() => {
    cloud.pipeline.sync(internal(expects.sync));
    return cloud.run('ROLLBACK');
  });
}
