/**
 * The residual engine, as planning and executors see it: the trusted PostgreSQL runs a statement, and its carriers
 * (trusted/carriers.ts) ask a `RowSource` for the rows of each table that it reads.
 */
import type { MessageWriter } from '../wire/message-writer.js';
import type { StatementPort } from './plan.js';

/** Rows of tables, for one statement. */
export interface RowSource {
  /**
   * @param query as postgres_fdw words it, over the carriers' names
   * @param parameters its parameters, in text form
   * @throws ClarusError, PostgresError of the cloud
   */
  open(query: string, parameters: readonly (Uint8Array | null)[]): Promise<RowCursor>;
}

/** The rows of one query of a carrier. */
export interface RowCursor {
  /** columns of a row */
  readonly width: number;
  /** Writes the next rows as DataRow messages in text form, at most `count`; fewer only at the end. */
  next(count: number, writer: MessageWriter): Promise<void>;
  close(): void;
}

/** The connection of a session on which statements are finished over rows of a cloud. */
export interface ResidualPort {
  /**
   * Begins a statement: its carriers are there, and its rows will come from one snapshot where that is possible.
   * @param tables shadow OIDs of those that it reads
   * @throws ClarusError 0A000 inside a transaction that has changed the schema
   */
  begin(source: RowSource, tables: readonly number[]): Promise<Residual>;
}

/** A statement that is being finished on the trusted side. */
export interface Residual {
  readonly port: StatementPort;
  /** what the cloud said to a carrier's query, which postgres_fdw tells in other words */
  readonly failure: unknown;
  /**
   * Were all rows of one snapshot? Asked when the last row has come.
   * @param queries how many were made
   */
  oneSnapshot(queries: number): Promise<boolean>;
  /** Ends its transaction on the trusted side. */
  over(): void;
}
