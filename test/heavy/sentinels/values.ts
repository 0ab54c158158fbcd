/**
 * Sentinels: values so rare that finding one in a cloud proves that it leaked. Each knows the bytes in which
 * PostgreSQL could hold or send it. All are derived from names by a hash, so that every run has the same ones.
 */
import { createHash } from 'node:crypto';

/** A value to plant and to look for. */
export interface Sentinel {
  /** Says where the value is planted, for example `int4 in a column`. */
  readonly name: string;
  /** PostgreSQL's name of the type. */
  readonly type: string;
  /** The value as input text, to be quoted. */
  readonly literal: string;
  /** The text in which it may stand anywhere. */
  readonly texts: readonly string[];
  /** Network order, as types' send functions write it; empty where the type's value is too short to be rare. */
  readonly network: readonly Buffer[];
  /** Little-endian, as a server on this kind of machine holds it on disk. */
  readonly onDisk: readonly Buffer[];
}

/** Types whose values are rare enough by themselves; `bool` and `int2` are rare as arrays. */
export const scalarTypes = [
  'int2',
  'int4',
  'int8',
  'float4',
  'float8',
  'numeric',
  'text',
  'varchar',
  'char(40)',
  'bytea',
  'date',
  'time',
  'timetz',
  'timestamp',
  'timestamptz',
  'interval',
  'uuid',
  'json',
  'jsonb',
  'inet',
] as const;

/** A type of which there are sentinels. */
export type SentinelType = (typeof scalarTypes)[number];

/** The sentinel of a type for one place; the same name gives the same value. */
export function sentinel(type: SentinelType, place: string): Sentinel {
  const name = `${type} ${place}`;
  const value = makers[type](bytesOf(name));
  return { name, type, network: [], onDisk: [], ...value };
}

/** Three values of a type as an array; `bool` takes 64 of them. */
export function arraySentinel(type: SentinelType | 'bool', place: string): Sentinel {
  const name = `${type}[] ${place}`;
  if (type === 'bool') return { name, type: 'bool[]', ...booleans(bytesOf(name)) };
  const count = type === 'int2' ? 8 : 3;
  const elements = Array.from({ length: count }, (_, i) => sentinel(type, `${place}, element ${i}`));
  const literal = `{${elements.map(({ literal }) => `"${literal.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
  const values = { texts: elements.flatMap(({ texts }) => texts.filter(text => text.length >= 10)) };
  if (type !== 'int2')
    return {
      ...{ name, type: `${type}[]`, literal, ...values },
      network: elements.flatMap(element => element.network),
      onDisk: elements.flatMap(element => element.onDisk),
    };
  const numbers = elements.map(element => Number(element.literal));
  return {
    ...{ name, type: 'int2[]', literal, texts: [numbers.join(',')] },
    network: [Buffer.concat(numbers.map(number => Buffer.concat([int4(2), int2(number)])))],
    onDisk: [Buffer.concat(numbers.map(number => int2(number).reverse()))],
  };
}

/** A text of more than 8 kB: a sentinel at its beginning, middle and end; of noise, or of one repeated word. */
export function largeText(kind: 'noise' | 'repeated', place: string): Sentinel {
  const marks = ['beginning', 'middle', 'end'].map(part => word(bytesOf(`${kind} ${place} ${part}`)));
  const filling = (part: number) =>
    kind === 'repeated'
      ? 'repeated words '.repeat(500)
      : Array.from({ length: 120 }, (_, i) => bytesOf(`${place} ${part} ${i}`).toString('hex')).join('');
  const literal = `${marks[0]} ${filling(1)} ${marks[1]} ${filling(2)} ${marks[2]}`;
  return {
    name: `large ${kind} text ${place}`,
    type: 'text',
    literal,
    texts: marks,
    network: [],
    onDisk: [],
  };
}

type Value = Pick<Sentinel, 'literal' | 'texts'> & Partial<Pick<Sentinel, 'network' | 'onDisk'>>;

const makers: Readonly<Record<SentinelType, (random: Buffer) => Value>> = {
  int2: random => {
    const value = -20_000 - (random.readUInt16BE(0) % 10_000);
    return {
      literal: String(value),
      texts: [String(value)],
      network: [Buffer.concat([int4(2), int2(value)])],
    };
  },
  int4: random => {
    const value = -1_200_000_000 - (random.readUInt32BE(0) % 900_000_000);
    return { ...plain(String(value)), ...bothOrders(int4(value)) };
  },
  int8: random => {
    const value = -(BigInt('4000000000000000000') + (random.readBigUInt64BE(0) >> 2n));
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    return { ...plain(String(value)), ...bothOrders(bytes) };
  },
  float4: random => {
    const bytes = Buffer.concat([Buffer.from([0x4f]), random.subarray(1, 4)]);
    const value = bytes.readFloatBE(0);
    return { ...plain(shortestFloat4(value)), ...bothOrders(bytes) };
  },
  float8: random => {
    const bytes = Buffer.concat([Buffer.from([0x42]), random.subarray(1, 8)]);
    return { ...plain(String(bytes.readDoubleBE(0))), ...bothOrders(bytes) };
  },
  numeric: random => {
    const groups = Array.from({ length: 6 }, (_, i) => 1001 + (random.readUInt16BE(2 * i) % 8990));
    const text = `${groups.slice(0, 3).join('')}.${groups.slice(3).join('')}`;
    const digits = Buffer.concat(groups.map(int2));
    return { ...plain(text), network: [digits], onDisk: [Buffer.from(digits).swap16()] };
  },
  text: random => plain(word(random)),
  varchar: random => plain(word(random)),
  'char(40)': random => plain(word(random)),
  bytea: random => {
    const value = random.subarray(0, 24);
    return { literal: `\\x${value.toString('hex')}`, texts: [], network: [value], onDisk: [value] };
  },
  date: random => {
    const date = farDate(random);
    const day = int4(Math.round((date - epoch_ms) / 86_400_000));
    return { ...plain(isoDate(date)), ...bothOrders(day) };
  },
  time: random => {
    const { text, bytes } = timeOfDay(random);
    return { ...plain(text), ...bothOrders(bytes) };
  },
  timetz: random => {
    const { text, bytes } = timeOfDay(random);
    const zone = int4(-(3 * 3600 + 17 * 60));
    return {
      ...plain(`${text}+03:17`),
      network: [Buffer.concat([bytes, zone])],
      onDisk: [Buffer.concat([reversed(bytes), reversed(zone)])],
    };
  },
  timestamp: random => timestamp(random, ''),
  timestamptz: random => timestamp(random, '+00'),
  interval: random => {
    const { text, bytes } = timeOfDay(random);
    const [years, months, days] = [31 + (random[10]! % 60), 1 + (random[11]! % 11), 2 + (random[12]! % 27)];
    const rest = [int4(days), int4(12 * years + months)];
    return {
      literal: `${years} years ${months} mons ${days} days ${text}`,
      texts: [`${months} mons ${days} days ${text}`, text],
      network: [Buffer.concat([bytes, ...rest])],
      onDisk: [Buffer.concat([bytes, ...rest].map(reversed))],
    };
  },
  uuid: random => {
    const value = random.subarray(0, 16);
    const hex = value.toString('hex');
    const text = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    return { literal: text, texts: [text], network: [value], onDisk: [value] };
  },
  json: random => ({ literal: `{"finding": "${word(random)}"}`, texts: [word(random)] }),
  jsonb: random => {
    const number = makers.numeric(bytesOf(random.toString('hex')));
    return {
      literal: `{"finding": "${word(random)}", "dose": ${number.literal}}`,
      texts: [word(random), number.literal],
      onDisk: number.onDisk ?? [],
    };
  },
  inet: random => {
    const value = Buffer.from(random.subarray(0, 16));
    for (let i = 0; i < 16; i += 2) value[i] = (value[i]! % 0x70) + 0x20;
    const groups = value.toString('hex').match(/.{4}/g) ?? [];
    return { ...plain(groups.join(':')), network: [value], onDisk: [value] };
  },
};

/** PostgreSQL counts days and microseconds from here. */
const epoch_ms = Date.UTC(2000, 0, 1);

function plain(text: string): Value {
  return { literal: text, texts: [text] };
}

function bothOrders(bytes: Buffer): { network: Buffer[]; onDisk: Buffer[] } {
  return { network: [bytes], onDisk: [reversed(bytes)] };
}

function bytesOf(name: string): Buffer {
  return createHash('sha256').update(`clarus sentinel: ${name}`).digest();
}

/** 20 letters and digits that start with a letter. */
function word(random: Buffer): string {
  const letters = 'bcdfghjkmnpqrstvwxz23456789';
  return `q${[...random.subarray(0, 19)].map(byte => letters[byte % letters.length]).join('')}`;
}

function booleans(random: Buffer): Omit<Sentinel, 'name' | 'type'> {
  const bits = Array.from({ length: 64 }, (_, i) => (random[i >> 3]! >> (i & 7)) & 1);
  const texts = [bits.map(bit => (bit === 1 ? 't' : 'f')).join(',')];
  const sent = Buffer.concat(bits.map(bit => Buffer.concat([int4(1), Buffer.from([bit])])));
  return { literal: `{${texts[0]}}`, texts, network: [sent], onDisk: [Buffer.from(bits)] };
}

/** A date of the far future, so that its day number fills four bytes. */
function farDate(random: Buffer): number {
  return Date.UTC(150_000 + (random.readUInt16BE(0) % 90_000), 0, 1) + (random[2]! % 360) * 86_400_000;
}

function isoDate(date: number): string {
  return new Date(date).toISOString().replace(/^\+0*/, '').slice(0, -'T00:00:00.000Z'.length);
}

function timeOfDay(random: Buffer): { text: string; bytes: Buffer } {
  const [hour, minute, second] = [13 + (random[3]! % 10), 10 + (random[4]! % 50), 10 + (random[5]! % 50)];
  const microsecond = 100_001 + (random.readUInt32BE(6) % 899_000);
  const odd = microsecond % 10 === 0 ? microsecond + 1 : microsecond;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(hour * 3600 + minute * 60 + second) * 1_000_000n + BigInt(odd));
  return { text: `${hour}:${minute}:${second}.${odd}`, bytes };
}

function timestamp(random: Buffer, zone: string): Value {
  const date = farDate(random);
  const { text, bytes } = timeOfDay(random);
  const sent = Buffer.alloc(8);
  sent.writeBigInt64BE(BigInt(date - epoch_ms) * 1000n + bytes.readBigInt64BE(0));
  // Minutes and below stay as they are in every time zone of whole hours.
  return { literal: `${isoDate(date)} ${text}${zone}`, texts: [text.slice(3)], ...bothOrders(sent) };
}

/** The fewest digits that give the value back, as PostgreSQL writes a real. */
function shortestFloat4(value: number): string {
  for (let digits = 6; digits < 9; digits++)
    if (Math.fround(Number(value.toPrecision(digits))) === value) return written(value.toPrecision(digits));
  return written(value.toPrecision(9));
}

function written(text: string): string {
  return text.replace(/\.?0*e/, 'e');
}

function int2(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value > 32_767 ? value - 65_536 : value);
  return bytes;
}

function int4(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function reversed(bytes: Buffer): Buffer {
  return Buffer.from(bytes).reverse();
}
