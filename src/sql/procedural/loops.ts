/** Loops of a body. */
import { ClarusError } from '../../errors.js';
import { readerOn } from '../reading.js';
import { type CursorLoop, type CursorRunner, cursorOfLoop, mustReturnRows } from './cursor-statements.js';
import { rowOf } from './frame.js';
import type { Loop, Statement } from './syntax.js';
import { open, type TypeFacts, textOf, typeInt, type Value } from './types.js';
import { Scope, variableOf } from './variables.js';

/** How a statement ended: the next one follows, or the body is left, or a loop or block. */
export type Flow =
  | 'next'
  | 'return'
  | { readonly kind: 'exit' | 'continue'; readonly label: string | undefined };

/** What runs the statements within loops. */
export interface BodyRunner extends CursorRunner {
  statements(list: readonly Statement[], scope: Scope): Promise<Flow>;
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
    const { frame, cursors } = this.interpreter;
    const cursor = await cursorOfLoop(loop.source, loop.targets, scope, this.interpreter);
    if (cursor) return this.#forCursor(loop, cursor, scope);
    for (const target of loop.targets)
      if (!scope.find(target))
        throw new ClarusError(
          '42601',
          'loop variable of loop over rows must be a record variable or list of scalar variables',
        );
    const outcome = await this.interpreter.rows(loop.source, scope);
    mustReturnRows(outcome);
    cursors.nextName();
    if (outcome.rows.length === 0) await frame.assignRow(loop.targets, scope, rowOf(outcome, 0));
    for (const place of outcome.rows.keys()) {
      await frame.assignRow(loop.targets, scope, rowOf(outcome, place));
      await frame.execution.step();
      const { goesOn, flow } = await this.#round(loop, scope);
      if (!goesOn) return this.#ended(true, flow);
    }
    return this.#ended(outcome.rows.length > 0, 'next');
  }

  /** The variable is one of the loop, whatever has its name around it. */
  async #forCursor(loop: Kind<'for-rows'>, { outcome, over }: CursorLoop, outer: Scope): Promise<Flow> {
    const { frame } = this.interpreter;
    const scope = new Scope(outer, loop.label, loop);
    scope.declare(await variableOf(loop.targets[0]![0]!, 'record', frame.types));
    for (const place of outcome.rows.keys()) {
      await frame.assignRow(loop.targets, scope, rowOf(outcome, place));
      await frame.execution.step();
      const { goesOn, flow } = await this.#round(loop, scope);
      if (goesOn) continue;
      over();
      return this.#ended(true, flow);
    }
    over();
    return this.#ended(outcome.rows.length > 0, 'next');
  }

  async #forEach(loop: Kind<'foreach'>, scope: Scope): Promise<Flow> {
    const { frame } = this.interpreter;
    const array = await frame.evaluate(loop.array, scope);
    if (array.text === null) throw new ClarusError('22004', 'FOREACH expression must not be null');
    const elements = loop.slice > 0 ? await this.#slices(array, loop.slice) : await this.#elements(array);
    await this.#mustTakeElements(loop, scope);
    for (const value of elements) {
      await frame.assignElement(loop.targets, scope, value);
      await frame.execution.step();
      const { goesOn, flow } = await this.#round(loop, scope);
      if (!goesOn) return this.#ended(true, flow);
    }
    return this.#ended(elements.length > 0, 'next');
  }

  /** @throws ClarusError 42804 */
  async #mustTakeElements({ targets, slice }: Kind<'foreach'>, scope: Scope): Promise<void> {
    const found = targets.length === 1 ? scope.find(targets[0]!) : undefined;
    if (found?.variable.kind !== 'scalar') {
      if (slice > 0) throw noArray();
      return;
    }
    const { kind, element } = await this.interpreter.frame.types.facts(found.variable.type.oid);
    if (slice > 0 && kind !== 'd' && element === 0) throw noArray();
    if (slice === 0 && kind !== 'd' && element !== 0)
      throw new ClarusError('42804', 'FOREACH loop variable must not be of an array type');
  }

  /** Parts of an array of as many dimensions as SLICE says, with their bounds (array_create_iterator in arrayfuncs.c). */
  async #slices(array: Value, slice: number): Promise<readonly Value[]> {
    const { name } = await this.#arrayFacts(array);
    const read = readerOn(this.interpreter.frame.execution.session.trusted);
    const given = textOf(array);
    const bounds = await read(
      `SELECT pg_catalog.array_lower(a.v, d)::text, pg_catalog.array_upper(a.v, d)::text
         FROM (SELECT $1::${name}) AS a (v), pg_catalog.generate_series(1, pg_catalog.array_ndims(a.v)) AS d ORDER BY d`,
      [given],
    );
    if (slice > bounds.length)
      throw new ClarusError(
        '2202E',
        `slice dimension (${slice}) is out of the valid range 0..${bounds.length}`,
      );
    const outer = bounds.length - slice;
    const places = bounds.slice(0, outer).map((_, i) => `i${i + 1}`);
    const series = places.map((place, i) => {
      const [lower, upper] = bounds[i]!;
      return `, pg_catalog.generate_series(${lower}, ${upper}) AS s${place} (${place})`;
    });
    const subscripts = [...places.map(place => `[${place}:${place}]`), ...Array<string>(slice).fill('[:]')];
    const order = places.length > 0 ? ` ORDER BY ${places.join(', ')}` : '';
    const rows = await read(
      `SELECT (a.v${subscripts.join('')})::text FROM (SELECT $1::${name}) AS a (v)${series.join('')}${order}`,
      [given],
    );
    const inner = bounds.slice(outer);
    const prefix = inner.every(([lower]) => lower === '1')
      ? ''
      : `${inner.map(([lower, upper]) => `[${lower}:${upper}]`).join('')}=`;
    // each of the outer dimensions is one of one element
    return rows.map(([text]) => ({
      ...array,
      text: Buffer.from(prefix + text!.slice(outer, text!.length - outer)),
    }));
  }

  async #arrayFacts(array: Value): Promise<TypeFacts> {
    const facts = await this.interpreter.frame.types.facts(array.type.oid);
    if (facts.element === 0)
      throw new ClarusError('42804', `FOREACH expression must yield an array, not type ${facts.name}`);
    return facts;
  }

  async #elements(array: Value): Promise<readonly Value[]> {
    const { execution } = this.interpreter.frame;
    const { element, name } = await this.#arrayFacts(array);
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

const noArray = (): ClarusError =>
  new ClarusError('42804', 'FOREACH ... SLICE loop variable must be of an array type');
