import { ClarusError } from '../../../errors.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { physical } from '../../compilation.js';
import type { RowLock } from '../../execute/bodies.js';
import { collect } from '../../execute/collect.js';
import type { SessionPort } from '../../ports.js';

const readOnlyNow = physical('SHOW transaction_read_only', []);

/** Is the cloud's transaction one that may not write? */
export async function isReadOnly({ cloud }: SessionPort): Promise<boolean> {
  const [row] = await collect(cloud, readOnlyNow, [], [], [0]);
  return Buffer.from(row?.[0] ?? []).toString() === 'on';
}

/**
 * Refuses a command before anything of it is evaluated, as PostgreSQL does: no sequence gives a value to what is not written.
 * @throws ClarusError 25006 in a transaction that may not write
 */
export async function mustBeWritable(command: string, session: SessionPort): Promise<void> {
  if (session.transaction.speaksOfReadOnly && (await isReadOnly(session))) throw readOnly(command, undefined);
}

/** What a part of a command failed with, as PostgreSQL says it of the command. */
export const saidOf = (command: string, error: unknown): unknown =>
  error instanceof PostgresError && error.code === '25006' ? readOnly(command, undefined) : error;

/** PreventCommandIfReadOnly of utility.c */
export const readOnly = (command: string, lock: RowLock | undefined): ClarusError =>
  new ClarusError(
    '25006',
    `cannot execute ${lock ? `SELECT FOR ${lock.strength}` : command} in a read-only transaction`,
  );
