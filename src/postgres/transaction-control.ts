import { ClarusError } from '../errors.js';
import type { TransactionAction } from '../sql/plan.js';
import { backendTypes } from '../wire/protocol.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { type AnswerHandler, expects, forwarded, internal, step } from './expectations.js';
import { physicalQuery } from './own-statements.js';
import type { ClientPortal } from './prepared.js';
import { writeBindValues, writeClose, writeExecute } from './server-statements.js';
import { commandComplete } from './shapes.js';

const transactionId = physicalQuery('SELECT pg_catalog.pg_current_xact_id()::text');

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
  shift: number,
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

function rolledBack(context: CarefulContext): void {
  context.settings.stale = true;
  over(context, false);
}

/** The transaction is over. @param chain another has begun */
function over(context: CarefulContext, chain: boolean): void {
  if (isFailed(context)) context.status = chain ? 'T' : 'I';
  context.transaction.end(chain);
}

/**
 * The block that we opened around the batch becomes the client's. Inside a block PostgreSQL takes the modes of BEGIN
 * as SET TRANSACTION does, with a warning, which is not for the client.
 */
async function takeOverInternal(
  context: CarefulContext,
  action: TransactionAction,
  shift: number,
  recording: AnswerHandler,
): Promise<void> {
  if (!(await drained(context))) return;
  const { transaction, cloud, trusted } = context;
  if (transaction.queriedIn === context.batch) await cloud.run('SELECT');
  const began = await new Promise<boolean>(resolve => {
    runInCloud(context, action.sql, shift, {
      done: (type, tag) => {
        recording.done?.(type, tag);
        resolve(true);
      },
      failed: error => {
        recording.failed?.(error);
        resolve(false);
      },
      notice: () => undefined,
    });
    cloud.flush();
  });
  if (!began) return;
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
  shift: number,
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
  await new Promise<void>((resolve, reject) => {
    runInCloud(context, action.sql, shift, {
      done: (type, tag) => {
        recording.done?.(type, tag);
        const joined = transaction.joined;
        applied(context, action, tag, context.portals.bound);
        if (!joined) return resolve();
        trusted.settle();
        trusted.port.run(action.kind === 'rollback' ? 'ROLLBACK' : action.sql).then(() => {
          trusted.settle();
          resolve();
        }, reject);
      },
      failed: error => {
        recording.failed?.(error);
        resolve();
      },
    });
    cloud.flush();
  });
}

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
    trusted.settle();
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
  for (const [sql] of rows)
    transaction.record(Buffer.from(sql ?? []).toString(), [], settings.current.searchPath);
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

const isolation = physicalQuery('SHOW transaction_isolation');
const snapshot = physicalQuery('SELECT pg_catalog.pg_current_snapshot()::text');

/**
 * Sees to it that what is read next comes from one snapshot, where that is for us to decide: a statement outside a
 * transaction block gets one that is REPEATABLE READ.
 * @returns false in a block of READ COMMITTED, where each query has a snapshot of its own
 */
export async function oneSnapshot({ transaction, cloud }: CarefulContext): Promise<boolean> {
  const fresh = !transaction.block && !cloud.pipeline.dirty;
  if (!transaction.block) {
    transaction.internal = true;
    cloud.run('BEGIN').catch(() => undefined);
  }
  const { rows } = await cloud.gather(isolation, [], false);
  if (/^read/.test(Buffer.from(rows[0]![0]!).toString()) === false) return true;
  if (!fresh) return false;
  // what goes wrong with it, the first query hears
  cloud.run('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ').catch(() => undefined);
  return true;
}

/** The snapshot that a query of the cloud would have now: equal texts are equal snapshots. */
export async function snapshotNow({ cloud }: CarefulContext): Promise<string> {
  const { rows } = await cloud.gather(snapshot, [], false);
  return Buffer.from(rows[0]![0]!).toString();
}

/** Ends the transaction block that we opened around the client's batch. Called where the client's Sync stands. */
export async function endInternal(context: CarefulContext, failed: boolean): Promise<void> {
  const { transaction, cloud, settings } = context;
  try {
    if (!failed) {
      ended(context, await commit(context, 'COMMIT'));
      return;
    }
    settings.stale = true;
    cloud.pipeline.sync(internal(expects.sync));
    await rollbackTrusted(context);
    await cloud.run('ROLLBACK');
  } catch (error) {
    context.fail(error);
  } finally {
    transaction.end(false);
  }
}

/** COMMIT has ended the transaction. @param tag ROLLBACK when it had failed */
function ended(context: CarefulContext, tag: string): void {
  const { transaction, settings } = context;
  // local ones are over, the others stay
  if (tag !== 'COMMIT' || transaction.settings.length > 0) settings.stale = true;
  if (tag === 'COMMIT') for (const sql of transaction.settings) rememberSetting(context, sql);
}

/** A setting that the transaction committed. SET LOCAL and SET TRANSACTION end with it. */
export function rememberSetting(context: CarefulContext, sql: string): void {
  if (!/^\s*set\s+(?:local|transaction|constraints)\b/i.test(sql)) context.trusted.remember(sql);
}

async function rollbackTrusted({ transaction, trusted }: CarefulContext): Promise<void> {
  if (!transaction.joined) return;
  transaction.joined = false;
  trusted.settle();
  await trusted.port.run('ROLLBACK');
  trusted.settle();
}

async function idOf(port: CarefulContext['cloud']): Promise<string> {
  const { rows } = await port.gather(transactionId, [], false);
  return Buffer.from(rows[0]![0]!).toString();
}

/**
 * Runs a statement without parameters as the client's: its rows and tag, or its error, go to the client.
 * @param resultFormats as the client's Bind asked for
 */
export function runInCloud(
  { cloud }: CarefulContext,
  sql: string,
  shift: number,
  handler: Required<Pick<AnswerHandler, 'done' | 'failed'>> & Pick<AnswerHandler, 'notice'>,
  resultFormats: readonly (0 | 1)[] = [],
): void {
  const { pipeline } = cloud;
  const name = cloud.statements.prepare(sql, sql, [], true, shift);
  const portal = cloud.portals.take(true);
  writeBindValues(pipeline.writer, portal, name, [], [], resultFormats);
  pipeline.expect(step(expects.bind, { failed: handler.failed }, shift));
  writeExecute(pipeline.writer, portal, 0);
  pipeline.expect(forwarded(expects.execute, handler, shift));
  if (portal === '') cloud.portals.unnamedTaken = false;
  else {
    writeClose(pipeline.writer, 0x50, portal);
    pipeline.expect(internal(expects.close));
  }
}
