import type { ClarusError } from '../errors.js';
import type { Diagnostic, PostgresError } from '../wire/diagnostic.js';
import type { FrameReader } from '../wire/frame-reader.js';
import type { TransactionStatus } from '../wire/messages.js';

/** What a pipeline tells the session. */
export interface PipelineHooks {
  /** ParameterStatus. @returns true when the client is to get it as it came */
  parameter(name: string, value: string): boolean;
  /** NotificationResponse, between other messages */
  notification(reader: FrameReader): void;
  /**
   * A notice that no handler takes.
   * @param runs a statement is planned or run, the client's or one of ours
   * @returns true when the client is to get it as it came
   */
  notice(diagnostic: Diagnostic, toClient: boolean, runs: boolean): boolean;
  /** an error went to the client; the server skips what follows until a Sync that is not yet sent */
  skipping(): void;
  /** ReadyForQuery. @returns status to tell the client, undefined to tell nothing */
  ready(status: TransactionStatus, toClient: boolean): TransactionStatus | undefined;
  /** status for a ReadyForQuery of ours */
  status(): TransactionStatus;
  /** a report of the server in the names of the application; absent: they are the server's too */
  told?(diagnostic: Diagnostic): Diagnostic;
  /** an error as the client may see it */
  clientError(error: PostgresError): PostgresError | ClarusError;
  /** errors are those of the trusted PostgreSQL */
  readonly trusted?: true;
  /** the server ends the connection */
  fatal(error: PostgresError): void;
}
