/**
 * The lock under which rows are written that an EXCLUDE constraint of the trusted side compares: one row a table, in a
 * table of its own in the cloud, which each such statement changes. Who writes at the same time waits for it, a deadlock is
 * the cloud's to find, and a transaction whose snapshot is older than what another one has written gets 40001.
 */
import type { LogicalTable } from './catalog.js';
import { HELPER_SCHEMA } from './object-queries.js';
import { quoteName, quoteQualified } from './quote.js';

/** The one column of the table. */
const COUNT = 'clarus_count';

/** The qualified name of a table's lock. */
export const exclusionLockOf = ({ number }: Pick<LogicalTable, 'number'>): string =>
  quoteQualified(HELPER_SCHEMA, `clarus_exclusion_${number}`);

/** Takes the lock of a table until the transaction, or the savepoint, is over. */
export const takeExclusionLock = (table: Pick<LogicalTable, 'number'>): string =>
  `UPDATE ${exclusionLockOf(table)} SET ${COUNT} = ${COUNT} + 1`;

/** The DDL that makes a lock; whoever may write the table may take it. @param lock undefined: none */
export const makeExclusionLock = (lock: string | undefined): readonly string[] =>
  lock === undefined
    ? []
    : [
        `CREATE SCHEMA IF NOT EXISTS ${quoteName(HELPER_SCHEMA)}`,
        `GRANT USAGE ON SCHEMA ${quoteName(HELPER_SCHEMA)} TO PUBLIC`,
        `CREATE TABLE ${lock} (${COUNT} bigint NOT NULL)`,
        `INSERT INTO ${lock} (${COUNT}) VALUES (0)`,
        `GRANT SELECT, UPDATE ON ${lock} TO PUBLIC`,
      ];

/** The DDL that drops a lock. @param lock undefined: none */
export const dropExclusionLock = (lock: string | undefined): readonly string[] =>
  lock === undefined ? [] : [`DROP TABLE ${lock}`];
