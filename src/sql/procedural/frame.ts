/** A body while it runs: its variables, what it evaluates and runs, and what it must heed meanwhile. */
import { setImmediate as turn } from 'node:timers/promises';
import { ClarusError } from '../../errors.js';
import { milliseconds } from '../durations.js';
import type { SessionPort } from '../ports.js';
import { deparseExpression } from '../raw/deparse.js';
import { list, type RawNode, stringOf, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { mustHoldNoNames } from './body-settings.js';
import { mustBeAllowed } from './permitted.js';
import { withGivenRelations } from './relations.js';
import { type Outcome, type RoutineServices, runStatement } from './run.js';
import { type Bound, type Preference, Substitution } from './substitution.js';
import type { Target } from './syntax.js';
import { open, RECORD, Types, textOf, typeBigint, type Value, type ValueType } from './types.js';
import {
  fieldOf,
  moveRow,
  mustTake,
  type RowValues,
  type RowVariable,
  type Scope,
  type WholeRow,
} from './variables.js';

/** Is it SET search_path, or a call of set_config? */
function maySetPath(raw: RawNode): boolean {
  if (raw.VariableSetStmt) return /^search_path$/i.test(String(raw.VariableSetStmt.name));
  let calls = false;
  visit(raw, (kind, fields) => {
    if (kind === 'FuncCall') calls ||= stringOf(list(fields, 'funcname').at(-1)) === 'set_config';
  });
  return calls;
}

/** Steps of a body after which others have their turn. */
const stepsAtOnce = 200;

/** What bodies are run for, and by. */
export class Execution {
  readonly types: Types;
  readonly #cancelRequests: number;
  readonly #deadline_ms: number;
  #steps = 0;

  constructor(
    readonly session: SessionPort,
    readonly services: RoutineServices,
  ) {
    this.types = new Types(session);
    this.#cancelRequests = session.cancelRequests;
    const timeout_ms = milliseconds(session.settings.statementTimeout);
    this.#deadline_ms = timeout_ms > 0 ? performance.now() + timeout_ms : Number.POSITIVE_INFINITY;
  }

  /**
   * To be called before each statement of a body: it may loop without ever waiting for a server.
   * @throws ClarusError 57014 where the client has cancelled, or time is over
   */
  async step(): Promise<void> {
    if (++this.#steps % stepsAtOnce === 0) await turn();
    if (this.session.cancelRequests > this.#cancelRequests)
      throw new ClarusError('57014', 'canceling statement due to user request');
    if (performance.now() > this.#deadline_ms)
      throw new ClarusError('57014', 'canceling statement due to statement timeout');
  }

  /** Runs a statement in which variables have become parameters. */
  run({ sql, values, overGiven }: Bound): Promise<Outcome> {
    return runStatement(sql, values, this.session, this.services, overGiven);
  }
}

/** Variables of one body, with the execution that it is part of. */
export class Frame {
  /** what ROW_COUNT tells: of the last statement, and of the last expression that PostgreSQL runs as one */
  rowCount: Value = open('0', typeBigint);

  constructor(
    readonly execution: Execution,
    private readonly preference: Preference,
  ) {}

  get types(): Types {
    return this.execution.types;
  }

  /** Runs a statement of the body. */
  async run(sql: string, scope: Scope): Promise<Outcome> {
    const raw = parseOne(sql);
    mustBeAllowed(raw);
    if (maySetPath(raw)) await mustHoldNoNames(scope, this.types);
    return this.execution.run(await this.bound(sql, scope));
  }

  /** A statement as it is run: variables, and the rows of relations that the body is given, are parameters. */
  async bound(sql: string, scope: Scope): Promise<Bound> {
    const { session } = this.execution;
    const over = withGivenRelations(sql, scope);
    const bound = await new Substitution(scope, this.types, session, this.preference).bind(over ?? sql);
    return over === undefined ? bound : { ...bound, overGiven: true };
  }

  /** The value of an expression. @throws ClarusError 42601, 21000 */
  async evaluate(expression: string, scope: Scope): Promise<Value> {
    const atHand = valueAtHand(expression, scope);
    if (atHand) return atHand;
    const [value, ...more] = await this.evaluateRow(expression, scope);
    if (!value || more.length > 0)
      throw new ClarusError('42601', `query returned ${1 + more.length} columns`, {
        detail: 'An expression of PL/pgSQL gives one value.',
      });
    return value.value;
  }

  /** The values of expressions with commas between them. */
  async evaluateRow(expressions: string, scope: Scope): Promise<RowValues> {
    const outcome = await this.run(`SELECT ${expressions}`, scope);
    this.#counted(expressions, outcome);
    return rowOf(outcome, 0);
  }

  /**
   * The row that an expression gives: a variable, a row constructor, something of a composite type, or what `otherwise`
   * makes of a value that is none.
   */
  async rowValues(
    expression: string,
    scope: Scope,
    otherwise: (value: Value) => Promise<WholeRow>,
  ): Promise<WholeRow> {
    const raw = soleExpression(expression);
    const names = raw?.ColumnRef && list(raw.ColumnRef, 'fields').map(stringOf);
    const found = names && scope.find(names);
    if (found && found.rest.length === 0 && found.variable.kind === 'row') {
      const { isNull, fields } = found.variable;
      return isNull ? { isNull } : { values: fields! };
    }
    if (raw?.RowExpr) {
      const values = await this.evaluateRow(
        list(raw.RowExpr, 'args').map(deparseExpression).join(', '),
        scope,
      );
      return { values: values.map((value, i) => ({ ...value, name: `f${i + 1}` })) };
    }
    if (!(await this.#isComposite(expression, scope))) {
      const value = await this.evaluate(expression, scope);
      return value.text === null ? { isNull: value } : otherwise(value);
    }
    const outcome = await this.run(fieldsOfRow(expression), scope);
    this.#counted(expression, outcome);
    return wholeRow(outcome);
  }

  async #isComposite(expression: string, scope: Scope): Promise<boolean> {
    const { sql, values } = await this.bound(`SELECT ${expression}`, scope);
    const { shape } = await this.execution.session.analyse(
      sql,
      values.map(({ type }) => type.oid),
    );
    const oid = shape.columns?.[0]?.typeOid;
    return oid === RECORD || (oid !== undefined && (await this.types.facts(oid)).kind === 'c');
  }

  /** A value that is no row, assigned to a variable of one: by its text (exec_cast_value in pl_exec.c). */
  async #rowOfText(value: Value, type: ValueType | undefined): Promise<WholeRow> {
    if (!type) throw new ClarusError('0A000', 'input of anonymous composite types is not implemented');
    const row = await this.types.assigned(value, type);
    const { name } = await this.types.facts(type.oid);
    return { values: rowOf(await this.execution.run({ sql: `SELECT ($1::${name}).*`, values: [row] }), 0) };
  }

  /** Notes how many rows an expression gave. @throws ClarusError 21000 for more than one */
  #counted(expressions: string, { rows, secretCount }: Outcome): void {
    if (!isSimple(expressions)) this.countRows(rows.length, secretCount);
    if (rows.length > 1) throw new ClarusError('21000', `query "${expressions}" returned more than one row`);
  }

  /** @param secret the number may depend on a protected column, and no cloud knows it */
  countRows(count: number, secret: boolean): void {
    this.rowCount = { ...open(String(count), typeBigint), secret };
  }

  /** Is a condition true? NULL is not. */
  async holds(condition: string, scope: Scope): Promise<boolean> {
    const value = await this.evaluate(condition, scope);
    return textOf(await this.types.assigned(value, { oid: 16, modifier: -1 })) === 't';
  }

  /** Assigns a value to a variable or a field. */
  async assign(target: Target, scope: Scope, value: Value): Promise<void> {
    const found = scope.find(target);
    if (!found || found.rest.length > 1) throw unknownVariable(target);
    const { variable, rest } = found;
    if (variable.kind === 'scalar') {
      if (rest.length > 0) throw unknownVariable(target);
      mustTake(variable, false);
      const assigned = await this.types.assigned(value, variable.type);
      mustTake(variable, assigned.text === null);
      variable.value = assigned;
      return;
    }
    mustTake(variable, false);
    if (rest.length === 0) throw new Error('a row is assigned as one');
    const field = fieldOf(variable, rest[0]!);
    field.value = await this.types.assigned(value, field.type);
    variable.isNull = undefined;
  }

  /** Assigns what an expression gives to a variable of a row. */
  async assignRowOf(variable: RowVariable, expression: string, scope: Scope): Promise<void> {
    const { type } = variable;
    await this.#assignWhole(
      variable,
      await this.rowValues(expression, scope, value => this.#rowOfText(value, type)),
    );
  }

  /** Assigns a row, or NULL. */
  async #assignWhole(variable: RowVariable, row: WholeRow): Promise<void> {
    mustTake(variable, 'isNull' in row);
    await moveRow(variable, row, this.types);
  }

  /** The row that a value of a composite type is. */
  async rowOfValue(value: Value): Promise<WholeRow> {
    const { name } = await this.types.facts(value.type.oid);
    return wholeRow(await this.execution.run({ sql: fieldsOfRow(`$1::${name}`), values: [value] }));
  }

  /** Assigns a value of its composite type to a variable of a row. */
  async assignRowValue(variable: RowVariable, value: Value): Promise<void> {
    await moveRow(variable, await this.rowOfValue(value), this.types);
  }

  /** What a variable of a row holds, as one value. */
  async valueOfRow({ type, isNull, fields }: RowVariable): Promise<Value> {
    if (isNull || !fields || !type) return isNull ?? open(null, type ?? { oid: RECORD, modifier: -1 });
    const { name } = await this.types.facts(type.oid);
    const row = `ROW(${fields.map((_, i) => `$${i + 1}`).join(', ')})::${name}`;
    const values = fields.map(({ value }) => value);
    return rowOf(await this.execution.run({ sql: `SELECT ${row}`, values }), 0)[0]!.value;
  }

  /** Assigns an element of an array to what a loop names. @throws ClarusError 42804 */
  async assignElement(targets: readonly Target[], scope: Scope, value: Value): Promise<void> {
    const [target, ...more] = targets;
    const row = more.length === 0 ? rowVariable(target!, scope) : undefined;
    if (!row && more.length === 0) return this.assign(target!, scope, value);
    if ((await this.types.facts(value.type.oid)).kind !== 'c')
      throw new ClarusError(
        '42804',
        `cannot assign non-composite value to a ${row ? 'record' : 'row'} variable`,
      );
    const whole = await this.rowOfValue(value);
    if (row) return this.#assignWhole(row, whole);
    await this.assignRow(targets, scope, 'values' in whole ? whole.values : []);
  }

  /** Assigns a row of values to what INTO or a loop names. */
  async assignRow(targets: readonly Target[], scope: Scope, values: RowValues): Promise<void> {
    const row = targets.length === 1 ? rowVariable(targets[0]!, scope) : undefined;
    if (row) return this.#assignWhole(row, { values });
    for (const [i, target] of targets.entries()) {
      const value = values[i]?.value ?? open(null, { oid: 25, modifier: -1 });
      await this.assign(target, scope, value);
    }
  }
}

/**
 * Is it an expression that PL/pgSQL evaluates without a query of its own, so that ROW_COUNT stays (exec_simple_check_plan
 * in pl_exec.c)?
 */
function isSimple(expressions: string): boolean {
  const {
    targetList,
    limitOption: _limit,
    op: _op,
    ...more
  } = parseOne(`SELECT ${expressions}`).SelectStmt ?? {};
  let queries = false;
  visit(targetList, kind => {
    queries ||= kind === 'SubLink';
  });
  return !queries && Object.keys(more).length === 0;
}

/** The fields of a value, behind whether it is a NULL and no row of NULLs; variables do not bear the names here. */
const fieldsOfRow = (expression: string): string =>
  `SELECT "*q*"."*r*" IS NOT DISTINCT FROM NULL, ("*q*"."*r*").* FROM (SELECT ${expression} AS "*r*") AS "*q*"`;

function wholeRow(outcome: Outcome): WholeRow {
  const [isNull, ...values] = rowOf(outcome, 0);
  return textOf(isNull!.value) === 'f' ? { values } : { isNull: { ...isNull!.value, text: null } };
}

/** A variable of a row that is named as a whole. */
export function rowVariable(target: Target, scope: Scope): RowVariable | undefined {
  const found = scope.find(target);
  if (!found) throw unknownVariable(target);
  return found.variable.kind === 'row' && found.rest.length === 0 ? found.variable : undefined;
}

/** A row of an outcome as values with their names; the place of no row gives NULLs. */
export const rowOf = ({ rows, columns, secret }: Outcome, place: number): RowValues =>
  columns.map(({ name, typeOid, typeModifier }, i) => {
    const type = { oid: typeOid, modifier: typeModifier };
    return { name, type, value: { type, text: rows[place]?.[i] ?? null, secret: secret[i]! } };
  });

/** What needs no server: a variable alone, a number or a truth value. */
function valueAtHand(expression: string, scope: Scope): Value | undefined {
  const raw = soleExpression(expression);
  const names = raw?.ColumnRef && list(raw.ColumnRef, 'fields');
  if (names && !names.some(name => name.A_Star)) return heldValue(names.map(stringOf), scope);
  const constant = raw?.A_Const;
  if (constant?.ival)
    return open(String((constant.ival as { ival?: number }).ival ?? 0), { oid: 23, modifier: -1 });
  if (constant?.boolval)
    return open((constant.boolval as { boolval?: boolean }).boolval ? 't' : 'f', { oid: 16, modifier: -1 });
  return undefined;
}

/** The one expression that a text is; undefined: it is more than that. */
export function soleExpression(expression: string): RawNode | undefined {
  const {
    targetList,
    limitOption: _limit,
    op: _op,
    ...more
  } = parseOne(`SELECT ${expression}`).SelectStmt ?? {};
  const [first, ...others] = (targetList as readonly RawNode[] | undefined) ?? [];
  if (!first || others.length > 0 || Object.keys(more).length > 0) return undefined;
  return first.ResTarget?.val as RawNode | undefined;
}

function heldValue(names: readonly string[], scope: Scope): Value | undefined {
  const found = scope.find(names);
  if (!found) return undefined;
  const { variable, rest } = found;
  if (variable.kind === 'scalar') return rest.length === 0 ? variable.value : undefined;
  return rest.length === 1 ? fieldOf(variable, rest[0]!).value : undefined;
}

/** @throws ClarusError 42601 */
export const unknownVariable = (names: readonly string[]): ClarusError =>
  new ClarusError('42601', `"${names.join('.')}" is not a known variable`);
