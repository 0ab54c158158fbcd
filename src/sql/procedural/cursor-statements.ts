/** OPEN, FETCH, MOVE and CLOSE, and loops over cursors, as pl_exec.c runs them. */
import { ClarusError } from '../../errors.js';
import { physical } from '../compilation.js';
import { collect } from '../execute/collect.js';
import { go, type OpenCursors } from './cursors.js';
import { type Frame, rowOf, unknownVariable } from './frame.js';
import type { Outcome } from './run.js';
import type { CursorArguments, Direction, Source, Statement, Target } from './syntax.js';
import { open, textOf, typeInt, typeText } from './types.js';
import { type BoundCursor, REFCURSOR, type Scalar, Scope, variableOf } from './variables.js';

type Kind<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

/** What a body has to run cursors with. */
export interface CursorRunner {
  readonly frame: Frame;
  readonly cursors: OpenCursors;
  /** Rows of a query. */
  rows(source: Source, scope: Scope): Promise<Outcome>;
  setFound(found: boolean): void;
}

/** @throws ClarusError 42P03, 42P11, 54000 */
export async function openCursor(
  { cursor, scrolls, source, arguments: given }: Kind<'open'>,
  scope: Scope,
  runner: CursorRunner,
): Promise<void> {
  const variable = variableNamed(cursor, scope);
  const { name } = variable;
  if (source ? variable.cursor !== undefined : variable.cursor === undefined)
    throw new ClarusError(
      '42601',
      source ? `cursor "${name}" has a query of its own` : `cursor variable "${name}" has no query`,
    );
  const called = textOf(variable.value);
  if (called !== null) await mustBeFree(called, runner);
  if (!variable.cursor) return keep(variable, called, await runner.rows(source!, scope), scrolls, runner);
  const outcome = await rowsOfBound(name, variable.cursor, given, scope, runner);
  return keep(variable, called, outcome, variable.cursor.declaration.scrolls, runner);
}

async function keep(
  variable: Scalar,
  called: string | null,
  outcome: Outcome,
  scrolls: boolean | undefined,
  { frame, cursors }: CursorRunner,
): Promise<void> {
  mustReturnRows(outcome);
  const name = called ?? cursors.nextName();
  cursors.mustBeFree(name);
  cursors.open(name, outcome, { scrolls: scrolls !== false });
  if (called === null) variable.value = await frame.types.assigned(open(name, typeText), variable.type);
}

/** @throws ClarusError 42P11 */
export function mustReturnRows({ columns, tag }: Outcome): void {
  if (columns.length > 0) return;
  throw new ClarusError('42P11', `cannot open ${tag.replace(/ \d.*$/, '') || 'this'} query as cursor`);
}

/** Rows of a cursor with a query of its own. */
async function rowsOfBound(
  name: string,
  bound: BoundCursor,
  given: CursorArguments,
  scope: Scope,
  runner: CursorRunner,
): Promise<Outcome> {
  const { frame } = runner;
  const inner = new Scope(bound.scope, name, bound.declaration.parameters);
  for (const [i, expression] of argumentsOf(name, bound, given).entries()) {
    const { name: parameter, type } = bound.parameters[i]!;
    const variable = await variableOf(parameter, type, frame.types);
    if (variable.kind === 'row')
      throw new ClarusError('0A000', 'parameters of cursors of composite types are not answered yet');
    variable.value = await frame.types.assigned(await frame.evaluate(expression, scope), variable.type);
    inner.declare(variable);
  }
  return runner.rows({ kind: 'query', sql: bound.declaration.query }, inner);
}

/** Arguments in the order of the parameters (read_cursor_args in pl_gram.y). @throws ClarusError 42601 */
function argumentsOf(name: string, { parameters }: BoundCursor, given: CursorArguments): readonly string[] {
  if (parameters.length === 0 && given) throw wrong(`cursor "${name}" has no arguments`);
  if (parameters.length > 0 && !given) throw wrong(`cursor "${name}" has arguments`);
  const found = new Map<number, string>();
  for (const [i, { name: parameter, expression }] of (given ?? []).entries()) {
    if (i >= parameters.length) throw wrong(`too many arguments for cursor "${name}"`);
    const place = parameter === undefined ? i : parameters.findIndex(p => p.name === parameter);
    if (place < 0) throw wrong(`cursor "${name}" has no argument named "${parameter}"`);
    if (found.has(place))
      throw wrong(
        `value for parameter "${parameters[place]!.name}" of cursor "${name}" specified more than once`,
      );
    found.set(place, expression);
  }
  if (found.size < parameters.length) throw wrong(`not enough arguments for cursor "${name}"`);
  return parameters.map((_, i) => found.get(i)!);
}

const wrong = (message: string): ClarusError => new ClarusError('42601', message);

/** FETCH and MOVE: they note how many rows they went over or came to. */
export async function fetchFromCursor(
  { cursor, direction, targets }: Kind<'fetch'>,
  scope: Scope,
  runner: CursorRunner,
): Promise<void> {
  const { frame, cursors } = runner;
  const called = nameOf(cursor, scope);
  await mustBeOfBodies(called.name, runner);
  const found = cursors.get(called.name);
  const { count, secret } = await countOf(direction, scope, frame);
  found.secret ||= secret || called.secret;
  const { count: reached, row } = go(found, direction.kind, count, !targets);
  const values = rowOf(found.outcome, row ?? -1);
  const hidden = values.map(field => ({ ...field, value: { ...field.value, secret: true } }));
  if (targets) await frame.assignRow(targets, scope, found.secret ? hidden : values);
  frame.countRows(reached, found.secret || found.outcome.secretCount);
  runner.setFound(reached > 0);
}

/** @throws ClarusError 22004 */
async function countOf(
  { count }: Direction,
  scope: Scope,
  frame: Frame,
): Promise<{ readonly count: number; readonly secret: boolean }> {
  if (typeof count === 'number') return { count, secret: false };
  const value = await frame.types.assigned(await frame.evaluate(count, scope), typeInt);
  if (value.text === null) throw new ClarusError('22004', 'relative or absolute cursor position is null');
  return { count: Number(textOf(value)), secret: value.secret };
}

/** @throws ClarusError 34000, 22004, 0A000 */
export async function closeCursor(
  { cursor }: Kind<'close'>,
  scope: Scope,
  runner: CursorRunner,
): Promise<void> {
  const { name } = nameOf(cursor, scope);
  await mustBeOfBodies(name, runner);
  runner.cursors.close(runner.cursors.get(name).name);
}

const namesQuery = physical('SELECT name FROM pg_catalog.pg_cursors', []);

/** Has the session a cursor that no body has opened? Which name is meant may be a secret. */
async function isDeclared(name: string, { frame }: CursorRunner): Promise<boolean> {
  const { cloud, cursors } = frame.execution.session;
  if (cursors.has(name)) return true;
  const rows = await collect(cloud, namesQuery, [], [], [0]);
  return rows.some(([known]) => Buffer.from(known ?? []).toString() === name);
}

/** @throws ClarusError 42P03, 54000 */
async function mustBeFree(name: string, runner: CursorRunner): Promise<void> {
  runner.cursors.mustBeFree(name);
  if (await isDeclared(name, runner)) throw new ClarusError('42P03', `cursor "${name}" already in use`);
}

/** @throws ClarusError 0A000 for one that the client has declared */
async function mustBeOfBodies(name: string, runner: CursorRunner): Promise<void> {
  if (runner.cursors.has(name) || !(await isDeclared(name, runner))) return;
  throw new ClarusError('0A000', 'a cursor of the session is not answered within a function or DO block', {
    hint: 'Open it there.',
  });
}

/** The name of the cursor that a variable means. @throws ClarusError 22004 where it is NULL */
function nameOf(cursor: Target, scope: Scope): { readonly name: string; readonly secret: boolean } {
  const variable = variableNamed(cursor, scope);
  const called = textOf(variable.value);
  if (called === null) throw new ClarusError('22004', `cursor variable "${variable.name}" is null`);
  return { name: called, secret: variable.value.secret };
}

/** @throws ClarusError 42601, 42804 */
function variableNamed(names: Target, scope: Scope): Scalar {
  const found = scope.find(names);
  if (!found) throw unknownVariable(names);
  const { variable, rest } = found;
  if (variable.kind !== 'scalar' || rest.length > 0 || variable.type.oid !== REFCURSOR)
    throw new ClarusError('42804', `variable "${names.join('.')}" must be of type cursor or refcursor`);
  return variable;
}

/** A cursor that a loop goes over. */
export interface CursorLoop {
  readonly outcome: Outcome;
  /** to be called when the loop has ended */
  over(): void;
}

/**
 * The cursor that a loop over rows means.
 * @returns undefined: it means a query
 * @throws ClarusError 42601 for one without a query of its own, 42P03
 */
export async function cursorOfLoop(
  source: Source,
  targets: readonly Target[],
  scope: Scope,
  runner: CursorRunner,
): Promise<CursorLoop | undefined> {
  const named = source.kind === 'query' ? source.cursor : undefined;
  const variable = named && scope.find([named.name])?.variable;
  if (!named || variable?.kind !== 'scalar' || variable.type.oid !== REFCURSOR) return undefined;
  if (!variable.cursor) throw wrong('cursor FOR loop must use a bound cursor variable');
  if (targets.length > 1 || targets[0]!.length > 1)
    throw wrong('cursor FOR loop must have only one target variable');
  const { cursors, frame } = runner;
  const called = textOf(variable.value);
  if (called !== null) await mustBeFree(called, runner);
  const outcome = await rowsOfBound(named.name, variable.cursor, named.arguments, scope, runner);
  mustReturnRows(outcome);
  const name = called ?? cursors.nextName();
  cursors.mustBeFree(name);
  cursors.open(name, outcome, { scrolls: variable.cursor.declaration.scrolls !== false, pinned: true });
  if (called === null) variable.value = await frame.types.assigned(open(name, typeText), variable.type);
  return {
    outcome,
    over() {
      cursors.close(name);
      if (called === null) variable.value = { ...variable.value, text: null };
    },
  };
}
