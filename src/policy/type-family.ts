/** Types, as far as a proposal of protections needs to tell them apart. */
import type { QueryKind } from './policy.js';

/** Types by what can be asked of their values. */
export type TypeFamily =
  | 'text'
  | 'integer'
  | 'number'
  | 'date'
  | 'timestamp'
  | 'time'
  | 'boolean'
  | 'uuid'
  | 'json'
  | 'binary'
  | 'network'
  | 'array'
  | 'other';

const families: readonly (readonly [RegExp, TypeFamily])[] = [
  [/\[\]$|^_/u, 'array'],
  [/^(text|citext|varchar|character varying|char|character|bpchar|name)\b/u, 'text'],
  [/^(smallint|integer|bigint|int[248]?|smallserial|serial|bigserial)\b/u, 'integer'],
  [/^(numeric|decimal|real|double precision|float[48]?|money)\b/u, 'number'],
  [/^date\b/u, 'date'],
  [/^timestamp/u, 'timestamp'],
  [/^(time|timetz|interval)\b/u, 'time'],
  [/^bool/u, 'boolean'],
  [/^uuid\b/u, 'uuid'],
  [/^jsonb?\b/u, 'json'],
  [/^bytea\b/u, 'binary'],
  [/^(inet|cidr|macaddr8?)\b/u, 'network'],
];

/** The family of a type, by its name as `format_type` or `pg_type.typname` gives it. */
export function familyOf(typeName: string): TypeFamily {
  const name = typeName.toLowerCase().replace(/^pg_catalog\./u, '');
  return families.find(([pattern]) => pattern.test(name))?.[1] ?? 'other';
}

/** What can be asked of a type's values by the cloud. */
const askable: Readonly<Partial<Record<TypeFamily, readonly QueryKind[]>>> = {
  text: ['equality', 'prefix', 'substring', 'words'],
  integer: ['equality', 'range', 'order', 'sum'],
  number: ['equality', 'range', 'order', 'sum'],
  date: ['equality', 'range', 'order'],
  timestamp: ['equality', 'range', 'order'],
  uuid: ['equality'],
  network: ['equality'],
  json: ['paths'],
};

/** Those of the wanted kinds that make sense for a family. */
export function askableOf(wanted: readonly QueryKind[], family: TypeFamily): readonly QueryKind[] {
  return wanted.filter(kind => askable[family]?.includes(kind));
}
