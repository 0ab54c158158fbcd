/** What a pipeline waits for, in the order in which it was asked. */

import type { DataRows } from '../sql/ports.js';
import type { Diagnostic } from '../wire/diagnostic.js';
import type { Origin } from './failure.js';

/** Kinds of entries; numbers, because they are switched on for every message. */
export const expects = {
  /** ParseComplete */
  parse: 1,
  /** BindComplete */
  bind: 2,
  /** CloseComplete */
  close: 3,
  /** ParameterDescription, then RowDescription or NoData */
  describe: 4,
  /** rows or COPY data, then CommandComplete, PortalSuspended or EmptyQueryResponse */
  execute: 5,
  /** everything that answers a Query, ReadyForQuery included */
  query: 6,
  /** ReadyForQuery */
  sync: 7,
  /** an error that we provoked to abort the transaction */
  poison: 8,
  /** nothing of the server: bytes of ours, sent to the client when their turn comes */
  own: 9,
  /** nothing of the server: ReadyForQuery worded by us with the status of that moment */
  ready: 10,
  /** nothing of the server: work on our side that must settle before later answers are told */
  wait: 11,
} as const;

/** Who is told of the answers that are not the client's. */
export interface AnswerHandler {
  /** DataRow messages. The server is held up while a returned promise is pending. */
  rows?(rows: DataRows): void | Promise<void>;
  /** a body of ParameterDescription, RowDescription, NoData, CopyInResponse or CopyOutResponse */
  message?(type: number, buffer: Buffer, body: number, end: number): void;
  notice?(diagnostic: Diagnostic): void;
  /** what the server notices is not for the client, but for `notice` alone */
  readonly quiet?: true;
  /** the answer is complete. @param tag of CommandComplete, else empty */
  done?(type: number, tag: string): void;
  /** the server refused it, or skipped it after an earlier refusal */
  failed?(error: unknown): void;
}

/** One answer that is due, with who hears of it. */
export interface Expectation {
  readonly expects: number;
  /** answers go to the client */
  toClient: boolean;
  /** an error goes to the client; own: it is one, which an error that the client does not hear of leaves in place */
  tells: boolean;
  readonly handler: AnswerHandler | undefined;
  /** own: what to send; query: RowDescription to send instead of the server's, empty for none */
  readonly bytes: Buffer | undefined;
  /** where the statement begins in the client's text, from where the position of an error counts */
  readonly shift: Origin;
  /** wait: the work that must settle */
  readonly work: Work | undefined;
}

/** Work on our side, in its place in the pipeline. */
export interface Work {
  settled: boolean;
  /** called once by whoever waits at the head of the pipeline */
  wake: (() => void) | undefined;
  /** tells the client the outcome, at its turn */
  finish(): void;
  /** its turn will not come: an error before it ended the batch, or the connection is gone */
  dropped(): void;
}

const expectation = (
  kind: number,
  toClient: boolean,
  handler?: AnswerHandler,
  bytes?: Buffer,
  shift: Origin = 0,
  work?: Work,
): Expectation => ({ expects: kind, toClient, tells: toClient, handler, bytes, shift, work });

/** An answer whose acknowledgement nobody needs, or that a handler takes. */
export const internal = (kind: number, handler?: AnswerHandler): Expectation =>
  expectation(kind, false, handler);

/** A step of ours that belongs to a message of the client: only an error of it is the client's to hear. */
export const step = (kind: number, handler?: AnswerHandler, shift: Origin = 0): Expectation => {
  const entry = expectation(kind, false, handler, undefined, shift);
  entry.tells = true;
  return entry;
};

/** An answer that the client gets as it comes; a handler hears of its end. */
export const forwarded = (kind: number, handler?: AnswerHandler, shift: Origin = 0): Expectation =>
  expectation(kind, true, handler, undefined, shift);

/** A Query. @param rowDescription goes to the client instead of the server's; empty: none; undefined: the server's */
export const forwardedQuery = (
  rowDescription: Buffer | undefined,
  handler?: AnswerHandler,
  shift: Origin = 0,
): Expectation => expectation(expects.query, true, handler, rowDescription, shift);

/** Bytes of ours. @param handler hears where an error before them keeps them from being sent */
export const own = (bytes: Buffer, handler?: AnswerHandler): Expectation => ({
  ...expectation(expects.own, true, handler, bytes),
  tells: false,
});

/** An error of ours to be told. */
export const ownError = (bytes: Buffer): Expectation => ({ ...own(bytes), tells: true });

/** ReadyForQuery of ours. */
export const ownReady = (): Expectation => expectation(expects.ready, true);

/** Work of ours. */
export const waiting = (work: Work): Expectation =>
  expectation(expects.wait, true, undefined, undefined, 0, work);

/** Tells of entries that their answers will not come. */
export function dropped(entries: readonly Expectation[], error: unknown): void {
  for (const { handler, work } of entries) {
    handler?.failed?.(error);
    work?.dropped();
  }
}
