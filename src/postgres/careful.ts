import { ClarusError, ofDepth } from '../errors.js';
import { withoutRows } from '../sql/acting/told.js';
import { isTold } from '../sql/notices.js';
import type { SessionPort } from '../sql/ports.js';
import type { SessionEncodingState } from '../trusted/encoding-state.js';
import { PostgresError } from '../wire/diagnostic.js';
import { writeBackend } from '../wire/encode-backend.js';
import type { FrameReader } from '../wire/frame-reader.js';
import type { TransactionStatus } from '../wire/messages.js';
import { frontendTypes } from '../wire/protocol.js';
import { adoptSettings, adoptStatements } from './adoption.js';
import { Batches } from './batches.js';
import type { ClientCopy } from './client-copy.js';
import { ClientLoop } from './client-loop.js';
import { ClientOutput } from './client-output.js';
import { fromCloud, toCloud } from './cloud-names.js';
import { type ActingRole, type CarefulContext, drained } from './context.js';
import { Cursors } from './cursors.js';
import { holds } from './endpoint.js';
import { expects, forwarded } from './expectations.js';
import { bindMessage, closeMessage, describeMessage, executeMessage, parse } from './extended.js';
import { describeDefect, errorMessage, sessionEnded } from './failure.js';
import { FetchTally } from './fetch-tally.js';
import type { Mode, ModeHost } from './mode.js';
import type { GatewayOptions, LocalUser } from './options.js';
import { Pipeline } from './pipeline.js';
import { ClientPortals, PreparedStatements } from './prepared.js';
import { ResidualSide } from './residual-side.js';
import { notificationFor } from './server-reports.js';
import { ContextPort } from './session-port.js';
import { SettingsView } from './settings.js';
import { query } from './simple.js';
import { PipelinePort } from './statement-port.js';
import { TemporaryObjects } from './temporary-objects.js';
import { Transaction } from './transaction.js';
import { endInternal } from './transaction-control.js';
import { TrustedSide } from './trusted-side.js';
import { Visit } from './visit.js';
import { Waiters } from './waiters.js';

/** A session that plans every statement: the database has protected tables. */
export class CarefulMode implements Mode, CarefulContext {
  readonly options: GatewayOptions;
  readonly user: LocalUser;
  readonly processId: number;
  readonly output: ClientOutput;
  readonly cloud: PipelinePort;
  readonly trusted: TrustedSide;
  readonly residual: ResidualSide | undefined;
  readonly encodingState: SessionEncodingState | undefined;
  readonly transaction: Transaction;
  readonly temporary: TemporaryObjects;
  readonly statements: PreparedStatements;
  readonly portals: ClientPortals;
  readonly cursors: Cursors;
  readonly settings: SettingsView;
  readonly acting: ActingRole = { current: undefined, authorized: undefined, touched: false };
  readonly port: SessionPort;
  readonly fatalTold = false;
  status: TransactionStatus = 'I';
  skipping = false;
  readonly fetched = new FetchTally();
  executed = 0;
  executedBefore = 0;
  cancelRequests = 0;
  wrote = false;
  unseen = false;
  pending = 0;
  readonly #host: ModeHost;
  readonly loop: ClientLoop;
  readonly #visit: Visit;
  readonly #batches: Batches;
  /** work of ours failed when the Sync of its batch was already on its way */
  #poisonAtReady = false;
  readonly #settledWaiters = new Waiters();

  constructor(host: ModeHost) {
    this.#host = host;
    const { options } = host;
    const { limits } = options;
    this.options = options;
    this.user = host.user;
    this.processId = host.processId;
    this.output = new ClientOutput(host.client, limits.client_buffer_bytes_max, bytes =>
      options.count?.('bytes_to_clients', bytes),
    );
    this.encodingState = options.encodingState?.();
    this.cursors = new Cursors(limits.portals_max, name => this.residual?.release(name));
    this.temporary = new TemporaryObjects();
    this.transaction = new Transaction(this.encodingState, this.cursors, this.temporary);
    this.cloud = new PipelinePort(this.#cloudPipeline(), false, undefined, sql => toCloud(sql, this.port));
    this.trusted = new TrustedSide(this.output, {
      connect: options.connectTrusted,
      user: host.user,
      settings: host.greeted.settings.settings,
      defaults: () => this.settings.defaults,
      applicationName: host.greeted.settings.applicationName,
      carries: options.residual !== undefined,
      transaction: this.transaction,
      schema: () => this.port.catalog(),
      tells: severity => isTold(severity, this.settings.current.clientMinMessages),
      failed: error => host.terminate(error),
      applicationNameChanged: value => {
        writeBackend(this.output.message(), { kind: 'ParameterStatus', name: 'application_name', value });
        this.output.flushSoon();
      },
    });
    this.residual =
      options.residual && new ResidualSide(this, options.residual, error => host.terminate(error));
    this.statements = new PreparedStatements(limits.prepared_statements_max);
    this.portals = new ClientPortals(limits.portals_max);
    this.settings = new SettingsView(host.connection.parameters);
    this.port = new ContextPort(this);
    this.#visit = new Visit(this, host);
    this.#batches = new Batches(this, error => host.terminate(error));
    this.loop = new ClientLoop(host, this.cloud.pipeline, this.output, {
      handle: reader => this.#handle(reader),
      fail: error => this.fail(error),
      rested: () => {
        if (this.idle) host.becameIdle();
      },
    });
  }

  get batch(): number {
    return this.#batches.sent;
  }

  get idle(): boolean {
    return (
      this.loop.idle &&
      !this.skipping &&
      this.cloud.pipeline.idle &&
      !this.cloud.pipeline.dirty &&
      this.trusted.pipeline.idle &&
      (this.residual?.pipeline.idle ?? true)
    );
  }

  start(): void {
    this.cloud.pipeline.attach(this.#host.cloud);
  }

  /** Takes over a session that went by untouched. */
  adopt(): void {
    this.loop.wait(adoptSettings(this).then(() => (this.#visit.goesOn ? undefined : adoptStatements(this))));
    this.loop.finish();
  }

  clientData(chunk: Buffer): void {
    this.loop.data(chunk);
  }

  serverData(chunk: Buffer): void {
    const { pipeline } = this.cloud;
    pipeline.data(chunk);
    if (pipeline.blocked) this.output.flushSoon();
    else this.output.flush();
    if (this.output.full) this.#host.cloud.hold(holds.full);
    if (this.idle) this.#host.becameIdle();
  }

  serverDrained(): void {
    this.cloud.pipeline.socketDrained();
    this.#host.client.release(holds.full);
  }

  clientDrained(): void {
    this.output.drained();
    this.#host.cloud.release(holds.full);
    this.loop.drained();
  }

  catalogChanged(): void {
    // each plan is compared with the catalogue when it is used
  }

  async cancel(): Promise<void> {
    this.cancelRequests++;
    await Promise.all([
      this.cloud.pipeline.idle ? undefined : this.#host.connection.cancel(),
      this.trusted.cancel(),
      this.residual?.cancel(),
    ]);
  }

  close(): void {
    this.transaction.number++;
    this.cloud.pipeline.close(sessionEnded());
    this.trusted.close();
    this.residual?.close();
    this.output.drained();
    this.loop.copyOver();
    this.workSettled(this.pending);
  }

  fail(error: unknown): void {
    const bytes = this.#errorBytes(ofDepth(error));
    if (bytes === undefined) return;
    const { pipeline } = this.cloud;
    const inTransaction = this.transaction.block || pipeline.dirty || this.status === 'T';
    pipeline.tell(bytes);
    if (inTransaction) pipeline.poison();
    this.skipping = true;
  }

  failAtTurn(error: unknown): void {
    const bytes = this.#errorBytes(ofDepth(error));
    if (bytes === undefined) return;
    const { pipeline } = this.cloud;
    if (pipeline.failedAtTurn(bytes)) {
      this.#poisonAtReady = this.transaction.explicit;
      return;
    }
    if (this.transaction.block || pipeline.dirty) pipeline.poison();
    this.skipping = true;
  }

  settled(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    this.cloud.flush();
    return this.#settledWaiters.wait();
  }

  workSettled(count = 1): void {
    this.pending -= count;
    if (this.pending === 0) this.#settledWaiters.release();
  }

  sentQuery(): void {
    this.#batches.end();
  }

  copy(copy: ClientCopy): Promise<void> {
    return this.loop.copy(copy);
  }

  copyOver(): void {
    this.loop.copyOver();
  }

  #handle(reader: FrameReader): void | Promise<void> {
    const { type } = reader;
    if (type === frontendTypes.terminate) {
      this.cloud.pipeline.send();
      return this.#host.clientLeft();
    }
    if (this.#visit.isBetweenBatches)
      return this.#visit.begin(reader).then(stays => (stays ? this.#message(reader) : undefined));
    return this.#message(reader);
  }

  #message(reader: FrameReader): void | Promise<void> {
    const { type } = reader;
    if (type === frontendTypes.sync) this.#visit.synced();
    else if (this.#batches.unsure) return this.#batches.sure().then(() => this.#act(reader));
    return this.#act(reader);
  }

  #act(reader: FrameReader): void | Promise<void> {
    const { type } = reader;
    if (this.skipping && type !== frontendTypes.sync) return;
    try {
      switch (type) {
        case frontendTypes.query:
          return this.#query(reader);
        case frontendTypes.parse:
          return parse(this, reader);
        case frontendTypes.bind:
          return bindMessage(this, reader);
        case frontendTypes.describe:
          return describeMessage(this, reader);
        case frontendTypes.execute:
          return executeMessage(this, reader);
        case frontendTypes.close:
          return closeMessage(this, reader);
        case frontendTypes.flush:
          return this.cloud.pipeline.flush();
        case frontendTypes.sync:
          return this.#sync();
        case frontendTypes.functionCall:
          this.fail(
            new ClarusError('0A000', 'function calls by message are refused', { hint: 'Call it in SQL.' }),
          );
          return this.#sync();
        default:
          // CopyData, CopyDone and CopyFail may still come after a COPY that failed
          return;
      }
    } catch (error) {
      this.fail(error);
    }
  }

  #query(reader: FrameReader): void | Promise<void> {
    const failed = (error: unknown): void | Promise<void> => {
      this.fail(error);
      return this.#sync();
    };
    let needsSync: boolean | Promise<boolean>;
    try {
      needsSync = query(this, reader);
    } catch (error) {
      return failed(error);
    }
    if (needsSync instanceof Promise) {
      return needsSync.then(needed => (needed ? this.#sync() : undefined), failed);
    }
    return needsSync ? this.#sync() : undefined;
  }

  /** The client's Sync, or the end of its Query. */
  #sync(): void | Promise<void> {
    if (this.transaction.internal) {
      // how the statements before ended decides between COMMIT and ROLLBACK
      return drained(this)
        .then(() => endInternal(this, this.skipping))
        .then(() => this.#sendSync());
    }
    if (this.pending > 0 && this.transaction.explicit) {
      // nothing follows before the outcome is known: it decides the status to tell
      this.#sendSync();
      return this.settled();
    }
    // an error of ours must still be able to take back what was written
    if (this.pending > 0 && this.wrote) return this.settled().then(() => this.#sendSync());
    this.#sendSync();
  }

  #sendSync(): void {
    this.skipping = false;
    this.#batches.end();
    this.trusted.settle();
    const { pipeline } = this.cloud;
    if (pipeline.dirty || pipeline.failed) pipeline.sync(forwarded(expects.sync));
    else pipeline.ownReady();
    pipeline.send();
  }

  #notify(reader: FrameReader): void {
    const { connection } = this.#host;
    try {
      this.output.bytes(notificationFor(reader, connection.processId, this.processId, this.options.payloads));
    } catch (error) {
      this.output.flush();
      this.#host.terminate(error as ClarusError);
    }
  }

  #cloudPipeline(): Pipeline {
    return new Pipeline(this.output, {
      parameter: (name, value) => {
        this.settings.report(name, value);
        return name !== 'application_name';
      },
      notice: (_diagnostic, toClient) => toClient,
      notification: reader => this.#notify(reader),
      skipping: () => {
        this.skipping = true;
      },
      ready: (status, toClient) => this.#onReady(status, toClient),
      status: () => {
        this.#batches.answer();
        return this.status;
      },
      told: diagnostic => fromCloud(diagnostic, this.port),
      clientError: error => this.#clientError(error),
      fatal: error => {
        this.output.flush();
        this.#host.terminate(error);
      },
    });
  }

  #onReady(status: TransactionStatus, toClient: boolean): TransactionStatus | undefined {
    this.status = status;
    if (!toClient) return undefined;
    if (this.#poisonAtReady) {
      this.#poisonAtReady = false;
      if (status === 'T') {
        const { pipeline } = this.cloud;
        pipeline.poison();
        pipeline.sync(forwarded(expects.sync));
        pipeline.send();
        return undefined;
      }
    }
    this.#batches.answer();
    if (this.cloud.pipeline.idle && !this.loop.busy) this.#batches.followCloud();
    return status;
  }

  /** The error for the client, or undefined when the session ends by it. */
  #errorBytes(error: unknown): Buffer | undefined {
    if (this.#host.ended) return undefined;
    this.options.count?.('errors');
    if (error instanceof ClarusError && error.severity === 'FATAL') {
      this.#host.terminate(error);
      return undefined;
    }
    if (!(error instanceof ClarusError) && !(error instanceof PostgresError)) {
      this.options.log?.('error', 'a statement failed by a defect', {
        session: this.processId,
        what: describeDefect(error),
      });
    }
    const told = this.acting.current === undefined ? error : withoutRows(error);
    return errorMessage(told instanceof PostgresError ? this.#clientError(told) : told);
  }

  #clientError(error: PostgresError): PostgresError | ClarusError {
    return this.options.planner.clientError?.(error, this.port) ?? error;
  }
}
