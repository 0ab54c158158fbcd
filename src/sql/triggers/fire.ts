/**
 * Runs the functions of triggers (plpgsql_exec_trigger of pl_exec.c): NEW, OLD and TG_... are variables of the body, which
 * is interpreted as any other is.
 */
import { quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { isDeclassified } from '../../policy/effective.js';
import type { SessionPort } from '../ports.js';
import { activityOf, within } from '../procedural/activity.js';
import { mustBeOver } from '../procedural/blocks.js';
import { Execution, Frame } from '../procedural/frame.js';
import { Interpreter } from '../procedural/interpret.js';
import { givenRelation } from '../procedural/relations.js';
import { type TriggerRoutine, triggerRoutineOf } from '../procedural/routine.js';
import type { RoutineServices } from '../procedural/run.js';
import { underClauses } from '../procedural/set-clauses.js';
import { open, typeInt, typeText, type Value, type ValueType } from '../procedural/types.js';
import {
  foundVariable,
  type GivenRelation,
  type RowField,
  type RowVariable,
  type Scalar,
  Scope,
} from '../procedural/variables.js';
import { versionsOf } from '../routines.js';
import { columnTypes } from '../split/delivery.js';
import { TriggerResult } from './result.js';
import { type FiredTriggers, type Trigger, type TriggerEvent, triggersAt } from './trigger.js';

/** A row of the table: a value a column, in their order. */
export type TableRow = readonly Value[];

/** The rows that a trigger is fired for; of a statement there are none. */
export interface FiredFor {
  readonly old?: TableRow | undefined;
  readonly new?: TableRow | undefined;
}

/** What a statement has written in an event: transition tables are made of it. */
export type Written = readonly FiredFor[];

const typeName: ValueType = { oid: 19, modifier: -1 };
const typeOid: ValueType = { oid: 26, modifier: -1 };
const typeTexts: ValueType = { oid: 1009, modifier: -1 };

/** Fires the triggers of one statement. */
export class Firing {
  readonly #execution: Execution;
  readonly #routines = new Map<number, TriggerRoutine>();
  #rowType: ValueType | undefined;
  readonly #transitions = new Map<string, GivenRelation>();
  /** AFTER triggers see it whole */
  written: Written = [];

  constructor(
    private readonly fired: FiredTriggers<TriggerEvent>,
    private readonly session: SessionPort,
    services: RoutineServices,
  ) {
    this.#execution = new Execution(session, services);
  }

  /**
   * Fires a trigger where its condition holds.
   * @returns the row that its function returns; null: none; undefined: it was not fired
   */
  async fire(trigger: Trigger, rows: FiredFor): Promise<TableRow | null | undefined> {
    const routine =
      this.#routines.get(trigger.routine) ?? (await triggerRoutineOf(trigger.routine, this.session));
    this.#routines.set(trigger.routine, routine);
    const activity = activityOf(this.session);
    return within(this.session, true, async () => {
      const scope = await this.#scope(trigger, routine, rows);
      if (trigger.when !== undefined) {
        const condition = new Scope(undefined, undefined, trigger);
        for (const name of ['old', 'new']) condition.declare(scope.find([name])!.variable);
        if (!(await new Frame(this.#execution, 'neither').holds(trigger.when, condition))) return undefined;
      }
      activity.triggers++;
      activity.fired.push(this.fired.table.oid);
      try {
        return await underClauses(routine.clauses, this.session, () =>
          this.#run(trigger, routine, scope, rows),
        );
      } finally {
        activity.triggers--;
        activity.fired.pop();
      }
    });
  }

  /** Fires those of the statement itself. */
  async statement(timing: 'BEFORE' | 'AFTER'): Promise<void> {
    for (const trigger of triggersAt(this.fired, timing, 'STATEMENT')) await this.fire(trigger, {});
  }

  async #run(
    trigger: Trigger,
    { block, signature }: TriggerRoutine,
    scope: Scope,
    rows: FiredFor,
  ): Promise<TableRow | null> {
    const found = foundVariable();
    scope.declare(found);
    const result = new TriggerResult(found, trigger.level === 'ROW' ? this.fired.table.columns : undefined);
    const interpreter = new Interpreter(
      new Frame(this.#execution, 'neither'),
      result,
      activityOf(this.session),
      signature,
    );
    mustBeOver(await interpreter.body(block, scope));
    const row = result.row;
    if (row && trigger.timing === 'BEFORE') this.#mustStayProtected(row, rows);
    return row;
  }

  /**
   * A column may get what it has, in the old row or the new one, whatever that was chosen by.
   * @throws ClarusError 0A000 where a function would bring a protected value to an open column
   */
  #mustStayProtected(row: TableRow, rows: FiredFor): void {
    const { table } = this.fired;
    const has = (i: number): boolean =>
      [rows.old, rows.new].some(before => before !== undefined && sameText(before[i]!, row[i]!));
    for (const [i, column] of table.columns.entries())
      if (
        !column.protection &&
        row[i]!.secret &&
        !has(i) &&
        !isDeclassified(this.session.catalog().policy, table, column.name)
      )
        throw new ClarusError(
          '0A000',
          `what a variable holds that may depend on a protected column would flow to "${column.name}", which is not protected`,
          {
            hint: 'Protect the column that takes it, or name it under "declassify" in the policy.',
            table: table.name,
            column: column.name,
          },
        );
  }

  /** Names of the body, outside of its own declarations. */
  async #scope(trigger: Trigger, { name, block }: TriggerRoutine, rows: FiredFor): Promise<Scope> {
    const { table, event } = this.fired;
    const scope = new Scope(undefined, name, block);
    scope.declare(await this.#row('new', rows.new));
    scope.declare(await this.#row('old', rows.old));
    const told: readonly (readonly [string, string | null, ValueType])[] = [
      ['tg_name', trigger.name, typeName],
      ['tg_when', trigger.timing, typeText],
      ['tg_level', trigger.level, typeText],
      ['tg_op', event, typeText],
      ['tg_relid', String(table.oid), typeOid],
      ['tg_relname', table.name, typeName],
      ['tg_table_name', table.name, typeName],
      ['tg_table_schema', table.schema, typeName],
      ['tg_nargs', String(trigger.args.length), typeInt],
      ['tg_argv', argumentArray(trigger.args), typeTexts],
    ];
    for (const [variable, text, type] of told) scope.declare(scalar(variable, text, type));
    for (const side of ['old', 'new'] as const) {
      const relation = await this.#transition(trigger, side);
      if (relation) scope.declareRelation(relation);
    }
    return scope;
  }

  /** REFERENCING OLD TABLE, NEW TABLE. */
  async #transition(trigger: Trigger, side: 'old' | 'new'): Promise<GivenRelation | undefined> {
    const name = side === 'old' ? trigger.oldTable : trigger.newTable;
    if (name === undefined) return undefined;
    const { table } = this.fired;
    const known = this.#transitions.get(`${side} ${name}`);
    if (known) return known;
    const types = await columnTypes(table, this.session);
    const columns = table.columns.map(column => ({
      name: column.name,
      type: types.get(column.name)!,
      secret: column.protection !== undefined,
    }));
    const { written } = this;
    const relation = givenRelation(name, side, columns, place =>
      written.flatMap(rows => {
        const row = rows[side];
        return row ? [row[place]!.text] : [];
      }),
    );
    this.#transitions.set(`${side} ${name}`, relation);
    return relation;
  }

  async #row(name: string, row: TableRow | undefined): Promise<RowVariable> {
    const { columns, schema, name: relation } = this.fired.table;
    this.#rowType ??= await this.#execution.types.rowType(quoteQualified(schema, relation));
    const fields = columns.map(
      (column, i): RowField => ({
        name: column.name,
        type: column.type,
        value: row?.[i] ?? open(null, column.type),
      }),
    );
    const isNull = row ? undefined : open(null, this.#rowType);
    return { kind: 'row', name, type: this.#rowType, constant: false, notNull: false, fields, isNull };
  }

  /** @throws ClarusError 40001 where one of the functions was replaced meanwhile */
  async mustStandStill(): Promise<void> {
    const oids = [...this.#routines.keys()].sort((a, b) => a - b);
    if (oids.length === 0) return;
    const run = oids.map(oid => `${oid} ${this.#routines.get(oid)!.version}`).join();
    if ((await versionsOf(oids, this.session.trusted)) !== run)
      throw new ClarusError('40001', 'a function was replaced while a trigger ran it', {
        hint: 'Try again.',
      });
  }
}

/** Do two values print alike? */
export const sameText = ({ text: a }: Value, { text: b }: Value): boolean =>
  a === b || (a !== null && b !== null && Buffer.compare(a, b) === 0);

const scalar = (name: string, text: string | null, type: ValueType): Scalar => ({
  kind: 'scalar',
  name,
  type,
  constant: false,
  notNull: false,
  value: open(text, type),
});

/** TG_ARGV as array_out prints it: it counts from 0, and is NULL without arguments. */
function argumentArray(args: readonly string[]): string | null {
  if (args.length === 0) return null;
  const quoted = args.map(arg =>
    /^$|^null$|["\\{},\t-\r ]/i.test(arg) ? `"${arg.replace(/["\\]/g, '\\$&')}"` : arg,
  );
  return `[0:${args.length - 1}]={${quoted.join()}}`;
}
