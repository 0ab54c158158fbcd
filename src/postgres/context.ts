import type { ResidualPort, SessionPort } from '../sql/ports.js';
import type { SessionEncodingState } from '../trusted/encoding-state.js';
import type { TransactionStatus } from '../wire/messages.js';
import type { ClientCopy } from './client-copy.js';
import type { ClientLoop } from './client-loop.js';
import type { ClientOutput } from './client-output.js';
import type { Cursors } from './cursors.js';
import type { FetchTally } from './fetch-tally.js';
import type { GatewayOptions, LocalUser } from './options.js';
import type { ClientPortals, PreparedStatements } from './prepared.js';
import type { SettingsView } from './settings.js';
import type { PipelinePort } from './statement-port.js';
import type { TemporaryObjects } from './temporary-objects.js';
import type { Transaction } from './transaction.js';
import type { TrustedSide } from './trusted-side.js';

/** What is known of the role that a session acts as. The trusted backend knows it at any time (role-now.ts). */
export interface ActingRole {
  /** a role of the application; undefined: the session's own */
  current: string | undefined;
  /** what SET SESSION AUTHORIZATION said, which a superuser of the cloud may; undefined: the session's own */
  authorized: string | undefined;
  /** the session has set it at some time */
  touched: boolean;
  /** the client was told last that it is a superuser, or not; undefined: as it began */
  superuser?: boolean;
}

/** What the parts of a careful session share. */
export interface CarefulContext {
  readonly options: GatewayOptions;
  readonly user: LocalUser;
  readonly processId: number;
  readonly output: ClientOutput;
  readonly cloud: PipelinePort;
  readonly trusted: TrustedSide;
  readonly residual: ResidualPort | undefined;
  readonly transaction: Transaction;
  readonly temporary: TemporaryObjects;
  /** state of encodings, with this transaction's changes */
  readonly encodingState: SessionEncodingState | undefined;
  readonly statements: PreparedStatements;
  readonly portals: ClientPortals;
  /** those whose rows the trusted side keeps */
  readonly cursors: Cursors;
  readonly settings: SettingsView;
  readonly acting: ActingRole;
  /** the client's messages */
  readonly loop: Pick<ClientLoop, 'syncIsNext'>;
  /** the session as planning and executors see it */
  readonly port: SessionPort;
  /** status told with the last ReadyForQuery of the cloud, or come to since by a statement that ended a failed one */
  status: TransactionStatus;
  /** an error was told: the client's messages are skipped until Sync */
  readonly skipping: boolean;
  /** number of the batch that is being sent: one more with each Sync */
  readonly batch: number;
  /** number of requests to cancel */
  readonly cancelRequests: number;
  /** what the split statement that is running has fetched */
  readonly fetched: FetchTally;
  /** number of statements executed */
  executed: number;
  /** number of those before the transaction, should it be an implicit one */
  executedBefore: number;
  /** something other than a read was executed since the last Sync */
  wrote: boolean;
  /** a write was executed with a limit of rows, whose effect the rest of the batch sees only after a Parse */
  unseen: boolean;
  /** work of ours whose outcome may still be an error, in its place in the pipeline */
  pending: number;
  /** one of those has its outcome, and the client knows it */
  workSettled(): void;
  /** tells the client an error in its turn, aborts the transaction and skips until Sync */
  fail(error: unknown): void;
  /** work at its turn failed: like `fail`, with what the client has not seen yet taken back */
  failAtTurn(error: unknown): void;
  /** a Query went out: it ends a batch as a Sync does */
  sentQuery(): void;
  /** resolves when no work of ours is pending */
  settled(): Promise<void>;
  /** runs a COPY FROM STDIN of the client; resolves when its data have ended */
  copy(copy: ClientCopy): Promise<void>;
  /** the server has ended it */
  copyOver(): void;
}

/** The transaction has failed: PostgreSQL takes only what ends it, or goes back to a savepoint. */
export const isFailed = ({ status }: CarefulContext): boolean => status === 'E';

/** Everything asked of the cloud is answered. @returns false when an error among it made the session skip */
export async function drained(context: CarefulContext): Promise<boolean> {
  await context.settled();
  await context.cloud.pipeline.drained();
  return !context.skipping;
}
