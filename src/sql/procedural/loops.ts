/** Loops of a body. */
import { ClarusError } from '../../errors.js';
import { readerOn } from '../reading.js';
import type { Frame } from './frame.js';
import { rowOf } from './frame.js';
import type { Outcome } from './run.js';
import type { Loop, Source, Statement, Target } from './syntax.js';
import { open, textOf, typeInt, type Value } from './types.js';
import { Scope } from './variables.js';

/** How a statement ended: the next one follows, or the body is left, or a loop or block. */
export type Flow =
  | 'next'
  | 'return'
  | { readonly kind: 'exit' | 'continue'; readonly label: string | undefined };

/** What runs the statements within loops. */
export interface BodyRunner {
  readonly frame: Frame;
  statements(list: readonly Statement[], scope: Scope): Promise<Flow>;
  /** Rows of a query. */
  rows(source: Source, scope: Scope): Promise<Outcome>;
  setFound(found: boolean): void;
}

type Kind<K extends Loop['kind']> = Extract<Loop, { kind: K }>;

const INT_MAX = 2_147_483_647;
const INT_MIN = -2_147_483_648;
const one = open('1', typeInt);

/** What a loop does after a round: goes round again, ends, or leaves further blocks. */
type After = { readonly goesOn: boolean; readonly flow: Flow };

/** The loops of one body. */
export class Loops {
  constructor(private readonly interpreter: BodyRunner) {}

  run(loop: Loop, scope: Scope): Promise<Flow> {
    switch (loop.kind) {
      case 'loop':
        return this.#while(loop, scope, async () => true);
      case 'while':
        return this.#while(loop, scope, () => this.interpreter.frame.holds(loop.condition, scope));
      case 'for-integer':
        return this.#forInteger(loop, scope);
      case 'for-rows':
        return this.#forRows(loop, scope);
      case 'foreach':
        return this.#forEach(loop, scope);
    }
  }

  async #while(loop: Loop, scope: Scope, condition: () => Promise<boolean>): Promise<Flow> {
    while (await condition()) {
      await this.interpreter.frame.execution.step();
      const { goesOn, flow } = await this.#round(loop, scope);
      if (!goesOn) return flow;
    }
    return 'next';
  }

  /** One round of the body (LOOP_RC_PROCESSING in pl_exec.c). */
  async #round({ label, body }: Loop, scope: Scope): Promise<After> {
    const flow = await this.interpreter.statements(body, scope);
    if (flow === 'next') return { goesOn: true, flow };
    if (flow === 'return') return { goesOn: false, flow };
    const isOurs = flow.label === undefined || flow.label === label;
    if (!isOurs) return { goesOn: false, flow };
    return { goesOn: flow.kind === 'continue', flow: 'next' };
  }

  async #forInteger(loop: Kind<'for-integer'>, outer: Scope): Promise<Flow> {
    const lower = await this.#bound(loop.from, outer, 'lower bound of FOR loop');
    const upper = await this.#bound(loop.to, outer, 'upper bound of FOR loop');
    const step = loop.by === undefined ? one : await this.#bound(loop.by, outer, 'BY value of FOR loop');
    const [from, to, by] = [Number(textOf(lower)), Number(textOf(upper)), Number(textOf(step))];
    if (by <= 0) throw new ClarusError('22023', 'BY value of FOR loop must be greater than zero');
    const secret = [lower, upper, step].some(bound => bound.secret);
    const counted = (at: number): Value => ({ ...open(String(at), typeInt), secret });
    const scope = new Scope(outer, loop.label, loop);
    const counter = {
      kind: 'scalar' as const,
      name: loop.variable,
      type: typeInt,
      constant: false,
      notNull: false,
      value: counted(from),
    };
    scope.declare(counter);
    let found = false;
    for (let at = from; loop.reverse ? at >= to : at <= to; at += loop.reverse ? -by : by) {
      if (at > INT_MAX || at < INT_MIN) break;
      found = true;
      counter.value = counted(at);
      await this.interpreter.frame.execution.step();
      const { goesOn, flow } = await this.#round(loop, scope);
      if (!goesOn) return this.#ended(found, flow);
    }
    return this.#ended(found, 'next');
  }

  async #bound(expression: string, scope: Scope, what: string): Promise<Value> {
    const { frame } = this.interpreter;
    const value = await frame.types.assigned(await frame.evaluate(expression, scope), typeInt);
    if (value.text === null) throw new ClarusError('22004', `${what} cannot be null`);
    return value;
  }

  async #forRows(loop: Kind<'for-rows'>, scope: Scope): Promise<Flow> {
    const { frame } = this.interpreter;
    for (const target of loop.targets)
      if (!scope.find(target))
        throw new ClarusError(
          '42601',
          'loop variable of loop over rows must be a record variable or list of scalar variables',
        );
    const outcome = await this.interpreter.rows(loop.source, scope);
    if (outcome.columns.length === 0)
      throw new ClarusError('42601', 'cannot open a query that returns no rows');
    if (outcome.rows.length === 0) await frame.assignRow(loop.targets, scope, rowOf(outcome, 0));
    for (const place of outcome.rows.keys()) {
      await frame.assignRow(loop.targets, scope, rowOf(outcome, place));
      await frame.execution.step();
      const { goesOn, flow } = await this.#round(loop, scope);
      if (!goesOn) return this.#ended(true, flow);
    }
    return this.#ended(outcome.rows.length > 0, 'next');
  }

  async #forEach(loop: Kind<'foreach'>, scope: Scope): Promise<Flow> {
    const { frame } = this.interpreter;
    if (loop.slice > 0) throw new ClarusError('0A000', 'FOREACH ... SLICE is not answered yet');
    const array = await frame.evaluate(loop.array, scope);
    if (array.text === null) throw new ClarusError('22004', 'FOREACH expression must not be null');
    const elements = await this.#elements(array);
    await this.#mustTakeElements(loop.targets, scope);
    for (const value of elements) {
      await frame.assignElement(loop.targets, scope, value);
      await frame.execution.step();
      const { goesOn, flow } = await this.#round(loop, scope);
      if (!goesOn) return this.#ended(true, flow);
    }
    return this.#ended(elements.length > 0, 'next');
  }

  /** @throws ClarusError 42804 */
  async #mustTakeElements(targets: readonly Target[], scope: Scope): Promise<void> {
    const found = targets.length === 1 ? scope.find(targets[0]!) : undefined;
    if (found?.variable.kind !== 'scalar') return;
    const { kind, element } = await this.interpreter.frame.types.facts(found.variable.type.oid);
    if (kind !== 'd' && element !== 0)
      throw new ClarusError('42804', 'FOREACH loop variable must not be of an array type');
  }

  async #elements(array: Value): Promise<readonly Value[]> {
    const { types, execution } = this.interpreter.frame;
    const { element, name } = await types.facts(array.type.oid);
    if (element === 0)
      throw new ClarusError('42804', `FOREACH expression must yield an array, not type ${name}`);
    const rows = await readerOn(execution.session.trusted)(
      // in FROM, a composite element would become several columns
      `SELECT pg_catalog.unnest($1::${name})`,
      [textOf(array)],
    );
    const type = { oid: element, modifier: array.type.modifier };
    return rows.map(([text]) => ({
      type,
      text: text === null || text === undefined ? null : Buffer.from(text),
      secret: array.secret,
    }));
  }

  #ended(found: boolean, flow: Flow): Flow {
    this.interpreter.setFound(found);
    return flow;
  }
}
