/**
 * Canonical forms: two values of one class have the same canonical bytes exactly when PostgreSQL's `=` holds between
 * them (docs/spec/canonical.md). They are what equality tags are made of.
 *
 * The first byte is the code of the class, so that no form of one class is one of another.
 */
import type { CanonicalColumn, PlainColumn } from '../crypto/column.js';
import { boolForms, fixedForms, floatForms, textForms, widenedForms } from './canonical-copies.js';
import { type CanonicalClass, classCodes } from './canonical-form.js';
import { integerForms, numericForms } from './canonical-numbers.js';
import { intervalForms, networkForms } from './canonical-spans.js';
import { type TypeName, typeName } from './types.js';

export { type CanonicalClass, classCodes } from './canonical-form.js';
export { type EqualityOperator, equalityOperators } from './canonical-operators.js';

/** How the forms of a whole column are made. */
interface Canonicalisation {
  readonly class: CanonicalClass;
  readonly column: (values: PlainColumn) => CanonicalColumn;
}

const made = (
  canonicalClass: CanonicalClass,
  forms: (code: number, values: PlainColumn) => CanonicalColumn,
): Canonicalisation => ({
  class: canonicalClass,
  column: values => forms(classCodes[canonicalClass], values),
});

/** json has no `=`; jsonb and arrays have one, but no canonical form here. */
const canonicalisations: Readonly<Record<Exclude<TypeName, 'json' | 'jsonb'>, Canonicalisation>> = {
  int2: made('number', integerForms(2)),
  int4: made('number', integerForms(4)),
  int8: made('number', integerForms(8)),
  numeric: made('number', numericForms),
  float4: made('float', widenedForms),
  float8: made('float', floatForms),
  text: made('text', textForms(false)),
  varchar: made('text', textForms(false)),
  name: made('text', textForms(false)),
  bpchar: made('char', textForms(true)),
  bytea: made('bytes', textForms(false)),
  bool: made('bool', boolForms),
  uuid: made('uuid', fixedForms(16)),
  date: made('date', fixedForms(4)),
  time: made('time', fixedForms(8)),
  timetz: made('timetz', fixedForms(12)),
  timestamp: made('timestamp', fixedForms(8)),
  timestamptz: made('timestamptz', fixedForms(8)),
  interval: made('interval', intervalForms),
  inet: made('network', networkForms),
  cidr: made('network', networkForms),
  oid: made('oid', fixedForms(4)),
};

function canonicalisationOf(typeOid: number): Canonicalisation | undefined {
  const name = typeName(typeOid);
  return name === undefined || name === 'json' || name === 'jsonb' ? undefined : canonicalisations[name];
}

/** The class of a type, or undefined when no canonical form is proven equal to its `=`. */
export const canonicalClass = (typeOid: number): CanonicalClass | undefined =>
  canonicalisationOf(typeOid)?.class;

/**
 * The canonical forms of a column of values. For text under a nondeterministic collation there is none: there, bytes
 * do not decide `=`, and the caller must not ask.
 * @param typeOid a type that has a class
 * @param values in PostgreSQL's binary form; NULL stays NULL
 * @throws ClarusError 22P03 when a value is not in the binary form of the type; RangeError for a type without a class
 */
export function canonicalColumn(typeOid: number, values: PlainColumn): CanonicalColumn {
  const canonicalisation = canonicalisationOf(typeOid);
  if (canonicalisation === undefined) throw new RangeError(`type ${typeOid} has no canonical form`);
  return canonicalisation.column(values);
}
