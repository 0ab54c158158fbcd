/** Runs a client's portal on the trusted side, where the catalogue and the shadow schema are. */
import { ClarusError } from '../errors.js';
import { cannotBeRun } from '../sql/execute/given.js';
import { giveFigures } from '../sql/figures.js';
import type { Plan } from '../sql/plan.js';
import { backendTypes } from '../wire/protocol.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { expects, forwarded, internal } from './expectations.js';
import { aborted } from './failure.js';
import { physicalQuery } from './own-statements.js';
import type { ClientPortal } from './prepared.js';
import type { Recording } from './recording.js';
import { writeBindValues, writeExecute } from './server-statements.js';
import { commandComplete } from './shapes.js';
import { keepSequences, touchTrusted } from './transaction-control.js';

/**
 * Runs it, or goes on with it; rows and tag go to the client.
 * @param maxRows 0: no limit
 * @throws PostgresError, which the session tells
 */
export async function executeTrusted(
  context: CarefulContext,
  portal: ClientPortal,
  plan: Extract<Plan, { kind: 'trusted' }>,
  maxRows: number,
  recording: Recording,
): Promise<void> {
  if (!(await drained(context))) return;
  const { trusted, transaction } = context;
  if (isFailed(context)) throw aborted();
  if (portal.completed !== undefined) return runAgain(context, portal, plan, recording);
  await trusted.ready();
  if (plan.temporary && !(plan.temporary === 'reads' && portal.alone)) await touchTrusted(context);
  if (plan.estimates) await beginEstimates(context);
  if (plan.homed) await refuseReadOnly(context);
  takeSnapshot(context);
  // a portal that is to be executed again must outlive the statements analysed meanwhile
  if (maxRows > 0 && transaction.explicit) await touchTrusted(context);
  const { port, pipeline } = trusted;
  if (plan.figures && portal.trusted === undefined) await giveFigures(plan.figures, context.port);
  const statement = portal.trusted ?? port.statements.prepare(plan, plan.sql, portal.prepared.parameterTypes);
  const told = tellingStrings(context, 'off');
  if (told) await told;
  if (portal.trusted === undefined) {
    const name = statement;
    portal.trusted = port.portals.take(maxRows === 0);
    const { values, formats } = portal.parameters;
    writeBindValues(pipeline.writer, portal.trusted, name, values, formats, portal.resultFormats);
    // Execute hears of its error, and tells
    pipeline.expect(internal(expects.bind, { done: () => portal.announce?.(plan) }));
  }
  const name = portal.trusted;
  const done = new Promise<void>((resolve, reject) => {
    writeExecute(pipeline.writer, name, maxRows);
    const entry = forwarded(expects.execute, {
      done: (type, tag) => {
        recording.done(type, tag);
        if (type === backendTypes.commandComplete) portal.completed = tag;
        resolve();
      },
      failed: reject,
    });
    // the session tells the error, because the cloud's transaction must follow
    entry.tells = false;
    pipeline.expect(entry);
    pipeline.flush();
  });
  await (told ? done.then(() => tellingStrings(context, 'on')) : done).finally(() => {
    if (name === '') {
      port.portals.unnamedTaken = false;
      portal.trusted = undefined;
    }
    if (maxRows === 0 || pipeline.failed) trusted.settle();
  });
  // a value that a sequence gave is durable before the client hears that its transaction is over
  if (plan.homed) await keepSequences(context, []);
}

/**
 * What is changed in the catalogue commits with the session's transaction.
 * @throws ClarusError 0A000 where what carries rows would wait for that
 */
export async function beginEstimates(context: CarefulContext): Promise<void> {
  const { transaction } = context;
  if (transaction.explicit && !transaction.changesSchema)
    throw new ClarusError('0A000', 'estimates of pg_class cannot be changed within a transaction', {
      detail: 'What the transaction reads afterwards would wait for them.',
      hint: 'Change them before it begins.',
    });
  await touchTrusted(context);
}

/**
 * A portal that has run to its end has no more rows; one that gives none does not run a second time.
 * @throws ClarusError 55000
 */
function runAgain(
  { cloud }: CarefulContext,
  { name, completed }: ClientPortal,
  plan: Extract<Plan, { kind: 'trusted' }>,
  recording: Recording,
): void {
  if (plan.copy !== undefined || plan.shape.columns === undefined)
    throw new ClarusError('55000', cannotBeRun(name));
  const tag = completed!.replace(/\d+$/, '0');
  recording.done(backendTypes.commandComplete, tag);
  cloud.pipeline.own(commandComplete(tag));
}

/**
 * The trusted side reads all with standard_conforming_strings on. What tells of it, and prints literals by it
 * (simple_quote_literal of ruleutils.c), does so as the session has it. Where it fails, its transaction puts it back.
 */
function tellingStrings(
  { settings, trusted }: CarefulContext,
  value: 'on' | 'off',
): Promise<unknown> | undefined {
  if (settings.current.standardConformingStrings) return undefined;
  return trusted.port.run(`SET standard_conforming_strings = ${value}`);
}

const readOnly = physicalQuery("SELECT pg_catalog.current_setting('transaction_read_only')");

/** The cloud knows whether the transaction may write, and with it whether a sequence may give a value. */
async function refuseReadOnly({ cloud, transaction, trusted }: CarefulContext): Promise<void> {
  const { rows } = await cloud.gather(readOnly, [], false);
  if (Buffer.from(rows[0]?.[0] ?? []).toString() !== 'on' || transaction.joined) return;
  await trusted.port.run('SET LOCAL transaction_read_only = on');
}

/**
 * The first query of a transaction takes its snapshot, and ends the time in which its modes can be set. The cloud
 * must do that too when it does not get to see the query.
 */
function takeSnapshot({ cloud, transaction, batch }: CarefulContext): void {
  if (transaction.snapshot) return;
  if (transaction.explicit) {
    transaction.snapshot = true;
    // what goes wrong with it, the next statement hears
    cloud.run('SELECT').catch(() => undefined);
  } else transaction.queriedIn = batch;
}
