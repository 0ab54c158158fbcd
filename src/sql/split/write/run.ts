/** Runs of statements that write: what one has come to, and when another one is needed. */
import type { Catalog } from '../../../catalog/catalog.js';
import { ClarusError } from '../../../errors.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { logicalError } from '../../client-error.js';
import type { GivenRows } from '../../execute/bodies.js';
import type { Row } from '../../execute/collect.js';
import type { HeldRows } from '../../execute/held-rows.js';
import type { Residual } from '../../ports.js';
import type { CloudWrites } from './cloud-writes.js';
import type { LockedRows } from './row-locks.js';
import type { FoundRows } from './statement-locks.js';

/** How often a statement begins anew because others change what it reads. */
export const attemptsMax = 50;

/** What a run of a statement has come to, before anything is written. */
export interface Run {
  readonly residual: Residual;
  readonly writes: CloudWrites;
  readonly found: readonly FoundRows[];
  /** undefined: the rows were not of one snapshot */
  readonly computed: Computed | undefined;
}

/** What a statement came to. */
export interface Computed {
  readonly rows: number;
  readonly held: HeldRows;
}

/** Has another session inserted a row that one conflicts with by a key of those names? */
export function isConflict(error: unknown, arbiters: readonly string[], catalog: Catalog): boolean {
  if (!(error instanceof PostgresError) || error.code !== '23505') return false;
  const { constraint } = logicalError(error, catalog).diagnostic;
  return constraint !== undefined && arbiters.includes(constraint);
}

/** ExecCheckTIDVisible of nodeModifyTable.c */
export const serialisation = (): ClarusError =>
  new ClarusError('40001', 'could not serialize access due to concurrent update');

/** Has something changed that the statement has read, so that it may begin anew? */
export const isSerialisation = (error: unknown): boolean =>
  (error instanceof PostgresError || error instanceof ClarusError) && error.code === '40001';

/** Rows change faster than a statement can be run over them. */
export const tooFast = (): ClarusError =>
  new ClarusError('40001', 'rows change faster than the statement can be run over them', {
    hint: 'Try again, or lock the rows first (SELECT ... FOR UPDATE).',
  });

/** What is done in place of writing the rows at once: triggers are fired. */
export interface WriteHooks {
  /** before anything is computed */
  begin(): Promise<void>;
  /**
   * Makes of rows that are given what is proposed for insertion.
   * @param rows values as text, in the order of `columnsGiven`
   * @returns those that are left
   */
  propose(given: GivenRows, rows: readonly Row[]): Promise<readonly Row[]>;
  /**
   * Brings the rows to the cloud.
   * @param guarded does what may fail because a row has come since that conflicts with one of these
   * @returns how many were written, and what the statement returns
   */
  write(
    writes: CloudWrites,
    locked: LockedRows,
    guarded: (work: () => Promise<void>) => Promise<void>,
  ): Promise<Computed>;
}
