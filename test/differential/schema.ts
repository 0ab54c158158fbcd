/** The tables of the differential test: a protected column of every type, with values that often meet. */
import fc from 'fast-check';

/** A column of a generated table. */
export interface ColumnShape {
  readonly name: string;
  readonly type: string;
  /** type without modifier, for casts */
  readonly base: string;
  /** a tag answers its `=` */
  readonly equality: boolean;
  readonly domain?: string;
  /** values that often meet, as literals without quotes */
  readonly pool: readonly string[];
  /** any other value */
  readonly other: fc.Arbitrary<string>;
  /** literals that the type or its modifier refuses */
  readonly bad: readonly string[];
}

const integers = (bits: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n }).map(String);
const two = (n: number): string => String(n).padStart(2, '0');
const days = fc
  .tuple(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([year, month, day]) => `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`);
const instants = fc
  .tuple(
    days,
    fc.integer({ min: 0, max: 23 }),
    fc.integer({ min: 0, max: 59 }),
    fc.integer({ min: 0, max: 999_999 }),
  )
  .map(
    ([day, hour, minute, micro]) => `${day} ${two(hour)}:${two(minute)}:07.${String(micro).padStart(6, '0')}`,
  );
const words = fc
  .string({ unit: 'binary', maxLength: 12 })
  .map(word => word.replace(/[\0\ud800-\udfff]/g, '').normalize('NFC'));

const shapes: readonly Omit<ColumnShape, 'name' | 'base'>[] = [
  {
    type: 'int2',
    equality: true,
    domain: 'number',
    pool: ['0', '1', '-7', '32767'],
    other: integers(16),
    bad: ['40000', 'x'],
  },
  {
    type: 'int4',
    equality: true,
    domain: 'number',
    pool: ['0', '1', '-7', '32767'],
    other: integers(32),
    bad: ['2147483648', '1.5', ''],
  },
  {
    type: 'int8',
    equality: true,
    domain: 'number',
    pool: ['0', '1', '-7', '32767'],
    other: integers(64),
    bad: ['9223372036854775808'],
  },
  {
    type: 'numeric',
    equality: true,
    domain: 'number',
    pool: ['0', '1.00', '1', '-7', 'NaN', '0.10', '0.1'],
    other: fc.tuple(integers(48), fc.nat(9999)).map(([whole, part]) => `${whole}.${part}`),
    bad: ['1,5'],
  },
  {
    type: 'numeric(6,2)',
    equality: true,
    domain: 'number',
    pool: ['1', '-7', '0.005', '9999.99'],
    // 9999.995 and more would be rounded up to what does not fit
    other: fc.tuple(fc.integer({ min: -9998, max: 9998 }), fc.nat(999)).map(([a, b]) => `${a}.${b}`),
    bad: ['10000', '99999.99'],
  },
  {
    type: 'text',
    equality: true,
    domain: 'word',
    pool: ['', 'a', 'a ', 'Übel', "o'hara", 'x\\y', 'NULL', '\\N', '1,2\n"3"\t'],
    other: words,
    bad: [],
  },
  {
    type: 'varchar(8)',
    equality: true,
    domain: 'word',
    pool: ['', 'a', 'a ', 'Übel', "o'hara", 'a           '],
    other: words.map(word => [...word].slice(0, 8).join('')),
    bad: ['far too long'],
  },
  {
    type: 'char(5)',
    equality: true,
    pool: ['', 'a', 'a  ', 'Übel', 'x      '],
    other: words.map(word => [...word].slice(0, 5).join('')),
    bad: ['too long'],
  },
  {
    type: 'bool',
    equality: true,
    pool: ['t', 'false', 'yes', '0'],
    other: fc.constant('on'),
    bad: ['maybe'],
  },
  {
    type: 'date',
    equality: true,
    pool: ['2024-02-29', '1999-12-31', 'infinity', '0044-03-15 BC'],
    other: days,
    bad: ['2023-02-30', 'someday'],
  },
  {
    type: 'timestamp',
    equality: true,
    pool: ['2024-02-29 12:00:00', '-infinity', '1999-12-31 23:59:59.999999'],
    other: instants,
    bad: ['2024-02-29 25:00:00'],
  },
  {
    type: 'timestamptz',
    equality: true,
    pool: ['2024-02-29 12:00:00+00', '2024-02-29 13:00:00+01', 'infinity'],
    other: instants.map(at => `${at}+02`),
    bad: ['never'],
  },
  {
    type: 'uuid',
    equality: true,
    pool: ['00000000-0000-0000-0000-000000000001', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
    other: fc.uuid(),
    bad: ['a0eebc99'],
  },
  {
    type: 'bytea',
    equality: true,
    pool: ['', '\\x00', '\\xdeadbeef', 'plain'],
    other: fc.uint8Array({ maxLength: 40 }).map(bytes => `\\x${Buffer.from(bytes).toString('hex')}`),
    bad: ['\\x0'],
  },
  {
    type: 'float8',
    equality: true,
    pool: ['0', '-0', 'NaN', 'Infinity', '1.5', '1e-300'],
    other: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    bad: ['1e400'],
  },
  {
    type: 'interval',
    equality: true,
    pool: ['1 day', '24 hours', '1 mon', '30 days', '-1 year 2 mons 3 days'],
    other: fc.integer({ min: -99_999, max: 99_999 }).map(n => `${n} minutes`),
    bad: ['some time'],
  },
  {
    type: 'jsonb',
    equality: false,
    pool: ['null', '{"a": [1, 2.50, "x"]}', '"word"', '[]'],
    other: fc.jsonValue({ maxDepth: 2 }).map(value => JSON.stringify(value).replaceAll('\\u0000', '')),
    bad: ['{', "{'a': 1}"],
  },
  {
    type: 'inet',
    equality: true,
    pool: ['10.0.0.1', '10.0.0.1/32', '10.0.0.0/8', '::1', 'fe80::1/64'],
    other: fc.ipV4(),
    bad: ['10.0.0.256'],
  },
  {
    type: 'int4[]',
    equality: false,
    pool: ['{}', '{1,2,NULL}', '{{1,2},{3,4}}', '[0:1]={7,8}'],
    other: fc.array(integers(32), { maxLength: 4 }).map(items => `{${items.join(',')}}`),
    bad: ['{1', '{1,x}'],
  },
  {
    type: 'text[]',
    equality: false,
    pool: ['{}', '{a,"b c",NULL,"NULL",""}'],
    other: fc
      .array(words, { maxLength: 3 })
      .map(items => `{${items.map(item => `"${item.replace(/["\\]/g, '\\$&')}"`).join(',')}}`),
    bad: ['{a'],
  },
];

const nameOf = (type: string): string =>
  `c_${type.replace('[]', 's').replace(/\W+/g, '_').replace(/_$/, '')}`;

/** Protected columns, one a type. */
export const columns: readonly ColumnShape[] = shapes.map(shape => ({
  ...shape,
  name: nameOf(shape.type),
  base: shape.type.replace(/\(.*\)/, ''),
}));

/** Columns that a tag answers. */
export const tagged: readonly ColumnShape[] = columns.filter(column => column.equality);

/** Tables `sample` and `other` hold a column of every type; `keyed` and `child` constraints. */
export const tablesSql = `
CREATE TABLE sample (id int PRIMARY KEY, note text DEFAULT 'none', ${columns.map(c => `${c.name} ${c.type}`).join(', ')});
CREATE TABLE other (id int PRIMARY KEY, note text DEFAULT 'none', ${columns.map(c => `${c.name} ${c.type}`).join(', ')});
CREATE TABLE keyed (code varchar(6) PRIMARY KEY, n int NOT NULL DEFAULT 7, word text UNIQUE, open int DEFAULT 3);
CREATE TABLE child (id int PRIMARY KEY, code varchar(6) REFERENCES keyed, open int NOT NULL CHECK (open < 100));`;

const protectedColumn = ({ name, equality, domain }: ColumnShape): string =>
  `      ${name}: { class: confidential, protect: encrypt${equality ? ', queries: [equality]' : ''}${domain ? `, domain: ${domain}` : ''} }`;

const everyType = (table: string): string => `  public.${table}:
    columns:
      id: { protect: none }
      note: { protect: none }
${columns.map(protectedColumn).join('\n')}`;

export const policy = `unlisted: pass
tables:
${everyType('sample')}
${everyType('other')}
  public.keyed:
    columns:
      code: { class: identifier, protect: encrypt, queries: [equality], domain: code }
      n: { class: confidential, protect: encrypt, queries: [equality], domain: number }
      word: { class: confidential, protect: encrypt, queries: [equality] }
      open: { protect: none }
  public.child:
    columns:
      id: { protect: none }
      code: { class: identifier, protect: encrypt, queries: [equality], domain: code }
      open: { protect: none }`;
