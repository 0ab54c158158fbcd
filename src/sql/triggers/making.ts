/**
 * Makes of the rows of one statement what is written: partitions take them, BEFORE triggers change them or leave them out, and
 * generated columns are computed (ExecInsert, ExecUpdate and ExecCrossPartitionUpdate of nodeModifyTable.c).
 */
import type { LogicalTable } from '../../catalog/catalog.js';
import { allGeneratedOf, generatedTexts } from '../checks/generated.js';
import type { GeneratedColumns, GeneratedExpression } from '../checks/table-checks.js';
import type { ComputedWrites, TriggeredWrite } from '../execute/bodies.js';
import type { SessionPort } from '../ports.js';
import { open } from '../procedural/types.js';
import { conflictMoves } from '../split/write/routing.js';
import { type Change, shaped, textsOf } from './change.js';
import type { FiredRows } from './fired-rows.js';
import { movedByTrigger, Placing } from './placing.js';

/** Rows that are computed by the same expressions. */
interface Computing {
  readonly of: GeneratedColumns;
  readonly expressions: readonly GeneratedExpression[];
  readonly changes: Change[];
}

/** Makes the rows of one statement. */
export class MakingRows {
  readonly #placing: Placing;

  constructor(
    private readonly triggered: TriggeredWrite,
    private readonly fired: FiredRows,
    private readonly session: SessionPort,
    private readonly once?: ComputedWrites['once'],
  ) {
    this.#placing = new Placing(triggered.table, session);
  }

  /** Names of the columns of a table that are computed from others. */
  async computed(table: LogicalTable): Promise<ReadonlySet<string>> {
    if (this.triggered.insteadOf) return new Set();
    const { expressions } = await allGeneratedOf(table, this.session);
    return new Set(expressions.map(({ column }) => column.name));
  }

  /** To be called with all rows, before the first is made. */
  look(changes: readonly Change[]): Promise<void> {
    return this.#placing.look(changes);
  }

  /**
   * Fires the triggers that come before a row is inserted.
   * @returns false: it is left out
   * @throws ClarusError 23514 where no partition takes it
   */
  async propose(change: Change): Promise<boolean> {
    await this.#placing.place(change);
    return this.#inserted(change);
  }

  /**
   * Fires the triggers that come before a row is written, but for those that have been fired when it was proposed.
   * @yields what is written: nothing, the row, or what becomes of it in two partitions, one after the other
   * @throws ClarusError 23514 where no partition takes it
   */
  async *make(change: Change): AsyncGenerator<Change, void> {
    const { fired } = this;
    if (this.triggered.insteadOf) {
      if (await fired.changed(change, 'INSTEAD OF')) yield change;
      return;
    }
    switch (change.kind) {
      case 'insert':
        if (this.triggered.proposes) await this.#placing.place(change);
        else if (!(await this.propose(change))) return;
        yield change;
        return;
      case 'update':
        yield* this.#updated(change);
        return;
      case 'delete':
        if (await fired.changed(change, 'BEFORE')) yield change;
    }
  }

  /** Computes generated columns. @throws PostgresError where one cannot be computed */
  async compute(changes: readonly Change[]): Promise<void> {
    const groups = new Map<string, Computing>();
    for (const change of changes) {
      if (!change.new) continue;
      const of = await allGeneratedOf(change.table, this.session);
      if (of.expressions.length === 0) continue;
      const isAnew = ({ columns }: GeneratedExpression): boolean =>
        change.kind === 'insert' || columns.some(({ name }) => change.columns.includes(name));
      const kept = of.expressions.filter(expression => !isAnew(expression));
      replace(
        change,
        new Map(kept.map(({ column }) => [column.name, change.old![change.table.columns.indexOf(column)]!])),
      );
      const expressions = of.expressions.filter(isAnew);
      const key = [change.table.number, ...expressions.map(({ column }) => column.number)].join();
      const group = groups.get(key) ?? { of, expressions, changes: [] };
      groups.set(key, group);
      group.changes.push(change);
    }
    for (const { of, expressions, changes: rows } of groups.values()) {
      const names = of.table.columns.map(({ name }) => name);
      const values = rows.map(change => textsOf(change.new!));
      const found = await generatedTexts(expressions, of, names, values, this.session);
      for (const [i, change] of rows.entries())
        replace(
          change,
          new Map(
            expressions.map(({ column: { name, type, protection } }, k) => [
              name,
              { type, text: found[i]![k]!, secret: protection !== undefined },
            ]),
          ),
        );
    }
  }

  /** @returns false: it is left out */
  async #inserted(change: Change): Promise<boolean> {
    const placing = this.#placing;
    const { table } = change;
    const isNamed = table.number === this.triggered.table.number;
    // the cloud may not know what the partition takes
    let isDoubtful = table.bounds === 'trusted' && isNamed;
    const computed = await this.computed(table);
    const isLeft = await this.fired.changed(change, 'BEFORE', computed, async (trigger, columns) => {
      // a row that is inserted into the partition itself may be wrong before
      const isOther = await placing.decide(columns, table);
      if (!isOther && !(isNamed && table.bounds)) return;
      isDoubtful ||= isOther;
      if (trigger.isClone && !(await placing.fits(change))) throw movedByTrigger(trigger.name, table);
    });
    if (isLeft && isDoubtful) await placing.mustFit(change);
    return isLeft;
  }

  async *#updated(change: Change): AsyncGenerator<Change, void> {
    const [placing, fired] = [this.#placing, this.fired];
    const { table } = change;
    const computed = await this.computed(table);
    // they are computed later (plpgsql_exec_trigger of pl_exec.c)
    replace(
      change,
      new Map(
        table.columns.flatMap(({ name, type }) => (computed.has(name) ? [[name, open(null, type)]] : [])),
      ),
    );
    let isChanged = false;
    const isLeft = await fired.changed(change, 'BEFORE', computed, async (_trigger, columns) => {
      isChanged ||= await placing.decide(columns, table);
    });
    if (!isLeft) return;
    const goes = (await placing.decide(change.columns, table))
      ? await placing.goes(change, !isChanged)
      : undefined;
    if (!goes) {
      yield change;
      return;
    }
    if (this.once === 'ON CONFLICT DO UPDATE') throw conflictMoves();
    // triggers of the other partition see what is computed here
    await this.compute([change]);
    const leaves: Change = { ...change, kind: 'delete', new: undefined, columns: [], part: 'leaves' };
    if (!(await fired.changed(leaves, 'BEFORE'))) return;
    yield leaves;
    const to = goes();
    const computedThere = await this.computed(to);
    const arrives: Change = {
      kind: 'insert',
      table: to,
      ctid: undefined,
      old: undefined,
      new: shaped(change.new!, table, to),
      columns: to.columns.flatMap(({ name }) => (computedThere.has(name) ? [] : [name])),
      part: 'arrives',
    };
    if (await this.#inserted(arrives)) yield arrives;
  }
}

/** Puts other values in the place of some of a row's. */
function replace(change: Change, values: ReadonlyMap<string, NonNullable<Change['new']>[number]>): void {
  if (values.size === 0) return;
  change.new = change.new!.map((value, i) => values.get(change.table.columns[i]!.name) ?? value);
}
