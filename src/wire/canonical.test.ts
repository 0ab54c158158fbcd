import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { count } from '../../test/heavy/support/scale.js';
import { columnOf, plain, valueAt } from '../crypto/column.js';
import { ClarusError } from '../errors.js';
import { canonicalClass, canonicalColumn, equalityOperators } from './canonical.js';
import { scalarTexts } from './codecs/arbitraries.test.js';
import { decodeText, defaultSettings } from './codecs/codecs.js';
import { postgresForms } from './codecs/postgres-values.test.js';
import { startServers, type TestServer } from './codecs/test-server.test.js';
import { type TypeName, typeName, typeNames, typeOids } from './types.js';

const utf8 = new TextEncoder();

let servers: readonly TestServer[] = [];
before(async () => {
  servers = await startServers();
});
after(async () => {
  await Promise.all(servers.map(server => server.stop()));
});

/** Few values of a type in many spellings, so that equal ones meet often. */
const crowded: Partial<Record<TypeName, fc.Arbitrary<string>>> = {
  int2: fc.integer({ min: -3, max: 3 }).map(String),
  int4: fc.integer({ min: -3, max: 3 }).map(String),
  int8: fc.oneof(
    fc.integer({ min: -3, max: 3 }).map(String),
    fc.constantFrom(
      '9223372036854775807',
      '-9223372036854775808',
      '9223372036854775806',
      '100000000',
      '10000000000000000',
    ),
  ),
  numeric: fc.oneof(
    fc
      .tuple(
        fc.integer({ min: -3, max: 3 }),
        fc.constantFrom('', '.0', '.00', '.5', '.50', '.000001', '.0000010'),
      )
      .map(p => p.join('')),
    fc.constantFrom(
      '9223372036854775807.0',
      '-9223372036854775808',
      '9223372036854775808',
      '-9223372036854775809',
    ),
    fc.constantFrom(
      '1e4',
      '10000.0',
      '1e8',
      '1e16',
      '1e19',
      '1e20',
      '1e-4',
      '0.00010',
      'NaN',
      'Infinity',
      '-Infinity',
      '-0.0',
      '0',
    ),
  ),
  float4: fc.constantFrom(
    '0',
    '-0',
    '1',
    '0.1',
    '0.10000000149011612',
    'NaN',
    'Infinity',
    '-Infinity',
    '16777216',
  ),
  float8: fc.constantFrom(
    '0',
    '-0',
    '1',
    '0.1',
    '0.10000000149011612',
    'NaN',
    'Infinity',
    '-Infinity',
    '16777217',
  ),
  text: fc.constantFrom('', 'a', 'a ', 'a  ', 'b', ' a', 'a\n', 'é', 'e\u0301', 'A'),
  varchar: fc.constantFrom('', 'a', 'a ', 'a  ', 'b', ' a', 'a\n', 'é', 'e\u0301', 'A'),
  name: fc.constantFrom('', 'a', 'a ', 'a  ', 'b', ' a', 'a\n', 'é', 'e\u0301', 'A'),
  bpchar: fc.constantFrom('', 'a', 'a ', 'a  ', 'b', ' a', 'a\n', 'a\n ', 'é', 'e\u0301', 'A', ' '),
  bytea: fc.constantFrom('\\x', '\\x00', '\\x0000', '\\x01', '\\xff20', '\\xff'),
  date: fc.constantFrom('2000-01-01', '1999-12-31', 'infinity', '-infinity', '0001-01-01 BC', '0001-01-01'),
  time: fc.constantFrom('00:00:00', '24:00:00', '00:00:00.000001', '12:00:00', '12:00:00.0'),
  timetz: fc.constantFrom(
    '12:00:00+00',
    '13:00:00+01',
    '12:00:00-00',
    '11:00:00-01',
    '24:00:00+00',
    '00:00:00+00',
  ),
  timestamp: fc.constantFrom(
    '2000-01-01 00:00:00',
    '1999-12-31 24:00:00',
    'infinity',
    '-infinity',
    '2000-01-01 00:00:00.000001',
  ),
  timestamptz: fc.constantFrom(
    '2000-01-01 00:00:00+00',
    '2000-01-01 01:00:00+01',
    '1999-12-31 23:00:00-01',
    'infinity',
    '2000-01-01 00:00:00+01',
  ),
  interval: fc.constantFrom(
    ...[
      '1 mon',
      '30 days',
      '720:00:00',
      '29 days 24:00:00',
      '1 mon -1 day 24:00:00',
      '1 year',
      '12 mons',
      '360 days',
      '365 days',
    ],
    ...[
      '0',
      '1 day -24:00:00',
      '-1 day',
      '-24:00:00',
      '1 day',
      '24:00:00',
      '-1 mon 31 days',
      '00:00:00.000001',
      '-00:00:00.000001',
    ],
    ...[
      '178956970 years 7 mons 2147483647 days 2562047788:00:54.775807',
      '-178956970 years',
      '-2147483640 mons',
    ],
  ),
  inet: fc.constantFrom(
    '10.0.0.0/8',
    '10.0.0.0',
    '10.0.0.1/8',
    '10.0.0.0/9',
    '::',
    '::/0',
    '0.0.0.0',
    '::a00:0',
    '0.0.0.0/0',
    '::ffff:10.0.0.0',
  ),
  cidr: fc.constantFrom(
    '10.0.0.0/8',
    '10.0.0.0/32',
    '10.0.0.0/9',
    '::/128',
    '::/0',
    '0.0.0.0/32',
    '0.0.0.0/0',
  ),
  oid: fc.constantFrom('0', '1', '4294967295', '2147483648'),
};
const valuesOf = (name: TypeName): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 4, arbitrary: crowded[name] ?? scalarTexts[name] },
    { weight: 1, arbitrary: scalarTexts[name] },
  );

const formOf = (typeOid: number, binary: Uint8Array): string =>
  Buffer.from(valueAt(canonicalColumn(typeOid, plain(columnOf([binary]))), 0) ?? []).toString('hex');

/** The types that meet under each operator, relatives of its operand types included. */
const pairs = [...equalityOperators]
  .filter(([, { negated }]) => !negated)
  .flatMap(([oid, operator]) => {
    const relativesOf = (own: number): number[] =>
      operator.types.filter(type => type === own || (type !== operator.left && type !== operator.right));
    return relativesOf(operator.left).flatMap(left =>
      relativesOf(operator.right).map(right => ({ oid, left, right })),
    );
  });

describe('canonical forms', () => {
  for (const { oid, left, right } of pairs) {
    const leftName = typeName(left)!;
    const rightName = typeName(right)!;
    it(`are equal exactly when ${leftName} = ${rightName} by operator ${oid}`, async () => {
      for (const server of servers) {
        const { rows } = await server.client.query(
          'SELECT oprcode::text AS code FROM pg_operator WHERE oid = $1',
          [oid],
        );
        let equal = 0;
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.tuple(valuesOf(leftName), valuesOf(rightName), fc.boolean()), {
              minLength: 50,
              maxLength: 200,
              size: 'max',
            }),
            async given => {
              // a third of the pairs is the same text twice
              const lefts = await postgresForms(
                server,
                leftName,
                given.map(([text]) => text),
              );
              const rights = await postgresForms(
                server,
                rightName,
                given.map(([text, other, same]) => (same ? text : other)),
              );
              const both = given.flatMap((_, i) =>
                lefts[i] && rights[i] ? [[lefts[i], rights[i]] as const] : [],
              );
              const { rows: answers } = await server.client.query(
                `SELECT ${rows[0].code}(a, b) AS equal FROM unnest($1::text[]::${leftName}[], $2::text[]::${rightName}[])
                 WITH ORDINALITY u(a, b, i) ORDER BY i`,
                [both.map(([a]) => a.text), both.map(([, b]) => b.text)],
              );
              both.forEach(([a, b], i) => {
                const isEqual = formOf(left, a.binary) === formOf(right, b.binary);
                assert.equal(isEqual, answers[i].equal, `${server.name}: ${a.text} and ${b.text}`);
                if (isEqual) equal++;
              });
            },
          ),
          { numRuns: count(`batches of ${leftName} = ${rightName}`, 60, 3) },
        );
        assert.ok(equal > 0, 'no pair was equal');
      }
    });
  }

  it('are answered only under operators of B-tree equality that the catalogue has so', async () => {
    for (const server of servers) {
      const { rows } = await server.client.query(
        `SELECT o.oid::int4, o.oprname AS name, o.oprleft::int4 AS left, o.oprright::int4 AS right, o.oprnegate::int4 AS negator,
                EXISTS (SELECT FROM pg_amop a JOIN pg_am m ON m.oid = a.amopmethod
                        WHERE a.amopopr = o.oid AND m.amname = 'btree' AND a.amopstrategy = 3) AS btree
         FROM pg_operator o WHERE o.oprname IN ('=', '<>') AND o.oid < 16384`,
      );
      const catalogue = new Map(rows.map(row => [row.oid, row]));
      for (const [oid, operator] of equalityOperators) {
        const row = catalogue.get(oid);
        assert.ok(row, `${server.name} has operator ${oid}`);
        assert.equal(row.name, operator.negated ? '<>' : '=');
        assert.deepEqual([row.left, row.right], [operator.left, operator.right]);
        assert.equal(equalityOperators.get(row.negator)?.negated, !operator.negated);
        assert.equal(row.btree, !operator.negated);
        assert.equal(canonicalClass(row.left), operator.class);
        assert.equal(canonicalClass(row.right), operator.class);
        for (const type of operator.types) assert.equal(canonicalClass(type), operator.class);
      }
      // and none is missing between types of one class
      const missing = rows.filter(
        ({ oid, left, right, btree }) =>
          btree &&
          canonicalClass(left) !== undefined &&
          canonicalClass(left) === canonicalClass(right) &&
          !equalityOperators.has(oid),
      );
      assert.deepEqual(missing, []);
    }
  });

  it('answer no type through a cast without a function that changes what is equal', async () => {
    for (const server of servers) {
      const { rows } = await server.client.query(
        `SELECT castsource::int4 AS source, casttarget::int4 AS target FROM pg_cast WHERE castmethod = 'b'`,
      );
      for (const { source, target } of rows) {
        for (const operator of equalityOperators.values()) {
          if (operator.left !== target || operator.right !== target) continue;
          const isAnswered = canonicalClass(source) === operator.class;
          assert.equal(operator.types.includes(source), isAnswered, `${server.name}: ${source} as ${target}`);
        }
      }
    }
  });
});

const form = (name: TypeName, text: string): string => {
  const binary = decodeText(typeOids[name], -1, utf8.encode(text), defaultSettings);
  assert.ok(binary, text);
  return formOf(typeOids[name], binary);
};

describe('the canonical form', () => {
  // the examples of docs/spec/canonical.md
  const examples: readonly (readonly [TypeName, string, string])[] = [
    ['int2', '1', '01000000000000000001'],
    ['int8', '-1', '0100ffffffffffffffff'],
    ['numeric', '1.00', '01000000000000000001'],
    ['numeric', '12.34', '01010000000c0d48'],
    ['numeric', '-0.00010', '0102ffff0001'],
    ['numeric', '9223372036854775808', '01010004039a0d2c0170156516b0'],
    ['numeric', 'NaN', '0103'],
    ['numeric', 'Infinity', '0104'],
    ['numeric', '-Infinity', '0105'],
    ['float4', '1', '023ff0000000000000'],
    ['float8', '-0', '020000000000000000'],
    ['float8', 'NaN', '027ff8000000000000'],
    ['text', 'é ', '03c3a920'],
    ['bpchar', 'a  ', '0f61'],
    ['bytea', '\\x00ff', '0400ff'],
    ['bool', 't', '0501'],
    ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '06a0eebc999c0b4ef8bb6d6bb9bd380a11'],
    ['date', '2000-01-02', '0700000001'],
    ['time', '24:00:00', '08000000141dd76000'],
    ['timetz', '00:00:01-08', '0900000000000f424000007080'],
    ['timestamp', '1999-12-31 23:59:59.999999', '0affffffffffffffff'],
    ['timestamptz', '2000-01-01 00:00:01+00', '0b00000000000f4240'],
    ['interval', '1 mon', '0c00000000001e00000000000000'],
    ['interval', '-00:00:00.000001', '0cffffffffffff01517f000f423f'],
    ['inet', '10.1.2.3/8', '0d080a010203'],
    ['cidr', '2001:db8::/32', '0d2020010db8000000000000000000000000'],
    ['oid', '4294967295', '0effffffff'],
  ];
  for (const [name, text, expected] of examples) {
    it(`of ${name} ${text} is ${expected}`, () => {
      assert.equal(form(name, text), expected);
    });
  }

  it('keeps NULLs, and takes columns that are a part of a buffer', () => {
    const data = Uint8Array.of(9, 9, 0, 1, 0, 2);
    const values = plain({
      length: 3,
      data,
      offsets: Uint32Array.of(2, 4, 4, 6),
      nulls: Uint8Array.of(0, 1, 0),
    });
    const forms = canonicalColumn(typeOids.int2, values);
    assert.deepEqual(valueAt(forms, 1), null);
    assert.deepEqual([...forms.offsets], [0, 10, 10, 20]);
    assert.equal(Buffer.from(valueAt(forms, 2)!).toString('hex'), '01000000000000000002');
  });

  it('of an integer is one AES block', () => {
    for (const name of ['int2', 'int4', 'int8', 'numeric'] as const)
      assert.ok(form(name, '12345').length <= 32);
  });

  it('does not exist for json, jsonb and arrays', () => {
    for (const name of ['json', 'jsonb'] as const) assert.equal(canonicalClass(typeOids[name]), undefined);
    assert.equal(canonicalClass(1007), undefined);
    assert.throws(() => canonicalColumn(typeOids.json, plain(columnOf([]))), RangeError);
  });

  it('of bytes that are no value of the type is an error without the bytes', () => {
    for (const name of typeNames) {
      if (
        canonicalClass(typeOids[name]) === undefined ||
        ['text', 'varchar', 'name', 'bpchar', 'bytea'].includes(name)
      )
        continue;
      assert.throws(
        () => formOf(typeOids[name], new Uint8Array(99)),
        (error: unknown) => error instanceof ClarusError && error.code === '22P03',
      );
    }
  });
});
