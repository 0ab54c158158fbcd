/** Evaluates operands and protects them: literals and parameters become what the cloud may see. */
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
import { convert, decided } from './conversion.js';
import { statement, typeNameOf } from './convert.js';
import type { Given } from './given.js';

/** One value, in binary form of `source.type`. */
export async function evaluate(source: OperandSource, given: Given): Promise<Uint8Array | null> {
  const { bound, session } = given;
  switch (source.kind) {
    case 'constant':
      return source.value;
    case 'parameter': {
      const value = bound.values[source.index] ?? null;
      if (value === null) return null;
      const converted = convert(
        columnOf([value]),
        bound.formats[source.index] ?? 0,
        { oid: source.type, modifier: -1 },
        session,
      );
      if (converted.unsure.length) await given.mustBind();
      return valueAt((await decided([converted], session))[0]!, 0);
    }
    case 'expression': {
      const sql = `SELECT (${source.sql})::${await typeNameOf(source.type, session)}`;
      const { query, values, formats } = await evaluable(source, sql, given);
      return (await collect(session.trusted, query, values, formats, [1]))[0]?.[0] ?? null;
    }
  }
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

/** Runs an operand's look-ups, then protects its values. */
export async function protectOperand(
  plan: OperandPlan,
  given: Given,
  context: EncodingContext,
): Promise<readonly (Uint8Array | null)[]> {
  const { session } = given;
  const values = await valuesOf(plan.source, given);
  // A NULL array compares as NULL, whatever it would hold.
  if (values === null) return plan.types.map(() => null);
  const type = plan.source.type;
  const found: FoundRows[] = [];
  for (const lookUp of plan.lookUps) {
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
  return plan.encode(values, type, context, found);
}

async function valuesOf(source: OperandSource | ManySource, given: Given): Promise<PlainColumn | null> {
  if (source.kind === 'list') {
    const items: (Uint8Array | null)[] = [];
    for (const item of source.items) items.push(await evaluate(item, given));
    return plain(columnOf(items));
  }
  if (source.kind === 'array') {
    const array = await evaluate(source.array, given);
    return array === null ? null : arrayElements(array);
  }
  return plain(columnOf([await evaluate(source, given)]));
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
