/** What a body returns. */
import { ClarusError } from '../../errors.js';
import type { Row } from '../execute/collect.js';
import { type Frame, rowOf } from './frame.js';
import { beforehand, noteCast } from './places.js';
import type { Outcome } from './run.js';
import { type Field, RECORD, type Types, type Value, type ValueType } from './types.js';
import type { Scalar, Scope, Variable, WholeRow } from './variables.js';

/** The rows that a routine gives. */
export interface ResultShape {
  /** its columns: of a function that returns one value, that value */
  readonly columns: readonly Field[];
  /** variables of OUT parameters, in order; undefined: it has none */
  readonly outputs: readonly Variable[] | undefined;
  /** it returns a set */
  readonly isSet: boolean;
  /** it returns a row of a composite type, or several columns */
  readonly isRow: boolean;
  /** the composite type that it returns; undefined: a row of no named type, or no row */
  readonly rowType?: ValueType | undefined;
  /** it returns nothing: a procedure without OUT parameters, DO, void */
  readonly isVoid: boolean;
}

/** Takes what a body returns. */
export interface BodyResult {
  readonly found: Scalar;
  /** RETURN. */
  one(expression: string | undefined, frame: Frame, scope: Scope): Promise<void>;
  /** RETURN NEXT. */
  next(expression: string | undefined, frame: Frame, scope: Scope): Promise<void>;
  /** RETURN QUERY. */
  rows(outcome: Outcome, frame: Frame): Promise<void>;
}

/** Bytes of rows that one call may return. */
const bytesMax = 64 * 1024 * 1024;

/** Collects what one call returns. */
export class Returned implements BodyResult {
  readonly result: Row[] = [];
  secret = false;
  /** what it returns is NULL, and no row of NULLs */
  isNull = false;
  #bytes = 0;
  #isOver = false;

  constructor(
    readonly shape: ResultShape,
    readonly found: Scalar,
  ) {}

  /** RETURN. @throws ClarusError 42804 */
  async one(expression: string | undefined, frame: Frame, scope: Scope): Promise<void> {
    this.#isOver = true;
    if (expression === undefined || this.shape.isSet) return;
    if (this.shape.outputs)
      throw beforehand(
        new ClarusError('42804', 'RETURN cannot have a parameter in function with OUT parameters'),
      );
    if (this.shape.isVoid)
      throw beforehand(new ClarusError('42804', 'RETURN cannot have a parameter in function returning void'));
    await this.#add(expression, frame, scope);
  }

  /** RETURN NEXT. */
  async next(expression: string | undefined, frame: Frame, scope: Scope): Promise<void> {
    if (!this.shape.isSet) throw new ClarusError('42804', 'cannot use RETURN NEXT in a non-SETOF function');
    if (expression !== undefined) return this.#add(expression, frame, scope);
    await this.#addOutputs(frame);
  }

  /** RETURN QUERY. @throws ClarusError 42804 where the rows are not of the function's type */
  async rows(outcome: Outcome, frame: Frame): Promise<void> {
    if (!this.shape.isSet) throw new ClarusError('42804', 'cannot use RETURN QUERY in a non-SETOF function');
    await mustFit(outcome, this.shape.columns, frame.types);
    this.secret ||= outcome.secret.some(Boolean) && outcome.rows.length > 0;
    for (const row of outcome.rows) this.#push(row);
  }

  /** It returns NULL, as it does where it is not run. */
  none(secret = false): void {
    this.isNull = true;
    this.secret ||= secret;
    this.#push(this.shape.columns.map(() => null));
  }

  /** What the last statement of a body in SQL gives. @throws ClarusError 0A000 where it is of another shape */
  async last(outcome: Outcome, frame: Frame): Promise<void> {
    const { columns, isSet, isRow, rowType } = this.shape;
    const [only, ...more] = outcome.columns;
    // a single column of the type that it returns is the row (check_sql_fn_retval in functions.c)
    const isWhole = rowType !== undefined && more.length === 0 && only?.typeOid === rowType.oid;
    if (!isWhole && outcome.columns.length !== columns.length)
      throw new ClarusError('0A000', 'what a function in SQL returns is not of the columns of its type', {
        hint: 'Select the columns one by one.',
      });
    const isOther =
      !isWhole && isRow && more.length === 0 && (await isComposite(outcome.columns[0]!.typeOid, frame.types));
    // an output parameter of a procedure may be of a composite type itself
    if (isOther && !(await isComposite(columns[0]!.type.oid, frame.types)))
      throw new ClarusError('0A000', 'what a function in SQL returns is a row in one column', {
        hint: 'Select the columns one by one.',
      });
    if (!isSet && outcome.rows.length === 0) return this.none();
    const places = isSet ? [...outcome.rows.keys()] : [0];
    for (const place of places) {
      const row = rowOf(outcome, place);
      const whole = isWhole ? await frame.rowOfValue(row[0]!.value) : { values: row };
      if ('isNull' in whole) this.none(whole.isNull.secret);
      else
        await this.#take(
          whole.values.map(({ value }) => value),
          frame.types,
        );
    }
  }

  /** The body has ended. @throws ClarusError 2F005 where it should have returned a value */
  async ended(frame: Frame): Promise<void> {
    const { isSet, isVoid, outputs } = this.shape;
    if (isSet || isVoid) return;
    if (outputs) return this.#addOutputs(frame);
    if (!this.#isOver) throw new ClarusError('2F005', 'control reached end of function without RETURN');
    if (this.result.length === 0) this.none();
  }

  async #add(expression: string, frame: Frame, scope: Scope): Promise<void> {
    const { columns, isRow } = this.shape;
    const row: WholeRow = isRow
      ? await frame.rowValues(expression, scope, () => Promise.reject(notRow()))
      : { values: [{ name: '', type: columns[0]!.type, value: await frame.evaluate(expression, scope) }] };
    if ('isNull' in row) return this.none(row.isNull.secret);
    const { values } = row;
    if (values.length !== columns.length)
      throw new ClarusError('42804', 'returned record type does not match expected record type', {
        detail: `Number of returned columns (${values.length}) does not match expected column count (${columns.length}).`,
      });
    await this.#take(
      values.map(({ value }) => value),
      frame.types,
    ).catch(error => {
      if (!this.shape.isSet && typeof error === 'object' && error !== null) noteCast(error);
      throw error;
    });
  }

  async #addOutputs(frame: Frame): Promise<void> {
    const { outputs = [] } = this.shape;
    const values: Value[] = [];
    for (const variable of outputs)
      values.push(variable.kind === 'row' ? await frame.valueOfRow(variable) : variable.value);
    await this.#take(values, frame.types);
  }

  async #take(values: readonly Value[], types: Types): Promise<void> {
    const row: (Uint8Array | null)[] = [];
    for (const [i, value] of values.entries()) {
      const { text, secret } = await types.assigned(value, this.shape.columns[i]!.type);
      row.push(text);
      this.secret ||= secret;
    }
    this.#push(row);
  }

  #push(row: Row): void {
    this.#bytes += row.reduce((sum, field) => sum + (field?.length ?? 0) + 8, 0);
    if (this.#bytes > bytesMax)
      throw new ClarusError('54000', 'a function returns too much', {
        detail: `What it returns may take ${bytesMax} bytes.`,
      });
    this.result.push(row);
  }
}

/** The error of a value that is returned where a row must be (exec_stmt_return of pl_exec.c). */
export const notRow = (): ClarusError =>
  new ClarusError('42804', 'cannot return non-composite value from function returning composite type');

const isComposite = async (type: number, types: Types): Promise<boolean> =>
  type === RECORD || (await types.facts(type)).kind === 'c';

async function mustFit({ columns }: Outcome, expected: readonly Field[], types: Types): Promise<void> {
  const wrong = (detail: string): ClarusError =>
    new ClarusError('42804', 'structure of query does not match function result type', { detail });
  if (columns.length !== expected.length)
    throw wrong(
      `Number of returned columns (${columns.length}) does not match expected column count (${expected.length}).`,
    );
  for (const [i, { typeOid }] of columns.entries()) {
    const { type } = expected[i]!;
    let facts = await types.facts(type.oid);
    while (facts.base !== 0) facts = await types.facts(facts.base);
    if (facts.oid !== typeOid)
      throw wrong(
        `Returned type ${(await types.facts(typeOid)).name} does not match expected type ${facts.name} in column ${i + 1}.`,
      );
  }
}
