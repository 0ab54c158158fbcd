/**
 * Operands: the values that a statement compares with, or writes to, protected columns. They never stand in SQL
 * text for a cloud: at execution each is evaluated on this side and becomes protected parameters.
 */
import type { EncodedColumn, Encoding, FoundRows, LookUp, OperandEncoder } from '../encodings/encoding.js';
import { ClarusError } from '../errors.js';
import { isNode, type Node, numberIn, type Value, walk } from './analysed/node.js';
import { constantValue, typeOf } from './analysed/types.js';
import {
  callsSequence,
  type FunctionHomes,
  type Home,
  sequenceCalled,
  TRANSACTION_TIME,
} from './functions.js';
import type { Shape } from './plan.js';
import { deparseExpression } from './raw/deparse.js';
import {
  castTo,
  fieldsOf,
  kindOf,
  list,
  paramRef,
  type RawFields,
  type RawNode,
  rewrite,
  stringOf,
  visit,
} from './raw/node.js';

/** Where the value of an operand comes from, at execution. */
export type OperandSource =
  | { readonly kind: 'constant'; readonly value: Uint8Array | null; readonly type: number }
  /** a client parameter, from 0, of exactly this type */
  | { readonly kind: 'parameter'; readonly index: number; readonly type: number }
  /** an SQL expression without columns; the trusted PostgreSQL evaluates it, `$n` being the client's parameters */
  | {
      readonly kind: 'expression';
      readonly sql: string;
      readonly type: number;
      readonly parameters: readonly number[];
      /** it asks for the time of the transaction: a parameter behind the client's, of type timestamptz */
      readonly time: boolean;
      /** `readingOf` the settings under which PostgreSQL read its literals; undefined: no setting changes them */
      readonly reading: string | undefined;
      /** it takes the value of a sequence */
      readonly sequence: boolean;
    };

/** What decides how the values of one statement are evaluated. */
export interface ValueContext {
  readonly homes: FunctionHomes;
  readonly shape: Shape;
  /** `readingOf` the session's settings */
  readonly reading: string;
  /** shadow OIDs of sequences that live on the trusted side, of those that the statement names */
  readonly sequences: ReadonlySet<number>;
}

/** Values of `= ANY`: written out one by one, or one array value. */
export type ManySource =
  | { readonly kind: 'list'; readonly items: readonly OperandSource[]; readonly type: number }
  | { readonly kind: 'array'; readonly array: OperandSource; readonly type: number };

/** An operand with the encoding that protects it. */
export interface OperandPlan {
  readonly source: OperandSource | ManySource;
  readonly encode: OperandEncoder;
  readonly lookUps: readonly LookUp[];
  /** physical types (SQL names) of the parameters it becomes */
  readonly types: readonly string[];
  /** the column it is compared with, and the encoding that answers */
  readonly used: { readonly encoded: EncodedColumn; readonly encoding: Encoding };
}

export type { FoundRows };

/**
 * Where a value without columns comes from.
 * @param raw its raw tree
 * @param analysed the same as PostgreSQL resolved it
 * @param what for messages, e.g. `the value compared with "age"`
 * @throws ClarusError 0A000 when it reads columns, runs a query or calls a function that has its home in the cloud
 */
export function operandSource(
  raw: RawNode,
  analysed: Value | undefined,
  what: string,
  context: ValueContext,
): OperandSource {
  const type = typeOf(analysed);
  if (!isNode(analysed) || type === undefined) throw notAValue(what);
  if (analysed.kind === 'CONST') {
    const value = constantValue(analysed);
    if (value !== undefined) return { kind: 'constant', value, type };
  }
  if (analysed.kind === 'PARAM' && analysed.fields.paramkind === '0')
    return { kind: 'parameter', index: numberIn(analysed, 'paramid') - 1, type };
  mustBeValue(analysed, what, context);
  const { tree, time } = withTime(raw, context.shape.parameterTypes.length + 1);
  return {
    kind: 'expression',
    sql: deparseExpression(tree),
    type,
    parameters: parametersOf(raw),
    time,
    reading: dependsOnSettings(analysed) ? context.reading : undefined,
    sequence: callsSequence(raw),
  };
}

/** Elements of `IN (...)` or of the array of `= ANY (...)`. */
export function manySource(
  raw: RawNode | readonly RawNode[],
  analysed: Value | undefined,
  element: number,
  what: string,
  context: ValueContext,
): ManySource {
  if (Array.isArray(raw)) {
    const array = withoutRelabel(analysed);
    const items =
      isNode(array) && (array.kind === 'ARRAYEXPR' || array.kind === 'ARRAY')
        ? (array.fields.elements as readonly Value[])
        : undefined;
    if (items && items.length === raw.length)
      return {
        kind: 'list',
        type: element,
        items: items.map((item, i) => operandSource(raw[i]!, item, what, context)),
      };
    // All elements were constants: PostgreSQL folded none, but the list may have been coerced as a whole.
    throw notAValue(what);
  }
  return { kind: 'array', type: element, array: operandSource(raw as RawNode, analysed, what, context) };
}

/** varchar[] counts as text[] without a change of its elements. */
function withoutRelabel(array: Value | undefined): Value | undefined {
  if (!isNode(array) || array.kind !== 'ARRAYCOERCEEXPR') return array;
  const each = array.fields.elemexpr;
  const same =
    isNode(each) &&
    each.kind === 'RELABELTYPE' &&
    isNode(each.fields.arg) &&
    each.fields.arg.kind === 'CASETESTEXPR';
  return same ? array.fields.arg : array;
}

/** Numbers (from 0) of the client's parameters that a raw tree uses. */
export function parametersOf(raw: unknown): number[] {
  const found = new Set<number>();
  visit(raw, (kind, fields) => {
    if (kind === 'ParamRef') found.add(((fields.number as number | undefined) ?? 0) - 1);
  });
  return [...found].sort((a, b) => a - b);
}

function mustBeValue(analysed: Node, what: string, { homes, sequences }: ValueContext): void {
  walk(analysed, node => {
    if (
      node.kind === 'VAR' ||
      node.kind === 'QUERY' ||
      node.kind === 'SUBLINK' ||
      node.kind === 'AGGREF' ||
      node.kind === 'WINDOWFUNC'
    )
      throw notAValue(what);
    if (node.kind === 'SQLVALUEFUNCTION' && numberIn(node, 'op') > LOCALTIMESTAMP_N) throw cloudHome(what);
    const sequence = node.kind === 'NEXTVALUEEXPR' ? numberIn(node, 'seqid') : sequenceCalled(node);
    if (typeof sequence === 'number') {
      if (node.kind === 'NEXTVALUEEXPR' || !sequences.has(sequence)) throw countsInCloud(what);
      return true;
    }
    for (const field of ['funcid', 'opfuncid']) {
      const oid = numberIn(node, field);
      if (oid > 0 && !evaluable(homes.home(oid)) && !TRANSACTION_TIME.has(oid)) throw cloudHome(what);
    }
    return true;
  });
}

/** The last SQLValueFunctionOp that asks for a time (primnodes.h); others ask for roles and schemas. */
const LOCALTIMESTAMP_N = 8;

/** Types whose literals are read the same under all settings (array_nulls changes every array, search_path reg*). */
const settled: ReadonlySet<number> = new Set([
  16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 700, 701, 705, 869, 650, 1042, 1043, 1560, 1562, 1700, 2950, 3802,
]);

function dependsOnSettings(analysed: Node): boolean {
  let found = false;
  walk(analysed, node => {
    if (node.kind === 'CONST' && node.fields.constisnull !== 'true')
      found ||= !settled.has(numberIn(node, 'consttype'));
    return !found;
  });
  return found;
}

/** SQL's names of the transaction's time, as types that it is cast to. */
const timeTypes: Readonly<Record<string, string>> = {
  SVFOP_CURRENT_DATE: 'date',
  SVFOP_CURRENT_TIME: 'timetz',
  SVFOP_CURRENT_TIMESTAMP: 'timestamptz',
  SVFOP_LOCALTIME: 'time',
  SVFOP_LOCALTIMESTAMP: 'timestamp',
};

/**
 * An expression with the transaction's time as parameter `$number`: the cloud says what it is, so it is the same as
 * in its own columns and answers. The tree calls no function of users, so `now` is PostgreSQL's.
 */
export function withTime(raw: RawNode, number: number): { readonly tree: RawNode; readonly time: boolean } {
  let time = false;
  const tree = rewrite(raw, (kind, fields) => {
    if (kind === 'FuncCall') {
      const name = stringOf(list(fields, 'funcname').at(-1));
      if (name !== 'now' && name !== 'transaction_timestamp') return undefined;
      time = true;
      return castTo(paramRef(number), 'timestamptz');
    }
    const type = kind === 'SQLValueFunction' ? timeTypes[String(fields.op).replace(/_N$/, '')] : undefined;
    if (type === undefined) return undefined;
    time = true;
    const whole = castTo(castTo(paramRef(number), 'timestamptz'), type);
    const precision = fields.typmod as number | undefined;
    return String(fields.op).endsWith('_N') && precision !== undefined
      ? withPrecision(whole, precision)
      : whole;
  });
  return { tree, time };
}

const withPrecision = ({ TypeCast: cast }: RawNode, precision: number): RawNode => ({
  TypeCast: {
    ...cast,
    typeName: {
      ...(cast!.typeName as RawFields),
      typmods: [{ A_Const: { ival: precision === 0 ? {} : { ival: precision } } }],
    },
  },
});

const evaluable = (home: Home): boolean => home === 'anywhere' || home === 'trusted';

const notAValue = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} must be a constant, a parameter or an expression of those`);
const cloudHome = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} calls a function whose answer only the cloud can give`, {
    hint: 'Pass the value as a parameter.',
  });

const countsInCloud = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} asks for a sequence that counts in the cloud`, {
    detail: 'The cloud would know the values of a protected column.',
    hint: 'Tie the sequence to the column, which brings it to the trusted side: ALTER SEQUENCE ... OWNED BY, or a DEFAULT.',
  });

/** True where a raw node is the literal NULL. */
export const isNullLiteral = (raw: RawNode): boolean =>
  kindOf(raw) === 'A_Const' && fieldsOf(raw).isnull === true;

/** Rows of a VALUES list, each a list of raw expressions. */
export const valuesRows = (select: RawNode | undefined): readonly (readonly RawNode[])[] =>
  select?.SelectStmt
    ? list(select.SelectStmt, 'valuesLists').map(
        row => (row.List?.items as readonly RawNode[] | undefined) ?? [],
      )
    : [];
