/**
 * Rows for the residual engine: the trusted PostgreSQL runs a statement, and its carriers (trusted/carriers.ts) ask a
 * `RowSource` for the rows of each table that it reads, and tell it what the statement writes.
 */
import type { MessageWriter } from '../wire/message-writer.js';

/** Rows of tables, for one statement. */
export interface RowSource {
  /**
   * @param query as postgres_fdw words it, over the carriers' names
   * @param parameters its parameters, in text form
   * @throws ClarusError, PostgresError of the cloud
   */
  open(query: string, parameters: readonly (Uint8Array | null)[]): Promise<RowCursor>;
  /**
   * Takes what a statement writes; it comes to the cloud when the statement has ended.
   * @param statement INSERT, UPDATE or DELETE as postgres_fdw words it
   * @param parameters its parameters, in text form
   * @throws ClarusError 0A000 for a statement that only reads
   */
  write(statement: string, parameters: readonly (Uint8Array | null)[]): Promise<RowsWritten>;
}

/** What a write of a carrier did. */
export interface RowsWritten {
  readonly tag: string;
  /** columns of RETURNING, and its rows as DataRow messages in text form; 0 columns: there is none */
  readonly width: number;
  readonly rows: Uint8Array;
}

/** The rows of one query of a carrier. */
export interface RowCursor {
  /** columns of a row */
  readonly width: number;
  /** Writes the next rows as DataRow messages in text form, at most `count`; fewer only at the end. */
  next(count: number, writer: MessageWriter): Promise<void>;
  close(): void;
}
