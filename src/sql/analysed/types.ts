/** Types of analysed expressions (exprType of src/backend/nodes/nodeFuncs.c), and constants. */
import { typeOids } from '../../wire/types.js';
import { type Datum, datumBytes, isNode, type Node, numberIn, type Value } from './node.js';

const typeField: Readonly<Record<string, string>> = {
  VAR: 'vartype',
  CONST: 'consttype',
  PARAM: 'paramtype',
  FUNCEXPR: 'funcresulttype',
  OPEXPR: 'opresulttype',
  DISTINCTEXPR: 'opresulttype',
  NULLIFEXPR: 'opresulttype',
  RELABELTYPE: 'resulttype',
  COERCEVIAIO: 'resulttype',
  ARRAYCOERCEEXPR: 'resulttype',
  CONVERTROWTYPEEXPR: 'resulttype',
  COERCETODOMAIN: 'resulttype',
  COLLATEEXPR: '',
  AGGREF: 'aggtype',
  WINDOWFUNC: 'wintype',
  CASEEXPR: 'casetype',
  CASE: 'casetype',
  COALESCEEXPR: 'coalescetype',
  COALESCE: 'coalescetype',
  MINMAXEXPR: 'minmaxtype',
  MINMAX: 'minmaxtype',
  SQLVALUEFUNCTION: 'type',
  ARRAYEXPR: 'array_typeid',
  ARRAY: 'array_typeid',
  SUBSCRIPTINGREF: 'refrestype',
  ROWEXPR: 'row_typeid',
  ROW: 'row_typeid',
};

/** pg_type.dat */
const REGCLASS = 2205;

const booleans = new Set([
  'BOOLEXPR',
  'NULLTEST',
  'BOOLEANTEST',
  'SCALARARRAYOPEXPR',
  'ROWCOMPARE',
  'ROWCOMPAREEXPR',
]);

/** OID of the type of an analysed expression; undefined where this file does not know the node. */
export function typeOf(value: Value | undefined): number | undefined {
  if (!isNode(value)) return undefined;
  if (booleans.has(value.kind)) return typeOids.bool;
  if (value.kind === 'COLLATEEXPR' || value.kind === 'COLLATE') return typeOf(value.fields.arg);
  const field = typeField[value.kind];
  if (!field) return undefined;
  const oid = numberIn(value, field);
  return oid > 0 ? oid : undefined;
}

/**
 * The value of a Const in PostgreSQL's binary (send) form: null for NULL, undefined where the memory form is not
 * known here (PostgreSQL then evaluates the literal). The memory form is the server's: little-endian on the
 * machines Clarus runs on, variable-length values with a 4-byte header.
 */
export function constantValue(constant: Node): Uint8Array | null | undefined {
  if (constant.fields.constisnull === 'true') return null;
  const value = constant.fields.constvalue;
  if (value === null || value === undefined || typeof value === 'string' || !('datum' in value))
    return undefined;
  const bytes = datumBytes(value as Datum);
  switch (numberIn(constant, 'consttype')) {
    case typeOids.bool:
      return bytes.slice(0, 1);
    case typeOids.int2:
      return bytes.slice(0, 2).reverse();
    case typeOids.int4:
    case typeOids.date:
    case typeOids.oid:
    case REGCLASS:
    case typeOids.float4:
      return bytes.slice(0, 4).reverse();
    case typeOids.int8:
    case typeOids.timestamp:
    case typeOids.timestamptz:
    case typeOids.time:
    case typeOids.float8:
      return bytes.slice(0, 8).reverse();
    case typeOids.uuid:
      return bytes.slice(0, 16);
    case typeOids.text:
    case typeOids.varchar:
    case typeOids.bpchar:
    case typeOids.bytea:
    case typeOids.json: {
      // VARSIZE of an uncompressed 4-byte header, little-endian: length << 2
      if (bytes.length < 4 || (bytes[0]! & 3) !== 0) return undefined;
      const size = (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 2;
      return size === bytes.length ? bytes.slice(4) : undefined;
    }
    default:
      return undefined;
  }
}
