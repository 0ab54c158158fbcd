/**
 * Stand-ins in the cloud for CHECK constraints that it cannot evaluate. The trusted side evaluates those; a row that
 * breaks one is sent with a row id that the stand-in refuses, so that the cloud finds the error where PostgreSQL would:
 * after the rows before it, after NOT NULL, and among the checks by name.
 */
import { createHash } from 'node:crypto';
import { ROW_COLUMN } from './catalog.js';
import { quoteName } from './quote.js';

/** No lease comes as far: row ids from here on belong to no row. */
const FIRST_UNUSED = 2 ** 52;

/** The row id that the stand-in of a check refuses. @param name of the constraint */
export const refusedRow = (name: string): number =>
  FIRST_UNUSED + createHash('sha256').update(name).digest().readUIntBE(0, 6);

/** Definition of the stand-in. @param name of the constraint */
export const standIn = (name: string): string => `CHECK (${quoteName(ROW_COLUMN)} <> ${refusedRow(name)})`;
