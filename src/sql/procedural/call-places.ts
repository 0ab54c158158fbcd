/** Calls in a SELECT that run before it, and what takes their places. */
import type { ClarusError } from '../../errors.js';
import { arrayOids } from '../../wire/types.js';
import { physical } from '../compilation.js';
import type { ProtectedPlan, Shape } from '../plan.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparse, deparseExpression } from '../raw/deparse.js';
import {
  child,
  fieldsOf,
  kindOf,
  list,
  paramRef,
  type RawFields,
  type RawNode,
  stringOf,
  target,
} from '../raw/node.js';
import { parseExpression, parseOne } from '../raw/parse.js';
import { routinesCalled } from '../routines.js';
import type { SplitPlanning } from '../split/plan.js';
import { castOf } from '../split/typed-source.js';
import { argumentsOf, givenQuery } from './arguments.js';
import { type Call, type CallsBody, isNullVoid, tellsNull } from './bodies.js';
import { aliasOf, functionIn, rowsGiven } from './calls-in-from.js';
import { isOwnRoutine, PG_NOTIFY, type Routine, routineOf } from './routine.js';
import { Types, typeBool } from './types.js';

/** Plans what is left of a statement as a statement of its own. */
export type PlanPart = SplitPlanning['plan'];

/** set_config (pg_proc.dat) */
const SET_CONFIG = 2078;

/** Calls that run, and the parameters that they give. */
export class Calls {
  readonly #calls: Call[] = [];
  readonly #types: number[];

  constructor(
    private readonly shape: Shape,
    private readonly session: SessionPort,
    private readonly cause: ClarusError,
    private readonly planPart: PlanPart,
  ) {
    this.#types = [...shape.parameterTypes];
  }

  /**
   * @returns numbers of the parameters that stand for its columns; of a set they are arrays of texts, of a single row one
   *   more tells whether it is NULL
   */
  async add(routine: Routine, given: readonly (RawNode | undefined)[]): Promise<readonly number[]> {
    const query = await givenQuery(given, routine, new Types(this.session));
    this.#calls.push({ routine, given: query, parameters: this.#types.length });
    const numbers = routine.columns.map(({ type }) =>
      this.#types.push(routine.isSet ? arrayOids.text : type.oid),
    );
    return tellsNull(routine) ? [...numbers, this.#types.push(typeBool.oid)] : numbers;
  }

  /** @throws cause where the rest needs another side than the trusted one, or is of another shape */
  async plan(
    command: string,
    rest: RawNode | undefined,
    alone: boolean,
    outputs?: CallsBody['outputs'],
  ): Promise<ProtectedPlan> {
    const types = this.#types;
    const { shape, session } = this;
    const sql = rest && deparse(rest);
    if (sql !== undefined) {
      const planned = await this.planPart(parseOne(sql), sql, types);
      if (planned.kind !== 'trusted' || planned.homed || planned.figures) throw this.cause;
      const columns = planned.shape.columns ?? [];
      const wanted = shape.columns ?? [];
      const same =
        columns.length === wanted.length &&
        columns.every(({ name, typeOid }, i) => name === wanted[i]!.name && typeOid === wanted[i]!.typeOid);
      if (!same) throw this.cause;
    }
    const body: CallsBody = {
      kind: 'calls',
      calls: this.#calls,
      types,
      rest: sql === undefined ? undefined : physical(sql, types),
      secrets: session.secrets ?? new Set(),
      alone,
      outputs,
    };
    return { kind: 'protected', command, shape, split: true, writes: true, body };
  }
}

/** The places of calls in a SELECT. */
export class Places {
  found = false;

  constructor(
    private readonly called: ReadonlyMap<number, number>,
    private readonly calls: Calls,
    private readonly session: SessionPort,
    private readonly cause: ClarusError,
  ) {}

  async targets(targets: readonly RawNode[], names: readonly string[]): Promise<readonly RawNode[]> {
    const replaced: RawNode[] = [];
    for (const [i, entry] of targets.entries()) {
      const value = child(fieldsOf(entry), 'val')!;
      const { arg, indirection } = (value.A_Indirection ?? {}) as {
        arg?: RawNode;
        indirection?: readonly RawNode[];
      };
      const all =
        arg?.FuncCall && indirection?.length === 1 && indirection[0]!.A_Star && this.#oid(arg.FuncCall);
      if (!all) {
        const value_ = await this.#value(value, targets.length === 1);
        replaced.push(target(value_, names[replaced.length] ?? names[i]!));
        continue;
      }
      const columns = await this.#columns(arg!.FuncCall!, all);
      for (const column of columns) replaced.push(target(column, names[replaced.length]!));
    }
    return replaced;
  }

  /** A function alone in FROM: its rows. */
  async inFrom(item: RawNode, { parsed }: Analysis): Promise<RawNode> {
    const range = item.RangeFunction;
    const call = range && functionIn(range);
    const oid = call && this.#oid(call);
    if (!range || !call || oid === undefined || range.ordinality || range.coldeflist) throw this.cause;
    const routine = await this.#routine(oid);
    if (!routine || routine.isVoid) throw this.cause;
    const given = argumentsOf(call, routine, this.cause);
    this.#mustReadNothing(given);
    const numbers = await this.calls.add(routine, given);
    const alias = aliasOf(parsed);
    if (!alias) throw this.cause;
    return rowsGiven(routine, numbers, alias, new Types(this.session));
  }

  /** A value in which calls are replaced; they stand where they are run once, whatever the value is. */
  async #value(value: RawNode, alone: boolean): Promise<RawNode> {
    const fields = fieldsOf(value);
    switch (kindOf(value)) {
      case 'FuncCall':
        return this.#call(value, alone);
      case 'TypeCast':
        return { TypeCast: { ...fields, arg: await this.#value(child(fields, 'arg')!, false) } };
      case 'A_Expr': {
        if (fields.kind !== 'AEXPR_OP' || isNull(child(fields, 'lexpr')) || isNull(child(fields, 'rexpr')))
          return this.#untouched(value);
        const sides: Record<string, RawNode> = {};
        for (const side of ['lexpr', 'rexpr']) {
          const inner = child(fields, side);
          if (inner) sides[side] = await this.#value(inner, false);
        }
        return { A_Expr: { ...fields, ...sides } };
      }
      case 'A_Indirection':
        return this.#field(value);
      default:
        return this.#untouched(value);
    }
  }

  /** `(f(...)).column` */
  async #field(value: RawNode): Promise<RawNode> {
    const fields = fieldsOf(value);
    const [first, ...more] = list(fields, 'indirection');
    const call = child(fields, 'arg')?.FuncCall;
    const oid = call && this.#oid(call);
    if (!call || oid === undefined || !first?.String || more.length > 0) return this.#untouched(value);
    const routine = await this.#routine(oid);
    if (!routine) return this.#untouched(value);
    const place = routine.columns.findIndex(({ name }) => name === stringOf(first));
    if (!routine.isRow || routine.isSet || place < 0) throw this.cause;
    const numbers = await this.calls.add(routine, await this.#arguments(call, routine));
    const { type } = routine.columns[place]!;
    return castOf(paramRef(numbers[place]!), (await new Types(this.session).facts(type.oid)).name);
  }

  async #call(value: RawNode, alone: boolean): Promise<RawNode> {
    const fields = value.FuncCall!;
    const oid = this.#oid(fields);
    const routine = oid === undefined ? undefined : await this.#routine(oid);
    if (oid === undefined || !routine) {
      if (list(fields, 'args').some(isNull)) return this.#untouched(value);
      const args: RawNode[] = [];
      for (const argument of list(fields, 'args'))
        args.push(argument.NamedArgExpr ? this.#untouched(argument) : await this.#value(argument, false));
      return { FuncCall: { ...fields, args } };
    }
    const given = await this.#arguments(fields, routine);
    const numbers = await this.calls.add(routine, given);
    if (routine.isVoid) return parseExpression(isNullVoid(routine) ? 'NULL::void' : "''::void");
    const types = new Types(this.session);
    if (routine.isSet) {
      if (!alone || routine.isRow) throw this.cause;
      const { name } = await types.facts(routine.columns[0]!.type.oid);
      return castOf(unnestOf(numbers[0]!), name);
    }
    const columns: RawNode[] = [];
    for (const [i, { type }] of routine.columns.entries())
      columns.push(castOf(paramRef(numbers[i]!), (await types.facts(type.oid)).name));
    if (!routine.isRow) return columns[0]!;
    const row: RawNode = { RowExpr: { args: columns, row_format: 'COERCE_EXPLICIT_CALL' } };
    const typed = routine.rowType ? castOf(row, (await types.facts(routine.rowType.oid)).name) : row;
    return parseExpression(`CASE WHEN NOT $${numbers.at(-1)!} THEN ${deparseExpression(typed)} END`);
  }

  /** `(f(...)).*` */
  async #columns(call: RawFields, oid: number): Promise<readonly RawNode[]> {
    const routine = await this.#routine(oid);
    if (!routine?.isRow || routine.isSet) throw this.cause;
    const types = new Types(this.session);
    const columns: RawNode[] = [];
    for (const [i, { type }] of routine.columns.entries()) {
      // PostgreSQL makes a call of each (ExpandRowReference of parse_target.c)
      const numbers = await this.calls.add(routine, await this.#arguments(call, routine));
      columns.push(castOf(paramRef(numbers[i]!), (await types.facts(type.oid)).name));
    }
    return columns;
  }

  async #arguments(call: RawFields, routine: Routine): Promise<readonly (RawNode | undefined)[]> {
    const given: (RawNode | undefined)[] = [];
    for (const argument of argumentsOf(call, routine, this.cause))
      given.push(argument && (await this.#value(argument, false)));
    return given;
  }

  #oid(call: RawFields): number | undefined {
    return this.called.get((call.location as number | undefined) ?? 0);
  }

  /** A function that is run first; undefined: one that computes. @throws cause for one that cannot be run */
  async #routine(oid: number): Promise<Routine | undefined> {
    if (!isOwnRoutine(oid)) {
      const { writes, doubt, tables, builtins } = await routinesCalled(new Set([oid]), this.session);
      const acts = builtins.has(PG_NOTIFY) || builtins.has(SET_CONFIG);
      if (!writes && doubt === undefined && tables.size === 0 && !acts) return undefined;
    }
    const routine = await routineOf(oid, this.session);
    if (!routine) throw this.cause;
    this.found = true;
    return routine;
  }

  /** A part in which nothing is replaced must hold no call that is to be run first. */
  #untouched(value: RawNode): RawNode {
    this.#mustReadNothing([value]);
    return value;
  }

  #mustReadNothing(values: readonly (RawNode | undefined)[]): void {
    const search = (value: unknown): void => {
      if (Array.isArray(value)) value.forEach(search);
      else if (value !== null && typeof value === 'object')
        for (const [key, field] of Object.entries(value)) {
          if (key === 'FuncCall' && this.#oid(field as RawFields) !== undefined) throw this.cause;
          search(field);
        }
    };
    search(values);
  }
}

/** PostgreSQL does not run what is given to a strict function beside NULL (simplify_function of clauses.c). */
const isNull = (value: RawNode | undefined): boolean => {
  const { TypeCast: cast, A_Const: constant } = value ?? {};
  return cast ? isNull(child(cast, 'arg')) : constant?.isnull === true;
};

const unnestOf = (number: number): RawNode =>
  (parseOne(`SELECT pg_catalog.unnest($${number})`).SelectStmt!.targetList as readonly RawNode[])[0]!
    .ResTarget!.val as RawNode;
