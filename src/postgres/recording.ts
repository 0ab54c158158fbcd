/** One statement of a session as the audit journal hears of it: before it runs, and when its outcome is known. */
import { ClarusError, ofDepth } from '../errors.js';
import type { Plan } from '../sql/plan.js';
import type { ExecuteOutcome } from '../sql/ports.js';
import { PostgresError } from '../wire/diagnostic.js';
import { backendTypes } from '../wire/protocol.js';
import type { CarefulContext } from './context.js';
import type { AnswerHandler } from './expectations.js';

/** What a pipeline tells of the statement's answer; also told by whoever knows the outcome from elsewhere. */
export class Recording implements AnswerHandler {
  readonly #context: CarefulContext;
  readonly #number: number;
  readonly #maxRows: number;
  readonly #plan: Plan;
  readonly #began_ms = performance.now();
  #ended = false;
  #failed = false;
  /** what waits for the statement's end goes on */
  #release: (() => void) | undefined;

  /** @param maxRows of its Execute; 0: no limit */
  constructor(context: CarefulContext, number: number, maxRows: number, plan: Plan) {
    this.#context = context;
    this.#number = number;
    this.#maxRows = maxRows;
    this.#plan = plan;
  }

  /** CommandComplete, PortalSuspended or EmptyQueryResponse; the first one counts. */
  done(type: number, tag: string): void {
    this.#end(type === backendTypes.portalSuspended ? this.#maxRows : rowsOf(tag), undefined);
  }

  /** It ended with an error. */
  get hasFailed(): boolean {
    return this.#failed;
  }

  failed(error: unknown): void {
    if (!this.#ended) this.#failed = true;
    this.#end(0, codeOf(error));
  }

  /** What an execution of ours came to. */
  outcome(outcome: ExecuteOutcome): void {
    this.#end(outcome.kind === 'suspended' ? this.#maxRows : rowsOf(outcome.tag), undefined);
  }

  /**
   * Runs the statement, and hears of what it throws.
   * @param answered true: it is over when `work` is; false: `done` or `failed` will be told
   */
  watch(work: () => void | Promise<void>, answered: boolean): void | Promise<void> {
    let pending: void | Promise<void>;
    try {
      this.#release = this.#context.options.planner.running?.(this.#plan, this.#context.port);
      pending = work();
    } catch (error) {
      this.failed(error);
      throw error;
    }
    if (pending === undefined) return answered ? this.over() : undefined;
    return pending.then(
      () => (answered ? this.over() : undefined),
      error => {
        this.failed(error);
        throw error;
      },
    );
  }

  /** It came to its end without a word: nothing was to be said, or the session skips it. */
  over(): void {
    this.#end(0, this.#context.skipping ? skippedCode : undefined);
  }

  #end(rows: number, code: string | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#release?.();
    const { options, processId, user, fetched } = this.#context;
    // a check may read columns of rows that a statement writes
    const taken = fetched.take();
    const isSplit = this.#plan.kind === 'protected' && this.#plan.split === true;
    // It has run: whether the journal has room concerns the next one, which asks again.
    const room = options.audit?.({
      kind: 'statement-end',
      session: processId,
      user: user.name,
      number: this.#number,
      rows,
      code,
      fetched: isSplit || taken.length > 0 ? taken : undefined,
      duration_ms: Math.round((performance.now() - this.#began_ms) * 1_000) / 1_000,
    });
    room?.catch(() => undefined);
  }
}

/**
 * Counts a statement and tells the journal of it; then runs it.
 * @param work is given what must hear of the outcome
 * @returns a promise also when the journal has no room for the statement: it waits
 */
export function recorded<T>(
  context: CarefulContext,
  plan: Plan,
  maxRows: number,
  work: (recording: Recording) => T | Promise<T>,
): T | Promise<T> {
  const { options, user, processId } = context;
  const number = ++context.executed;
  options.count?.('statements');
  const recording = new Recording(context, number, maxRows, plan);
  const room = options.audit?.({ kind: 'statement', session: processId, user: user.name, number, plan });
  return room === undefined ? work(recording) : room.then(() => work(recording));
}

/** The number at the end of a command tag: `SELECT 3`, `INSERT 0 3`; 0 where there is none. */
function rowsOf(tag: string): number {
  let rows = 0;
  for (let at = tag.length - 1, unit = 1; at >= 0; at--, unit *= 10) {
    const digit = tag.charCodeAt(at) - zero;
    if (digit < 0 || digit > 9) return rows;
    rows += digit * unit;
  }
  return rows;
}
const zero = 0x30;

function codeOf(thrown: unknown): string {
  const error = ofDepth(thrown);
  if (error instanceof PostgresError) return error.diagnostic.code;
  return error instanceof ClarusError ? error.code : internalErrorCode;
}

/** internal_error (PostgreSQL, Appendix A): a defect of ours */
const internalErrorCode = 'XX000';
/** in_failed_sql_transaction: an earlier error made the session skip it */
const skippedCode = '25P02';
