/**
 * Functions of PostgreSQL over integers, numeric and text whose results are known here, digit for digit, wherever
 * PostgreSQL gives one (int.c, int8.c, numeric.c, varlena.c). Where it may not, as with an overflow, nothing is said:
 * PostgreSQL is asked, which also words the error.
 */
import { defaultSettings, textWriter } from '../../wire/codecs/codecs.js';
import { modifierHeader, typeOids } from '../../wire/types.js';

/** An integer or a numeric: `unscaled` / 10^`scale`; `scale` is what PostgreSQL calls its display scale. */
export interface Decimal {
  readonly unscaled: bigint;
  readonly scale: number;
}

/** A value that is not NULL: text as its bytes. */
export type Exact = Decimal | Uint8Array;

/** @returns undefined: PostgreSQL is to be asked */
type Compute = (...values: Exact[]) => Exact | undefined;

/** A function that returns NULL where one of its arguments is NULL. */
export interface ExactFunction {
  readonly compute: Compute;
  /** it gives a value for whatever it is given */
  readonly total: boolean;
}

/** Digits of a numeric up to which it is worked out here. */
const scaleMax = 500;
const unscaledMax = 10n ** 1_000n;
/** Bytes of a text that is made here. */
const textBytesMax = 1 << 26;

const integerBits: Readonly<Record<number, number>> = {
  [typeOids.int2]: 16,
  [typeOids.int4]: 32,
  [typeOids.int8]: 64,
};

const decimal = (unscaled: bigint, scale: number): Decimal => ({ unscaled, scale });
const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);
const unscaledOf = (value: Exact): bigint => (value as Decimal).unscaled;

/** An integer of a type; undefined: out of its range. */
function integer(value: bigint, type: number): Decimal | undefined {
  const bits = integerBits[type]!;
  return BigInt.asIntN(bits, value) === value ? decimal(value, 0) : undefined;
}

function numeric(unscaled: bigint, scale: number): Decimal | undefined {
  return scale <= scaleMax && magnitude(unscaled) < unscaledMax ? decimal(unscaled, scale) : undefined;
}

/** The same number with another scale, rounded half away from zero (round_var in numeric.c). */
function rescaled({ unscaled, scale }: Decimal, to: number): Decimal {
  if (to >= scale) return decimal(unscaled * 10n ** BigInt(to - scale), to);
  const unit = 10n ** BigInt(scale - to);
  const whole = (magnitude(unscaled) * 2n + unit) / (unit * 2n);
  return decimal(unscaled < 0n ? -whole : whole, to);
}

type Operation = (a: bigint, b: bigint) => bigint;
const plus: Operation = (a, b) => a + b;
const minus: Operation = (a, b) => a - b;
const times: Operation = (a, b) => a * b;

const ofIntegers = (operation: Operation, type: number): ExactFunction => ({
  compute: (a, b) => integer(operation(unscaledOf(a!), unscaledOf(b!)), type),
  total: false,
});

/** The sum or difference of two numerics has the larger of their scales (add_var in numeric.c). */
const ofNumerics = (operation: Operation): ExactFunction => ({
  compute: (a, b) => {
    const scale = Math.max((a as Decimal).scale, (b as Decimal).scale);
    const [x, y] = [rescaled(a as Decimal, scale), rescaled(b as Decimal, scale)];
    return numeric(operation(x.unscaled, y.unscaled), scale);
  },
  total: false,
});

const product: ExactFunction = {
  compute: (a, b) => numeric(unscaledOf(a!) * unscaledOf(b!), (a as Decimal).scale + (b as Decimal).scale),
  total: false,
};

const toInteger = (type: number): ExactFunction => ({
  compute: value => integer(rescaled(value as Decimal, 0).unscaled, type),
  total: false,
});

const wider: ExactFunction = { compute: value => value, total: true };

/** numeric(numeric, modifier) */
const withModifier: ExactFunction = {
  compute: (value, modifier) => {
    const bits = Number(unscaledOf(modifier!)) - modifierHeader;
    const precision = (bits >> 16) & 0xffff;
    const scale = bits & 0x7ff;
    if (bits < 0 || scale > precision) return undefined;
    const rounded = rescaled(value as Decimal, scale);
    return magnitude(rounded.unscaled) < 10n ** BigInt(precision) ? rounded : undefined;
  },
  total: false,
};

const concatenation: ExactFunction = {
  compute: (a, b) => {
    const [left, right] = [a as Uint8Array, b as Uint8Array];
    return left.length + right.length <= textBytesMax ? Buffer.concat([left, right]) : undefined;
  },
  total: false,
};

/** Functions by their OIDs (pg_proc.dat), which are the same in every version. */
export const exactFunctions: ReadonlyMap<number, ExactFunction> = new Map([
  // int2pl, int24pl, int42pl ...: each gives the larger of its arguments' types
  [176, ofIntegers(plus, typeOids.int2)],
  [180, ofIntegers(minus, typeOids.int2)],
  [152, ofIntegers(times, typeOids.int2)],
  ...[177, 178, 179].map(oid => [oid, ofIntegers(plus, typeOids.int4)] as const),
  ...[181, 182, 183].map(oid => [oid, ofIntegers(minus, typeOids.int4)] as const),
  ...[141, 170, 171].map(oid => [oid, ofIntegers(times, typeOids.int4)] as const),
  ...[463, 837, 841, 1274, 1278].map(oid => [oid, ofIntegers(plus, typeOids.int8)] as const),
  ...[464, 838, 942, 1275, 1279].map(oid => [oid, ofIntegers(minus, typeOids.int8)] as const),
  ...[465, 839, 943, 1276, 1280].map(oid => [oid, ofIntegers(times, typeOids.int8)] as const),
  // numeric_add, numeric_sub, numeric_mul
  [1724, ofNumerics(plus)],
  [1725, ofNumerics(minus)],
  [1726, product],
  // int4(int2), int8(int2), int8(int4), numeric(int2), numeric(int4), numeric(int8)
  ...[313, 754, 481, 1782, 1740, 1781].map(oid => [oid, wider] as const),
  // int2(int4), int2(int8), int2(numeric); the same for int4, and int8(numeric)
  ...[314, 714, 1783].map(oid => [oid, toInteger(typeOids.int2)] as const),
  ...[480, 1744].map(oid => [oid, toInteger(typeOids.int4)] as const),
  [1779, toInteger(typeOids.int8)],
  [1703, withModifier],
  // textcat
  [1258, concatenation],
]);

/** Types whose values are known here. */
export const isExactType = (type: number): boolean =>
  type in integerBits || type === typeOids.numeric || type === typeOids.text || type === typeOids.varchar;

const writeNumeric = textWriter(typeOids.numeric, defaultSettings)!;
const printed = Buffer.alloc(scaleMax * 4);

/** A value from PostgreSQL's binary form; undefined: PostgreSQL is to be asked. */
export function exactOf(binary: Uint8Array, type: number): Exact | undefined {
  if (type === typeOids.text || type === typeOids.varchar) return binary;
  if (type !== typeOids.numeric) {
    const bits = integerBits[type]!;
    if (binary.length * 8 !== bits) return undefined;
    let value = 0n;
    for (const byte of binary) value = (value << 8n) | BigInt(byte);
    return decimal(BigInt.asIntN(bits, value), 0);
  }
  const end = writeNumeric(binary, 0, binary.length, printed, 0);
  const [, sign, whole, fraction = ''] =
    /^(-?)(\d+)(?:\.(\d+))?$/.exec(printed.toString('latin1', 0, Math.max(0, end))) ?? [];
  return whole === undefined
    ? undefined
    : numeric(BigInt(whole + fraction) * (sign === '-' ? -1n : 1n), fraction.length);
}

/** A value in PostgreSQL's text form. */
export function textOf(value: Exact): Buffer {
  if (value instanceof Uint8Array) return Buffer.from(value);
  const { unscaled, scale } = value;
  if (scale === 0) return Buffer.from(String(unscaled));
  const digits = String(magnitude(unscaled)).padStart(scale + 1, '0');
  const point = digits.length - scale;
  return Buffer.from(`${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`);
}
