/**
 * The built-in types whose values Clarus reads and writes itself, by OID. PostgreSQL keeps these OIDs for ever
 * (src/include/catalog/pg_type.dat).
 */

/** OIDs of the scalar types that have a codec. */
export const typeOids = {
  bool: 16,
  bytea: 17,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  cidr: 650,
  float4: 700,
  float8: 701,
  inet: 869,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
} as const;

/** Name of a scalar type that has a codec, as pg_type.typname has it. */
export type TypeName = keyof typeof typeOids;

/** OIDs of the array types over the scalar types, by the name of the element type. */
export const arrayOids: Readonly<Record<TypeName, number>> = {
  bool: 1000,
  bytea: 1001,
  name: 1003,
  int8: 1016,
  int2: 1005,
  int4: 1007,
  text: 1009,
  oid: 1028,
  json: 199,
  cidr: 651,
  float4: 1021,
  float8: 1022,
  inet: 1041,
  bpchar: 1014,
  varchar: 1015,
  date: 1182,
  time: 1183,
  timestamp: 1115,
  timestamptz: 1185,
  interval: 1187,
  timetz: 1270,
  numeric: 1231,
  uuid: 2951,
  jsonb: 3807,
};

/** Names of the scalar types that have a codec. */
export const typeNames = Object.keys(typeOids) as readonly TypeName[];

const names = new Map<number, TypeName>(typeNames.map(name => [typeOids[name], name]));
const elements = new Map<number, number>(typeNames.map(name => [arrayOids[name], typeOids[name]]));

/** Name of a scalar type that has a codec, else undefined. */
export const typeName = (oid: number): TypeName | undefined => names.get(oid);

/** OID of the element type of an array type over such a type, else undefined. */
export const elementType = (arrayOid: number): number | undefined => elements.get(arrayOid);

/** OID of the array type over such a type, else undefined. */
export function arrayType(elementOid: number): number | undefined {
  const name = names.get(elementOid);
  return name === undefined ? undefined : arrayOids[name];
}

/** The type modifier of a type without one. */
export const noModifier = -1;
/** Modifiers of varchar, bpchar and numeric carry this much more than the length or the precision and scale. */
export const modifierHeader = 4;
