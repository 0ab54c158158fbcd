/**
 * The equality operators that canonical forms answer, from PostgreSQL's catalogue (pg_operator; the OIDs of built-in
 * operators never change). Each is the equality of a B-tree operator family. Operators between date, timestamp and
 * timestamptz are missing on purpose: what they compare depends on more than the values.
 *
 * bpchar is a class apart from text: PostgreSQL resolves `varchar = char(n)` to bpchar's operator, to which the varchar
 * 'a ' is 'a', while text's operator tells them apart. No one form of varchar could agree with both.
 */
import type { CanonicalClass } from './canonical-form.js';
import { type TypeName, typeOids } from './types.js';

/** An `=` or `<>` that the canonical forms of a class answer. */
export interface EqualityOperator {
  readonly class: CanonicalClass;
  /** true for `<>` */
  readonly negated: boolean;
  /** OIDs of the operand types */
  readonly left: number;
  readonly right: number;
  /** OIDs of the types whose values reach the operator unchanged and compare the same, the operands' own included */
  readonly types: readonly number[];
}

/** class, `=`, `<>`, left, right */
type Row = readonly [CanonicalClass, number, number, TypeName, TypeName];
const rows: readonly Row[] = [
  ['number', 94, 519, 'int2', 'int2'],
  ['number', 96, 518, 'int4', 'int4'],
  ['number', 410, 411, 'int8', 'int8'],
  ['number', 532, 538, 'int2', 'int4'],
  ['number', 533, 539, 'int4', 'int2'],
  ['number', 1862, 1863, 'int2', 'int8'],
  ['number', 1868, 1869, 'int8', 'int2'],
  ['number', 15, 36, 'int4', 'int8'],
  ['number', 416, 417, 'int8', 'int4'],
  ['number', 1752, 1753, 'numeric', 'numeric'],
  ['float', 620, 621, 'float4', 'float4'],
  ['float', 670, 671, 'float8', 'float8'],
  ['float', 1120, 1121, 'float4', 'float8'],
  ['float', 1130, 1131, 'float8', 'float4'],
  ['text', 98, 531, 'text', 'text'],
  ['text', 93, 643, 'name', 'name'],
  ['text', 254, 259, 'name', 'text'],
  ['text', 260, 265, 'text', 'name'],
  ['char', 1054, 1057, 'bpchar', 'bpchar'],
  ['bytes', 1955, 1956, 'bytea', 'bytea'],
  ['bool', 91, 85, 'bool', 'bool'],
  ['uuid', 2972, 2973, 'uuid', 'uuid'],
  ['date', 1093, 1094, 'date', 'date'],
  ['time', 1108, 1109, 'time', 'time'],
  ['timetz', 1550, 1551, 'timetz', 'timetz'],
  ['timestamp', 2060, 2061, 'timestamp', 'timestamp'],
  ['timestamptz', 1320, 1321, 'timestamptz', 'timestamptz'],
  ['interval', 1330, 1331, 'interval', 'interval'],
  ['network', 1201, 1202, 'inet', 'inet'],
  ['oid', 607, 608, 'oid', 'oid'],
];

/** Types that reach an operator of a type unchanged and compare the same: their operators are that type's. */
const relatives: Partial<Record<TypeName, readonly TypeName[]>> = { text: ['varchar'], inet: ['cidr'] };

const withRelatives = (name: TypeName): readonly number[] =>
  [name, ...(relatives[name] ?? [])].map(n => typeOids[n]);

const both = ([canonicalClass, equal, notEqual, left, right]: Row): [number, EqualityOperator][] => {
  const types = [...new Set([...withRelatives(left), ...withRelatives(right)])];
  const operator = { class: canonicalClass, left: typeOids[left], right: typeOids[right], types };
  return [
    [equal, { ...operator, negated: false }],
    [notEqual, { ...operator, negated: true }],
  ];
};

/** By OID of the operator. */
export const equalityOperators: ReadonlyMap<number, EqualityOperator> = new Map(rows.flatMap(both));
