/**
 * Runs bodies in PL/pgSQL as pl_exec.c does: control flow here, expressions by the trusted PostgreSQL, each statement of
 * SQL as a statement of its own, planned and protected like the client's.
 */
import { ClarusError } from '../../errors.js';
import { type Activity, at } from './activity.js';
import { writable } from './arguments.js';
import { closeCursor, fetchFromCursor, openCursor } from './cursor-statements.js';
import type { OpenCursors } from './cursors.js';
import { declared } from './declare.js';
import { runDynamic } from './dynamic.js';
import { assignElement } from './elements.js';
import { type Caught, catches, caught, diagnosticItem } from './errors.js';
import { type Frame, rowOf, rowVariable } from './frame.js';
import { type BodyRunner, type Flow, Loops } from './loops.js';
import { failedAssertion, raise } from './raise.js';
import type { BodyResult } from './returned.js';
import type { Outcome } from './run.js';
import type { Block, Branch, Into, Source, Statement } from './syntax.js';
import { Tracking } from './tracking.js';
import { open, typeBool, typeText } from './types.js';
import { errorVariable, Scope } from './variables.js';

/** One body while it runs. */
export class Interpreter implements BodyRunner {
  readonly #loops: Loops;
  /** COMMIT and ROLLBACK are errors in all of it */
  readonly #atomic: boolean;
  /** errors that are being handled, the latest last */
  readonly #handled: Caught[] = [];
  /** blocks with handlers that are running */
  #subtransactions = 0;

  readonly #tracking: Tracking;

  /**
   * @param returned takes what the body returns
   * @param signature what errors call the body
   */
  constructor(
    readonly frame: Frame,
    private readonly returned: BodyResult,
    private readonly activity: Activity,
    signature: string,
  ) {
    this.#tracking = new Tracking(signature, activity.places);
    this.#loops = new Loops(this);
    this.#atomic = activity.atomic;
  }

  get cursors(): OpenCursors {
    return this.activity.cursors;
  }

  /** Runs the whole body. */
  body(block: Block, outer: Scope): Promise<Flow> {
    return at(this.activity, this.#tracking.place, () => this.block(block, outer));
  }

  async block(block: Block, outer: Scope | undefined): Promise<Flow> {
    const { handlers } = block;
    const flow = handlers ? await this.#guarded(block, handlers, outer) : await this.#plain(block, outer);
    if (
      typeof flow === 'object' &&
      flow.kind === 'exit' &&
      flow.label !== undefined &&
      flow.label === block.label
    )
      return 'next';
    return flow;
  }

  async #plain(block: Block, outer: Scope | undefined): Promise<Flow> {
    const scope = await this.#tracking.declaring(begins => declared(block, outer, this.frame, begins));
    return this.statements(block.body, scope);
  }

  /** A block with EXCEPTION: a subtransaction. Declarations are outside of what it guards. */
  async #guarded(
    block: Block,
    handlers: NonNullable<Block['handlers']>,
    outer: Scope | undefined,
  ): Promise<Flow> {
    const scope = await this.#tracking.declaring(begins => declared(block, outer, this.frame, begins));
    const { session } = this.frame.execution;
    const { atomic } = this.activity;
    const { cursors } = this;
    const opened = cursors.mark();
    this.#subtransactions++;
    let error: unknown;
    try {
      this.activity.atomic = true;
      return await session.transaction.subtransaction(() => this.statements(block.body, scope));
    } catch (thrown) {
      error = thrown;
    } finally {
      this.#subtransactions--;
      this.activity.atomic = atomic;
    }
    const found = caught(error, session.catalog(), session.transaction.acting !== undefined);
    const handler = found && handlers.find(h => catches(h, found.diagnostic.code));
    if (!found || !handler) throw error;
    cursors.rollBackTo(opened);
    const inner = new Scope(scope, undefined, handler);
    inner.declare(
      errorVariable('sqlstate', { ...open(found.diagnostic.code, typeText), secret: found.secretState }),
    );
    inner.declare(
      errorVariable('sqlerrm', {
        type: typeText,
        text: Buffer.from(found.diagnostic.message),
        secret: found.secret,
      }),
    );
    this.#handled.push(found);
    try {
      return await this.statements(handler.body, inner);
    } finally {
      this.#handled.pop();
    }
  }

  async statements(list: readonly Statement[], scope: Scope): Promise<Flow> {
    for (const statement of list) {
      await this.frame.execution.step();
      const flow = await this.#tracking.statement(statement, () => this.#statement(statement, scope));
      if (flow !== 'next') return flow;
    }
    return 'next';
  }

  async #statement(statement: Statement, scope: Scope): Promise<Flow> {
    const { frame } = this;
    switch (statement.kind) {
      case 'null':
        return 'next';
      case 'block':
        return this.block(statement, scope);
      case 'if':
        return this.#if(statement.branches, statement.otherwise, scope);
      case 'case':
        return this.#case(statement, scope);
      case 'exit':
        if (statement.when !== undefined && !(await frame.holds(statement.when, scope))) return 'next';
        return { kind: statement.goesOn ? 'continue' : 'exit', label: statement.label };
      case 'loop':
      case 'while':
      case 'for-integer':
      case 'for-rows':
      case 'foreach':
        return this.#loops.run(statement, scope);
      case 'return':
        await this.returned.one(statement.expression, frame, scope);
        return 'return';
      default:
        await this.#simple(statement, scope);
        return 'next';
    }
  }

  /** A statement after which the next one follows. */
  async #simple(statement: Statement, scope: Scope): Promise<void> {
    const { frame } = this;
    switch (statement.kind) {
      case 'assign':
        return this.#assign(statement.target, statement.expression, scope);
      case 'sql':
        return this.#sql(statement.sql, statement.into, scope);
      case 'perform':
        this.setFound(
          this.#counted(await this.#tracking.running(statement.sql, frame.run(statement.sql, scope))),
        );
        return;
      case 'call':
        return this.#call(statement.sql, scope);
      case 'execute':
        return this.#execute(statement, scope);
      case 'return-next':
        return this.returned.next(statement.expression, frame, scope);
      case 'return-query': {
        const outcome = await this.rows(statement.source, scope);
        await this.returned.rows(outcome, frame);
        this.#counted(outcome);
        this.setFound(outcome.rows.length > 0);
        return;
      }
      case 'raise':
        if (statement.again) throw this.#handling('RAISE without parameters').error;
        return raise(statement, frame, scope);
      case 'assert':
        return this.#assert(statement, scope);
      case 'diagnostics':
        return this.#diagnostics(statement, scope);
      case 'open':
        return openCursor(statement, scope, this);
      case 'fetch':
        return fetchFromCursor(statement, scope, this);
      case 'close':
        return closeCursor(statement, scope, this);
      case 'end-transaction':
        return this.#end(statement);
    }
  }

  async #if(
    branches: readonly Branch[],
    otherwise: readonly Statement[] | undefined,
    scope: Scope,
  ): Promise<Flow> {
    for (const { condition, body } of branches)
      if (await this.frame.holds(condition, scope)) return this.statements(body, scope);
    return otherwise ? this.statements(otherwise, scope) : 'next';
  }

  async #case(
    { subject, branches, otherwise }: Extract<Statement, { kind: 'case' }>,
    scope: Scope,
  ): Promise<Flow> {
    if (subject === undefined) {
      const flow = await this.#firstThatHolds(branches, scope, condition => condition);
      if (flow) return flow;
    } else {
      const value = await this.frame.evaluate(subject, scope);
      const name = '*case*';
      const inner = new Scope(scope, undefined, branches);
      inner.declare({ kind: 'scalar', name, type: value.type, constant: true, notNull: false, value });
      const flow = await this.#firstThatHolds(branches, inner, list => `"${name}" IN (${list})`);
      if (flow) return flow;
    }
    if (!otherwise)
      throw new ClarusError('20000', 'case not found', { hint: 'CASE statement is missing ELSE part.' });
    return this.statements(otherwise, scope);
  }

  async #firstThatHolds(
    branches: readonly Branch[],
    scope: Scope,
    conditionOf: (text: string) => string,
  ): Promise<Flow | undefined> {
    for (const { condition, body } of branches)
      if (await this.frame.holds(conditionOf(condition), scope)) return this.statements(body, scope);
    return undefined;
  }

  async #assign(target: string, expression: string, scope: Scope): Promise<void> {
    const { frame } = this;
    const simple = await assignElement(target, expression, scope, frame);
    if (!simple) return;
    const row = rowVariable(simple, scope);
    if (!row) return frame.assign(simple, scope, await frame.evaluate(expression, scope));
    await frame.assignRowOf(row, expression, scope);
  }

  async #sql(sql: string, into: Into | undefined, scope: Scope): Promise<void> {
    const outcome = await this.#tracking.running(sql, this.frame.run(sql, scope));
    const writes = /^(INSERT|UPDATE|DELETE|MERGE) /.test(outcome.tag);
    const found = this.#counted(outcome);
    if (writes || outcome.isQuery) this.setFound(found);
    // a SELECT is run no further than its first row
    if (into && outcome.isQuery) this.frame.countRows(Math.min(outcome.rows.length, 1), outcome.secretCount);
    if (into)
      await this.#into(outcome, into, writes, scope, {
        hint: 'Make sure the query returns a single row, or use LIMIT 1.',
      });
    else if (outcome.columns.length > 0)
      throw new ClarusError('42601', 'query has no destination for result data', {
        ...(outcome.isQuery
          ? { hint: 'If you want to discard the results of a SELECT, use PERFORM instead.' }
          : {}),
      });
  }

  /** @param writes more than one row is an error, as it is with STRICT */
  async #into(
    outcome: Outcome,
    { strict, targets }: Into,
    writes: boolean,
    scope: Scope,
    hint: { readonly hint?: string } = {},
  ): Promise<void> {
    if (outcome.columns.length === 0)
      throw new ClarusError('42601', 'INTO used with a command that cannot return data');
    if (outcome.rows.length === 0 && strict) throw new ClarusError('P0002', 'query returned no rows');
    if (outcome.rows.length > 1 && (strict || writes))
      throw new ClarusError('P0003', 'query returned more than one row', hint);
    await this.frame.assignRow(targets, scope, rowOf(outcome, 0));
  }

  async #call(sql: string, scope: Scope): Promise<void> {
    const outcome = await this.#tracking.running(sql, this.frame.run(sql, scope));
    const row = rowOf(outcome, 0);
    for (const [i, place] of (outcome.outputs ?? []).entries()) {
      const target = writable(sql, place);
      if (!target)
        throw new ClarusError(
          '42601',
          `procedure parameter "${row[i]!.name}" is an output parameter but corresponding argument is not writable`,
        );
      await this.frame.assignRow([target], scope, [row[i]!]);
    }
  }

  async #execute(
    { text, into, using }: Extract<Statement, { kind: 'execute' }>,
    scope: Scope,
  ): Promise<void> {
    const outcome = await this.dynamic(text, using, scope);
    this.#counted(outcome);
    if (into) await this.#into(outcome, into, false, scope);
  }

  /** Rows of a query. */
  rows(source: Source, scope: Scope): Promise<Outcome> {
    return source.kind === 'query'
      ? this.frame.run(source.sql, scope)
      : this.dynamic(source.text, source.using, scope);
  }

  /** EXECUTE. */
  dynamic(text: string, using: readonly string[], scope: Scope): Promise<Outcome> {
    return runDynamic(text, using, scope, this.frame, this.#tracking);
  }

  async #assert({ condition, message }: Extract<Statement, { kind: 'assert' }>, scope: Scope): Promise<void> {
    if (await this.frame.holds(condition, scope)) return;
    throw failedAssertion(message === undefined ? undefined : await this.frame.evaluate(message, scope));
  }

  async #diagnostics(
    { stacked, items }: Extract<Statement, { kind: 'diagnostics' }>,
    scope: Scope,
  ): Promise<void> {
    for (const { target, item } of items) {
      if (stacked) {
        const { diagnostic, secret } = this.#handling('GET STACKED DIAGNOSTICS');
        if (item === 'pg_exception_context') throw noContext();
        const text = Buffer.from(diagnosticItem(diagnostic, item));
        await this.frame.assign(target, scope, { type: typeText, text, secret });
      } else if (item === 'row_count') await this.frame.assign(target, scope, this.frame.rowCount);
      else throw noContext();
    }
  }

  /** The error that is being handled. @throws ClarusError 0Z002 */
  #handling(what: string): Caught {
    const found = this.#handled.at(-1);
    if (!found) throw new ClarusError('0Z002', `${what} cannot be used outside an exception handler`);
    return found;
  }

  async #end({ action, chain }: Extract<Statement, { kind: 'end-transaction' }>): Promise<void> {
    if (this.#atomic) throw new ClarusError('2D000', 'invalid transaction termination');
    if (this.#subtransactions > 0)
      throw new ClarusError(
        '2D000',
        action === 'commit'
          ? 'cannot commit while a subtransaction is active'
          : 'cannot roll back while a subtransaction is active',
      );
    if (chain) throw new ClarusError('0A000', 'AND CHAIN in a procedure is not answered yet');
    await this.frame.execution.session.transaction.renew(action);
    this.cursors.endTransaction();
  }

  setFound(found: boolean): void {
    this.returned.found.value = open(found ? 't' : 'f', typeBool);
  }

  /** Notes how many rows a statement was about. @returns whether there was one */
  #counted({ tag, secretCount }: Outcome): boolean {
    const count = Number(/ (\d+)$/.exec(tag)?.[1] ?? '0');
    this.frame.countRows(count, secretCount);
    return count > 0;
  }
}

const noContext = (): ClarusError =>
  new ClarusError('0A000', 'where an error comes from is not told to functions and DO blocks');
