/** What the function of a trigger returns. */
import type { LogicalColumn } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { type Frame, soleExpression } from '../procedural/frame.js';
import { type BodyResult, notRow } from '../procedural/returned.js';
import type { Value } from '../procedural/types.js';
import type { Scalar, Scope } from '../procedural/variables.js';
import { deparseExpression } from '../raw/deparse.js';
import { list } from '../raw/node.js';

/** Takes the row that a trigger's function returns. */
export class TriggerResult implements BodyResult {
  #row: readonly Value[] | null | undefined;

  /** @param columns of the row; undefined: what is returned means nothing */
  constructor(
    readonly found: Scalar,
    private readonly columns: readonly LogicalColumn[] | undefined,
  ) {}

  /** @throws ClarusError 2F005 where the body has ended without RETURN */
  get row(): readonly Value[] | null {
    if (this.#row === undefined)
      throw new ClarusError('2F005', 'control reached end of trigger procedure without RETURN');
    return this.#row;
  }

  async one(expression: string | undefined, frame: Frame, scope: Scope): Promise<void> {
    if (expression === undefined) throw new ClarusError('42601', 'missing expression at or near ";"');
    const raw = soleExpression(expression);
    if (raw?.A_Const?.isnull) {
      this.#row = null;
      return;
    }
    if (raw?.RowExpr) {
      // one by one: each is as open as what it is made of
      const values: Value[] = [];
      for (const field of list(raw.RowExpr, 'args'))
        values.push(await frame.evaluate(deparseExpression(field), scope));
      this.#row = this.#fitting(values);
      return;
    }
    const row = await frame.rowValues(expression, scope, () => Promise.reject(notRow()));
    this.#row = 'isNull' in row ? null : this.#fitting(row.values.map(({ value }) => value));
  }

  async next(): Promise<void> {
    throw new ClarusError('42804', 'cannot use RETURN NEXT in a non-SETOF function');
  }

  async rows(): Promise<void> {
    throw new ClarusError('42804', 'cannot use RETURN QUERY in a non-SETOF function');
  }

  /** @throws ClarusError 42804 for a row of another shape than the table's */
  #fitting(values: readonly Value[]): readonly Value[] {
    const { columns } = this;
    if (!columns) return values;
    if (values.length !== columns.length || values.some(({ type }, i) => type.oid !== columns[i]!.type.oid))
      throw new ClarusError(
        '42804',
        'returned row structure does not match the structure of the triggering table',
      );
    return values;
  }
}
