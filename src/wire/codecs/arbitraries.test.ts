/** Text forms of values for the codec tests, edges more often than chance would bring them. */
import fc from 'fast-check';
import type { TypeName } from '../types.js';

const pad = (value: number, width: number): string => String(value).padStart(width, '0');

const integer = (min: bigint, max: bigint): fc.Arbitrary<string> =>
  fc
    .oneof(
      fc.bigInt({ min, max }),
      fc.bigInt({ min: min < -1000n ? -1000n : min, max: 1000n }),
      // powers of ten and two and their neighbours
      fc
        .tuple(
          fc.constantFrom(2n, 10n),
          fc.nat({ max: 63 }),
          fc.constantFrom(-1n, 0n, 1n),
          fc.constantFrom(-1n, 1n),
        )
        .map(([base, exponent, step, sign]) => sign * (base ** BigInt(exponent) + step)),
      fc.constantFrom(min, max, min + 1n, max - 1n),
    )
    .filter(value => value >= min && value <= max)
    .map(String);

const bits = new DataView(new ArrayBuffer(8));
const doubleOfBits = (value: bigint): number => {
  bits.setBigUint64(0, value);
  return bits.getFloat64(0);
};
const singleOfBits = (value: number): number => {
  bits.setUint32(0, value);
  return bits.getFloat32(0);
};
/** As JavaScript prints it, which PostgreSQL reads exactly; a float4 too, printed as its double. */
const printed = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

/** Decimals as people write them. */
const shortDecimal = fc
  .tuple(fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }), fc.integer({ min: -12, max: 20 }))
  .map(([mantissa, exponent]) => `${mantissa}e${exponent}`);

const double = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(value => printed(doubleOfBits(value))),
  fc.double().map(printed),
  shortDecimal,
  fc.integer().map(String),
  // around the integers that doubles just hold, and the midpoints that are short decimals
  fc
    .tuple(fc.nat({ max: 30 }), fc.nat({ max: 99 }))
    .map(([exponent, mantissa]) => `${mantissa + 1}e${exponent}`),
  fc.tuple(fc.integer({ min: -1074, max: 1023 }), fc.integer({ min: -2, max: 2 })).map(([power, step]) => {
    bits.setFloat64(0, 2 ** power);
    const near = bits.getBigUint64(0) + BigInt(step);
    return printed(doubleOfBits(near < 0n ? 0n : near));
  }),
  fc.constantFrom(
    'NaN',
    'Infinity',
    '-Infinity',
    '-0',
    '5e-324',
    '1.7976931348623157e308',
    '9007199254740993',
  ),
);

const single = fc.oneof(
  fc.nat({ max: 0xffffffff }).map(value => printed(singleOfBits(value))),
  fc.tuple(fc.nat({ max: 999_999 }), fc.integer({ min: -12, max: 8 })).map(([m, e]) => `${m}e${e}`),
  fc.integer({ min: -20_000_000, max: 20_000_000 }).map(String),
  fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: -2, max: 2 }))
    .map(([power, step]) => printed(singleOfBits(Math.max(0, power * 2 ** 23 + step)))),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '-0', '1e-45', '3.4028235e38'),
);

const digits = (min: number, max: number): fc.Arbitrary<string> =>
  fc.oneof(
    fc.array(fc.constantFrom(...'0123456789'), { minLength: min, maxLength: max }).map(list => list.join('')),
    fc
      .array(fc.constantFrom('0', '0000', '9999'), { minLength: min, maxLength: Math.max(min, max >> 2) })
      .map(list => list.join('')),
  );

const numeric = fc.oneof(
  fc
    .tuple(fc.constantFrom('', '-'), digits(1, 12), digits(0, 12))
    .map(([sign, whole, fraction]) => (fraction === '' ? sign + whole : `${sign}${whole}.${fraction}`)),
  fc
    .tuple(fc.constantFrom('', '-'), digits(1, 90), digits(1, 90))
    .map(([sign, whole, fraction]) => `${sign}${whole}.${fraction}`),
  fc
    .tuple(digits(1, 6), digits(1, 6), fc.integer({ min: -60, max: 60 }))
    .map(([whole, fraction, e]) => `${whole}.${fraction}e${e}`),
  integer(-(2n ** 63n), 2n ** 63n - 1n),
  fc.constantFrom(
    'NaN',
    'Infinity',
    '-Infinity',
    '0',
    '-0.000',
    '1e1000',
    '1e-1000',
    '-1e131071',
    '1e-16383',
    '0.10',
  ),
);

/** Characters of every size in UTF-8, and those that arrays and JSON escape. */
const character = fc.oneof(
  fc.constantFrom(...'aZ09 ,"\\{}\'\t\n\r\u000b/[]:'),
  fc.constantFrom(
    'é',
    'ß',
    '€',
    '漢',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '😀',
    '\u{10ffff}',
    '\u007f',
    '\u0080',
    '\u0001',
  ),
  fc.integer({ min: 0x20, max: 0x7e }).map(code => String.fromCharCode(code)),
);
const text = fc.oneof(
  fc.array(character, { maxLength: 12 }).map(list => list.join('')),
  fc.constantFrom('', 'NULL', 'null', 'Null', ' ', 'a  ', '  '),
);
const longText = fc.oneof(
  text,
  fc.array(character, { maxLength: 300 }).map(list => list.join('')),
);

const bytea = fc.uint8Array({ maxLength: 40 }).map(bytes => `\\x${Buffer.from(bytes).toString('hex')}`);

const year = fc.oneof(
  fc.integer({ min: 1900, max: 2100 }),
  fc.integer({ min: -4712, max: 294276 }),
  fc.constantFrom(-4711, -3, -1, 0, 1, 4, 100, 400, 1582, 1600, 1700, 2000, 9999, 10000, 294276),
);
const dayOf = (years: fc.Arbitrary<number>): fc.Arbitrary<{ day: string; era: string }> =>
  fc.tuple(years, fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 31 })).map(([y, month, day]) => {
    const last = new Date(Date.UTC(2000 + (y % 400), month, 0)).getUTCDate();
    const counted = y > 0 ? y : 1 - y;
    return {
      day: `${pad(counted, 4)}-${pad(month, 2)}-${pad(Math.min(day, last), 2)}`,
      era: y > 0 ? '' : ' BC',
    };
  });
const infinity = fc.constantFrom('infinity', '-infinity');

const date = fc.oneof(
  {
    weight: 9,
    arbitrary: dayOf(fc.oneof(year, fc.integer({ min: 294277, max: 5874897 }))).map(d => d.day + d.era),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      infinity,
      fc.constantFrom('4714-11-24 BC', '5874897-12-31', '0001-01-01', '0001-12-31 BC'),
    ),
  },
);

const fraction = fc.oneof(
  fc.constant(''),
  digits(1, 6)
    .filter(d => d.length <= 6)
    .map(d => `.${d}`),
);
const time = fc.oneof(
  {
    weight: 19,
    arbitrary: fc
      .tuple(fc.nat({ max: 23 }), fc.nat({ max: 59 }), fc.nat({ max: 59 }), fraction)
      .map(([h, m, s, f]) => `${pad(h, 2)}:${pad(m, 2)}:${pad(s, 2)}${f}`),
  },
  { weight: 1, arbitrary: fc.constantFrom('24:00:00', '00:00:00', '23:59:59.999999') },
);
const offset = fc
  .tuple(
    fc.constantFrom('+', '-'),
    fc.nat({ max: 15 }),
    fc.constantFrom('', ':30', ':45', ':00', ':59:59', ':00:01'),
  )
  .map(([sign, h, rest]) => `${sign}${pad(h, 2)}${rest}`);
const timetz = fc.tuple(time, offset).map(([t, o]) => t + o);

const timestamp = fc.oneof(
  { weight: 19, arbitrary: fc.tuple(dayOf(year), time).map(([d, t]) => `${d.day} ${t}${d.era}`) },
  {
    weight: 1,
    arbitrary: fc.oneof(infinity, fc.constantFrom('4714-11-24 00:00:00 BC', '294276-12-31 23:59:59.999999')),
  },
);
const timestamptz = fc.oneof(
  {
    weight: 19,
    arbitrary: fc.tuple(dayOf(year), time, offset).map(([d, t, o]) => `${d.day} ${t}${o}${d.era}`),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      infinity,
      fc.constantFrom('4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00'),
    ),
  },
);

const interval = fc.oneof(
  fc
    .tuple(
      fc.oneof(
        fc.constant(0),
        fc.integer({ min: -40, max: 40 }),
        fc.integer({ min: -170_000_000, max: 170_000_000 }),
      ),
      fc.integer({ min: -12, max: 12 }),
      fc.oneof(fc.constant(0), fc.integer({ min: -40, max: 40 }), fc.integer()),
      fc.oneof(
        fc.constant(0),
        fc.integer({ min: -100, max: 100 }),
        fc.integer({ min: -2_000_000, max: 2_000_000 }),
      ),
      fc.integer({ min: -59, max: 59 }),
      fc.integer({ min: -59_999_999, max: 59_999_999 }),
    )
    .map(
      ([y, mon, d, h, m, us]) =>
        `${y} years ${mon} mons ${d} days ${h} hours ${m} minutes ${us} microseconds`,
    ),
  fc.constantFrom(
    ...[
      '0',
      '1 mon',
      '-1 mon',
      '1 day',
      '-1 day',
      '1 year',
      '30 days',
      '720:00:00',
      '-00:00:00.000001',
      '1 year -1 day',
    ],
    ...[
      '178956970 years 7 mons',
      '-178956970 years -8 mons',
      '2147483647 days',
      '-2147483648 days',
      '2147483647:59:59',
    ],
  ),
);

const uuid = fc.uuid();

const json = fc.oneof(
  fc.json(),
  fc
    .tuple(fc.json({ maxDepth: 3 }), fc.constantFrom(1, 2, '\t'))
    .map(([value, space]) => JSON.stringify(JSON.parse(value), null, space)),
  double.filter(value => !/[Ny]/.test(value)),
  fc.constantFrom(
    '{"bb": 1, "a": 2, "a": 3}',
    '[1.00, -0, 1E+2, "\\u00e9\\ud83d\\ude00"]',
    '"\\ud800"',
    '[]',
    '{}',
    ' null ',
  ),
);
/** jsonb holds no \u0000, no lone surrogate, and no number beyond numeric. */
const jsonb = json.filter(value => !/\\u(0000|d[89a-f])/i.test(value));

const octet = fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 1, 255));
const version4 = fc.tuple(octet, octet, octet, octet).map(list => list.join('.'));
const word = fc.oneof(
  fc.constant('0'),
  fc.nat({ max: 0xffff }).map(value => value.toString(16)),
  fc.constantFrom('1', 'ffff'),
);
const version6 = fc.oneof(
  fc.array(word, { minLength: 8, maxLength: 8 }).map(list => list.join(':')),
  version4.map(address => `::ffff:${address}`),
  version4.map(address => `::${address}`),
  fc.constantFrom('::', '::1', '1::', '::2', 'fe80::1:0:0:1'),
);
const inet = fc.oneof(
  version4,
  version6,
  fc.tuple(version4, fc.nat({ max: 32 })).map(([address, size]) => `${address}/${size}`),
  fc.tuple(version6, fc.nat({ max: 128 })).map(([address, size]) => `${address}/${size}`),
);
const cidr = fc.oneof(
  fc.tuple(fc.bigInt({ min: 0n, max: 0xffffffffn }), fc.nat({ max: 32 })).map(([address, size]) => {
    const network = (address >> BigInt(32 - size)) << BigInt(32 - size);
    return `${[24n, 16n, 8n, 0n].map(shift => (network >> shift) & 255n).join('.')}/${size}`;
  }),
  fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), fc.nat({ max: 128 })).map(([address, size]) => {
    const network = (address >> BigInt(128 - size)) << BigInt(128 - size);
    const words = Array.from({ length: 8 }, (_, i) =>
      ((network >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
    );
    return `${words.join(':')}/${size}`;
  }),
);

/** Values of each type that PostgreSQL takes, nearly all. */
export const scalarTexts: Readonly<Record<TypeName, fc.Arbitrary<string>>> = {
  bool: fc.constantFrom('t', 'f', 'true', 'false'),
  bytea,
  name: text,
  int8: integer(-(2n ** 63n), 2n ** 63n - 1n),
  int2: integer(-32768n, 32767n),
  int4: integer(-2147483648n, 2147483647n),
  text: longText,
  oid: integer(0n, 4294967295n),
  json,
  cidr,
  float4: single,
  float8: double,
  inet,
  bpchar: text,
  varchar: text,
  date,
  time,
  timestamp,
  timestamptz,
  interval,
  timetz,
  numeric,
  uuid,
  jsonb,
};
