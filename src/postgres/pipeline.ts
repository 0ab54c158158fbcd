import { type Diagnostic, decodeDiagnostic, PostgresError, writeDiagnostic } from '../wire/diagnostic.js';
import type { FrameReader } from '../wire/frame-reader.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { TransactionStatus } from '../wire/messages.js';
import { backendTypes, frontendTypes } from '../wire/protocol.js';
import { AnswerReader } from './answer-reader.js';
import { isCompletion, meaning, meaningOf } from './answers.js';
import type { ClientOutput } from './client-output.js';
import { descriptionFor } from './described.js';
import { type Endpoint, holds } from './endpoint.js';
import { ExpectationQueue } from './expectation-queue.js';
import {
  type AnswerHandler,
  dropped,
  type Expectation,
  expects,
  internal,
  own,
  ownReady,
  type Work,
  waiting,
} from './expectations.js';
import { aborted } from './failure.js';
import type { PipelineHooks } from './pipeline-hooks.js';
import { Refusals } from './refusals.js';
import { isFatal, parameterStatus, tagOf } from './server-reports.js';
import { Waiters } from './waiters.js';

/** Is a statement of the client's planned or run, and not one of ours beside it? */
const isOfRun = (head: Expectation | undefined): boolean =>
  (head?.expects === expects.bind || head?.expects === expects.execute) && head.handler?.quiet !== true;

/** Name of a portal that never exists: executing it aborts the server's transaction. */
const poisonPortal = 'clarus_abort';

/**
 * One server's side of a session: messages go out in batches, answers are matched with what was asked, and the
 * client gets its share in the order of its own messages. What becomes of a batch after an error is in `refusals.ts`.
 */
export class Pipeline {
  /** what goes to the server; `send` writes it */
  readonly writer = new MessageWriter();
  /** something was asked since the last Sync */
  dirty = false;
  /** number of what is asked until the next Sync */
  batch = 0;
  readonly #answers = new AnswerReader();
  readonly #queue = new ExpectationQueue();
  readonly #output: ClientOutput;
  readonly #hooks: PipelineHooks;
  readonly #refusals: Refusals;
  #endpoint: Endpoint | undefined;
  #unflushed = false;
  #blocked = false;
  #running = false;
  readonly #idleWaiters = new Waiters();
  readonly #roomWaiters = new Waiters();
  readonly #turnWaiters = new Waiters();
  #lost: unknown;

  constructor(output: ClientOutput, hooks: PipelineHooks) {
    this.#output = output;
    this.#hooks = hooks;
    this.#refusals = new Refusals(this.#queue, output, hooks);
  }

  /** Nothing is expected. */
  get idle(): boolean {
    return this.#queue.length === 0;
  }

  /** The server refused something and skips until a Sync that is still to come. */
  get failed(): boolean {
    return this.#refusals.failed;
  }

  /** An answer waits for work of ours. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** What executors write now is in its place: nothing is expected, or the answers before it have been told. */
  get atTurn(): boolean {
    return this.#queue.length === 0 || this.#running || this.#blocked;
  }

  /** Answers are being told. */
  get running(): boolean {
    return this.#running;
  }

  /**
   * Gives the connection, at once or later; what was written before goes out now.
   * @param first statements that run before that, each on its own; what goes wrong with them is passed over
   */
  attach(endpoint: Endpoint, first: readonly string[] = []): void {
    this.#endpoint = endpoint;
    const writer = new MessageWriter(256);
    for (const _ of first) this.#queue.unshift(internal(expects.query));
    for (const sql of first) {
      writer.begin(frontendTypes.query);
      writer.cstring(sql);
      writer.end();
    }
    if (writer.length > 0) endpoint.socket.write(writer.take());
    this.send();
  }

  /** Queues what the message just written will be answered with. */
  expect(entry: Expectation): void {
    if (this.#lost !== undefined) {
      entry.handler?.failed?.(this.#lost);
      return;
    }
    const { expects: kind } = entry;
    if (kind === expects.sync || kind === expects.query) {
      this.dirty = false;
      this.batch++;
      this.#unflushed = false;
      this.#refusals.synchronised();
    } else {
      if (this.#refusals.failed) {
        // the server will not answer; our own words follow an error only after Sync
        entry.handler?.failed?.(aborted());
        return;
      }
      this.dirty = true;
      this.#unflushed = true;
    }
    this.#queue.push(entry);
  }

  /** Sends bytes to the client when everything asked before is answered. @param handler hears where that fails */
  own(bytes: Buffer, handler?: Pick<AnswerHandler, 'failed'>): void {
    if (this.#refusals.failed) handler?.failed?.(aborted());
    else if (this.#queue.length === 0) this.#output.bytes(bytes);
    else this.#queue.push(own(bytes, handler));
  }

  /** Tells the client an error of ours in its turn, unless it has been told another in this batch. */
  tell(bytes: Buffer): void {
    this.#refusals.tell(bytes);
  }

  /** Sends ReadyForQuery to the client in its turn, without asking the server. */
  ownReady(): void {
    this.#refusals.told = false;
    if (this.#queue.length === 0) this.#output.ready(this.#hooks.status());
    else this.#queue.push(ownReady());
  }

  /** Memory that our own answers take while they wait for their turn. */
  get own_bytes(): number {
    return this.#queue.own_bytes;
  }

  /** Asks the server for what our own answers wait for. Resolves when some of them have had their turn. */
  ownTurn(): Promise<void> {
    this.flush();
    return this.#turnWaiters.wait();
  }

  /** Queues work of ours; later answers are told after it has settled. */
  wait(work: Work): void {
    if (this.#lost !== undefined) {
      work.dropped();
      return;
    }
    this.#queue.push(waiting(work));
  }

  /** Makes the server abort its transaction; what it says to that is swallowed. */
  poison(): void {
    if (this.#refusals.failed) return;
    const { writer } = this;
    writer.begin(frontendTypes.execute);
    writer.cstring(poisonPortal);
    writer.int32(0);
    writer.end();
    this.expect(internal(expects.poison));
    this.#refusals.told = true;
  }

  /** Writes a Sync. @param entry what its ReadyForQuery is for */
  sync(entry: Expectation): void {
    this.writer.empty(frontendTypes.sync);
    this.expect(entry);
  }

  /** Asks the server to send what it has, and sends what is written. */
  flush(): void {
    if (this.#unflushed) {
      this.writer.empty(frontendTypes.flush);
      this.#unflushed = false;
    }
    this.send();
  }

  /** Writes what is written to the socket. @returns false when the socket is full */
  send(): boolean {
    if (this.#endpoint === undefined || this.writer.length === 0) return true;
    return this.#endpoint.socket.write(this.writer.take());
  }

  /** Resolves when everything asked so far, and whatever is asked meanwhile, is answered. */
  drained(): Promise<void> {
    this.advance();
    if (this.#queue.length === 0) return Promise.resolve();
    this.flush();
    return this.#idleWaiters.wait();
  }

  /** Resolves when the socket takes more. */
  room(): Promise<void> {
    if (this.#endpoint === undefined || !this.#endpoint.socket.writableNeedDrain) return Promise.resolve();
    return this.#roomWaiters.wait();
  }

  /** The socket takes more. */
  socketDrained(): void {
    this.#roomWaiters.release();
  }

  data(chunk: Buffer): void {
    this.#answers.frame.push(chunk);
    this.advance();
  }

  /** Bytes of the server that are no whole message yet: the connection changes hands. */
  takeRest(): Buffer {
    return this.#answers.frame.takeRest();
  }

  /** Goes on as far as it can. */
  advance(): void {
    if (this.#running || this.#blocked || this.#lost !== undefined) return;
    const before_bytes = this.#queue.own_bytes;
    this.#running = true;
    try {
      this.#run();
    } finally {
      this.#running = false;
    }
    if (this.#queue.own_bytes < before_bytes || this.#queue.length === 0) this.#turnWaiters.release();
    if (this.#queue.length === 0) this.#idleWaiters.release();
  }

  /**
   * Work of ours failed at its turn: the client is told, and sees nothing more of this batch.
   * @returns true when the Sync of the batch is already queued
   */
  failedAtTurn(bytes: Buffer): boolean {
    return this.#refusals.atTurn(bytes);
  }

  /** The connection is gone: everything expected fails. */
  close(error: unknown): void {
    this.#lost = error;
    dropped(this.#queue.clear(), error);
    this.#idleWaiters.release();
    this.#roomWaiters.release();
    this.#turnWaiters.release();
  }

  #run(): void {
    const answers = this.#answers;
    while (this.#settleOwn() && answers.next(this.#queue.first)) {
      this.#dispatch(answers.frame);
      if (this.#blocked) return;
    }
    if (!this.#blocked) this.#deliver();
  }

  /** Handles entries at the head that need nothing of the server. @returns false when one has not settled */
  #settleOwn(): boolean {
    for (;;) {
      const head = this.#queue.first;
      if (head === undefined || head.expects < expects.own) return true;
      if (head.expects === expects.own) this.#output.bytes(head.bytes!);
      else if (head.expects === expects.ready) this.#output.ready(this.#hooks.status());
      else {
        const work = head.work!;
        if (!work.settled) {
          this.#block(wake => {
            work.wake = wake;
          });
          return false;
        }
        this.#queue.shift();
        work.finish();
        continue;
      }
      this.#queue.shift();
    }
  }

  #dispatch(reader: FrameReader): void {
    const { type, buffer, body, end } = reader;
    const head = this.#queue.first;
    if (reader.run) {
      this.#output.add(buffer, reader.start, end);
      return;
    }
    const gathered = this.#answers.gather(head);
    if (gathered === 'full') this.#deliver();
    if (gathered !== 'other') return;
    switch (type) {
      case backendTypes.parameterStatus:
        if (this.#hooks.parameter(...parameterStatus(reader))) this.#output.add(buffer, reader.start, end);
        return;
      case backendTypes.noticeResponse:
        this.#onNotice(reader, head);
        return;
      case backendTypes.notificationResponse:
        this.#hooks.notification(reader);
        return;
      case backendTypes.errorResponse:
        this.#onError(this.#errorOf(decodeDiagnostic(buffer, body, end)), head);
        return;
    }
    this.#answer(reader, head);
  }

  #answer(reader: FrameReader, head: Expectation | undefined): void {
    const { type, buffer, body, end } = reader;
    const ended = meaningOf(head?.expects, type) === meaning.end;
    const entry = head!;
    if (type === backendTypes.readyForQuery) {
      const status = String.fromCharCode(buffer[body]!) as TransactionStatus;
      this.#queue.shift();
      const told = this.#hooks.ready(status, entry.toClient);
      if (told !== undefined) this.#output.ready(told);
      entry.handler?.done?.(type, '');
      return;
    }
    if (entry.toClient) {
      if (type === backendTypes.rowDescription && entry.bytes !== undefined)
        this.#output.bytes(descriptionFor(entry.bytes, buffer, reader.start, end));
      else this.#output.add(buffer, reader.start, end);
    }
    if (ended) this.#queue.shift();
    const { handler } = entry;
    if (handler === undefined) return;
    if (isCompletion(type)) handler.done?.(type, tagOf(reader));
    else if (!ended || entry.expects === expects.describe) handler.message?.(type, buffer, body, end);
    if (ended && !isCompletion(type)) handler.done?.(type, '');
  }

  #errorOf(diagnostic: Diagnostic): PostgresError {
    const told = this.#hooks.told?.(diagnostic) ?? diagnostic;
    return new PostgresError(this.#hooks.trusted ? { ...told, trusted: true } : told);
  }

  #onError(error: PostgresError, head: Expectation | undefined): void {
    if (head === undefined || isFatal(error)) this.#hooks.fatal(error);
    else this.#refusals.ofServer(error, head);
  }

  #onNotice(reader: FrameReader, head: Expectation | undefined): void {
    const said = decodeDiagnostic(reader.buffer, reader.body, reader.end);
    const diagnostic = this.#hooks.told?.(said) ?? said;
    if (head?.handler?.notice !== undefined) head.handler.notice(diagnostic);
    else if (this.#hooks.notice(diagnostic, head === undefined || head.toClient, isOfRun(head))) {
      if (diagnostic === said) this.#output.add(reader.buffer, reader.start, reader.end);
      else writeDiagnostic(this.#output.message(), 'NoticeResponse', diagnostic);
    }
  }

  /** Gives gathered rows to the handler of the Execute they belong to. */
  #deliver(): void {
    const { rows } = this.#answers;
    if (rows.count === 0) return;
    // taken whether or not somebody wants them: a statement of ours may return rows that nobody reads
    const taken = rows.take();
    const pending = this.#queue.first?.handler?.rows?.(taken);
    if (pending === undefined) return;
    this.#block(wake => {
      pending.then(wake, wake);
    });
  }

  /** Stops until something of ours has happened. */
  #block(arrange: (wake: () => void) => void): void {
    this.#blocked = true;
    this.#endpoint?.hold(holds.busy);
    arrange(() => {
      this.#blocked = false;
      this.advance();
      if (!this.#blocked) this.#endpoint?.release(holds.busy);
      this.#output.flushSoon();
    });
  }
}
