/** Evaluates operands and protects them: literals and parameters become what the cloud may see. */
import { type Awaitable, inOrder, whenKnown } from '../../awaitable.js';
import { columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import type { EncodingContext, FoundRows } from '../../encodings/encoding.js';
import { ClarusError } from '../../errors.js';
import { arrayElements } from '../../wire/arrays.js';
import { typeOids } from '../../wire/types.js';
import type { ParameterSource } from '../compilation.js';
import type { ManySource, OperandPlan, OperandSource } from '../operand.js';
import type { BoundParameters, PhysicalStatement } from '../plan.js';
import { readingOf } from '../settings.js';
import { collect, type Row } from './collect.js';
import { type Converted, convert, decided } from './conversion.js';
import { statement, typeNameOf } from './convert.js';
import type { Given } from './given.js';

/** One value, in binary form of `source.type`; at once where the codec is sure. */
function evaluate(source: OperandSource, given: Given): Awaitable<PlainColumn> {
  const { bound, session } = given;
  switch (source.kind) {
    case 'constant':
      return oneValue(source.value);
    case 'parameter': {
      const value = bound.values[source.index] ?? null;
      if (value === null) return oneValue(null);
      const target = { oid: source.type, modifier: -1 };
      const converted = convert(columnOf([value]), bound.formats[source.index] ?? 0, target, session);
      return converted.unsure.length === 0 ? plain(converted.column) : decideOne(converted, given);
    }
    case 'expression':
      return evaluateSql(source, given);
  }
}

const oneValue = (value: Uint8Array | null): PlainColumn => plain(columnOf([value]));

async function decideOne(converted: Converted, given: Given): Promise<PlainColumn> {
  await given.mustBind();
  return (await decided([converted], given.session))[0]!;
}

async function evaluateSql(
  source: Extract<OperandSource, { kind: 'expression' }>,
  given: Given,
): Promise<PlainColumn> {
  const { session } = given;
  const sql = `SELECT (${source.sql})::${await typeNameOf(source.type, session)}`;
  const { query, values, formats } = await evaluable(source, sql, given);
  const [row] = await collect(session.trusted, query, values, formats, [1]);
  return oneValue(row?.[0] ?? null);
}

/** A statement for the trusted PostgreSQL with what it is bound to. */
interface Evaluable {
  readonly query: PhysicalStatement;
  readonly values: Row;
  readonly formats: readonly (0 | 1)[];
}

/**
 * What evaluates an expression: its `$n` are the client's parameters, and the time of the transaction behind them.
 * @param sql a SELECT of it
 * @throws ClarusError 0A000 where the settings have changed by which its literals were read
 */
export async function evaluable(
  { time, reading }: { readonly time: boolean; readonly reading?: string | undefined },
  sql: string,
  given: Given,
): Promise<Evaluable> {
  const { bound, parameterTypes } = given;
  const now = readingOf(given.session.settings);
  if (reading !== undefined && reading !== now)
    throw new ClarusError(
      '0A000',
      'a prepared statement holds literals that were read under other settings than those in force',
      { hint: 'Prepare it again, or put the settings back that were in force when it was prepared.' },
    );
  const types = time ? [...parameterTypes, typeOids.timestamptz] : parameterTypes;
  return {
    query: statement(sql, types, reading),
    values: time ? [...bound.values, await given.time()] : bound.values,
    formats: time ? [...bound.formats, 1] : bound.formats,
  };
}

/** Runs an operand's look-ups, then protects its values; at once where nothing has to be asked. */
export const protectOperand = (
  plan: OperandPlan,
  given: Given,
  context: EncodingContext,
): Awaitable<readonly (Uint8Array | null)[]> =>
  whenKnown(valuesOf(plan.source, given), values => {
    // A NULL array compares as NULL, whatever it would hold.
    if (values === null) return plan.types.map(() => null);
    return plan.lookUps.length === 0
      ? plan.encode(values, plan.source.type, context, [])
      : encodeFound(plan, values, given, context);
  });

async function encodeFound(
  { lookUps, source: { type }, encode }: OperandPlan,
  values: PlainColumn,
  { session }: Given,
  context: EncodingContext,
): Promise<readonly (Uint8Array | null)[]> {
  const found: FoundRows[] = [];
  for (const lookUp of lookUps) {
    const parameters = await lookUp.operands(values, type, context, found);
    found.push(
      await collect(
        session.cloud,
        statement(
          lookUp.sql,
          parameters.map(() => 0),
        ),
        parameters,
        parameters.map(() => 1),
        [1],
      ),
    );
  }
  return encode(values, type, context, found);
}

function valuesOf(source: OperandSource | ManySource, given: Given): Awaitable<PlainColumn | null> {
  if (source.kind === 'list') {
    return whenKnown(
      inOrder(source.items, item => evaluate(item, given)),
      items => plain(columnOf(items.map(item => valueAt(item, 0)))),
    );
  }
  if (source.kind === 'array') {
    return whenKnown(evaluate(source.array, given), column => {
      const array = valueAt(column, 0);
      return array === null ? null : arrayElements(array);
    });
  }
  return evaluate(source, given);
}

/** Physical parameters of a cloud statement, with their formats. */
export function physicalParameters(
  sources: readonly ParameterSource[],
  bound: BoundParameters,
  operand: (operand: number, part: number) => Uint8Array | null,
): { values: (Uint8Array | null)[]; formats: (0 | 1)[] } {
  const values: (Uint8Array | null)[] = [];
  const formats: (0 | 1)[] = [];
  for (const source of sources) {
    if (source.kind === 'client') {
      if (source.index >= bound.values.length)
        throw new ClarusError(
          '08P01',
          `bind message supplies ${bound.values.length} parameters, but the statement needs more`,
        );
      values.push(bound.values[source.index]!);
      formats.push(bound.formats[source.index] ?? 0);
    } else {
      values.push(operand(source.operand, source.part));
      formats.push(1);
    }
  }
  return { values, formats };
}
