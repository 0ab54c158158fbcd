import { ClarusError } from '../../../errors.js';
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

/** PreventCommandIfReadOnly of utility.c */
export const readOnly = (command: string, lock: RowLock | undefined): ClarusError =>
  new ClarusError(
    '25006',
    `cannot execute ${lock ? `SELECT FOR ${lock.strength}` : command} in a read-only transaction`,
  );
