import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { count } from '../../../test/heavy/support/scale.js';
import { arrayOids, type TypeName, typeNames, typeOids } from '../types.js';
import { scalarTexts } from './arbitraries.test.js';
import { binaryAcceptable, decodeText, defaultSettings, encodeText } from './codecs.js';
import { postgresForms } from './postgres-values.test.js';
import { startServers, type TestServer } from './test-server.test.js';
import { arrayTexts, mutated } from './variants.test.js';

/** Values a property is tried with at once: one statement to PostgreSQL. */
const batch = 150;
const runs = (what: string): number => count(what, 100, 3);
const batchOf = (values: fc.Arbitrary<string>): fc.Arbitrary<string[]> =>
  fc.array(values, { minLength: 1, maxLength: batch, size: 'max' });

const utf8 = new TextEncoder();
const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const hex = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && Buffer.from(bytes).toString('hex');

interface TestedType {
  readonly sql: string;
  readonly oid: number;
  readonly name: TypeName;
  readonly texts: fc.Arbitrary<string>;
}
const types: readonly TestedType[] = [
  ...typeNames.map(name => ({ sql: name, oid: typeOids[name], name, texts: scalarTexts[name] })),
  ...typeNames.map(name => ({
    sql: `${name}[]`,
    oid: arrayOids[name],
    name,
    texts: arrayTexts(scalarTexts[name]),
  })),
];

let servers: readonly TestServer[] = [];
before(async () => {
  servers = await startServers();
});
after(async () => {
  await Promise.all(servers.map(server => server.stop()));
});

/** What is left to PostgreSQL although PostgreSQL printed it. */
const isLeftToPostgres = (name: TypeName, text: string): boolean =>
  (name === 'interval' && /\d{10,}|\d{7,}:|-178956970 years/.test(text)) ||
  (name === 'jsonb' && /\\/.test(text)) ||
  /\d{1001}/.test(text);

describe('codecs', () => {
  for (const { sql, oid, name, texts } of types) {
    it(`reads and writes ${sql} as PostgreSQL prints and sends it`, async () => {
      for (const server of servers) {
        await fc.assert(
          fc.asyncProperty(batchOf(texts), async given => {
            for (const value of await postgresForms(server, sql, given)) {
              if (value === undefined) continue;
              const context = `${server.name}: ${value.text}`;
              const read = decodeText(oid, -1, utf8.encode(value.text), defaultSettings);
              if (read !== undefined || !isLeftToPostgres(name, value.text)) {
                assert.equal(hex(read), hex(value.binary), context);
                assert.equal(binaryAcceptable(oid, -1, value.binary), true, context);
              }
              assert.equal(textOf(encodeText(oid, value.binary, defaultSettings)), value.text, context);
            }
          }),
          { numRuns: runs(`batches of ${sql}`) },
        );
      }
    });

    it(`takes no spelling of ${sql} otherwise than PostgreSQL does`, async () => {
      for (const server of servers) {
        await fc.assert(
          fc.asyncProperty(batchOf(fc.oneof(texts, mutated(texts))), async given => {
            const forms = await postgresForms(server, sql, given);
            given.forEach((text, i) => {
              const read = decodeText(oid, -1, utf8.encode(text), defaultSettings);
              if (read !== undefined)
                assert.equal(hex(read), hex(forms[i]?.binary), `${server.name}: ${text}`);
            });
          }),
          { numRuns: runs(`batches of spellings of ${sql}`) },
        );
      }
    });
  }

  it('takes what drivers and exports commonly write', async () => {
    const common: Partial<Record<TypeName, readonly string[]>> = {
      bool: ['t', 'f', 'true', 'false'],
      int4: ['007', '-0', '2147483647'],
      float8: ['1E5', '1.5e-7', '100000000000000000000', '0.1', '3'],
      float4: ['0.1', '16777216', '1e10'],
      numeric: ['007.50', '1e3', '1.5E-3', '12345678901234567890.123456789'],
      bytea: ['\\xDEADbeef', '\\x', 'plain', 'a\\\\b\\000\\377'],
      timestamp: ['2024-02-29T23:59:59', '2024-02-29 23:59:59.123', '2024-02-29 24:00:00'],
      timestamptz: [
        '2024-02-29T23:59:59.999Z',
        '2024-02-29T23:59:59+00:00',
        '2024-02-29 23:59:59-05',
        '2024-02-29 23:59:59.5+05:30',
      ],
      timetz: ['23:59:59+00:00', '00:00:00.5-11:30'],
      interval: ['1 day', '1 year 2 mons', '-01:00:00', '3 days 04:05:06.789'],
      uuid: ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
      json: [' {"a" : [1, 2.50e3, "\\u00e9", null]} '],
      jsonb: ['{"a": 1, "b": "\\n", "aa": [1.50, -0.5, true]}', '{}', '"x"'],
      inet: ['10.0.0.1', '10.0.0.1/32', '10.0.0.0/8', '::1', '2001:db8::1/64'],
    };
    for (const server of servers) {
      for (const [name, texts] of Object.entries(common) as [TypeName, readonly string[]][]) {
        const forms = await postgresForms(server, name, texts);
        texts.forEach((text, i) => {
          const read = decodeText(typeOids[name], -1, utf8.encode(text), defaultSettings);
          assert.ok(read, `${name} ${text} is taken`);
          assert.equal(hex(read), hex(forms[i]?.binary), `${server.name}: ${text}`);
        });
      }
    }
  });

  it('leaves to PostgreSQL what is unusual, invalid or depends on more than the text', () => {
    const left: Partial<Record<TypeName, readonly string[]>> = {
      bool: ['', 'T', 'yes', '1', ' t'],
      int4: ['', '-', '+1', ' 1', '1 ', '0x10', '1_000', '2147483648', '1.0'],
      oid: ['010', '-1', '4294967296'],
      float8: ['', '.', '1.', '.5', 'nan', 'inf', '1e400', '1e-400', '0x1p3', '1e'],
      numeric: ['', '.', '1.', '.5', 'nan', '+1', '1e', '1e99999', '0x1'],
      date: [
        '',
        '2024-02-30',
        '2023-02-29',
        '24-01-01',
        '2024-1-1',
        '0000-01-01',
        'today',
        '5874898-01-01',
        '2024/01/01',
      ],
      time: ['24:00:01', '23:60:00', '23:59:60', '1:00:00', '23:59', '00:00:00.1234567'],
      timestamp: ['now', '2024-01-01', '2024-01-01 00:00:00+00', '294277-01-01 00:00:00'],
      timestamptz: ['2024-01-01 00:00:00', '2024-01-01 00:00:00+16', '2024-01-01 00:00:00 UTC'],
      interval: ['', '1', '1 week', 'P1D', '1 day ago', '1-2', '1 day 1 year'],
      uuid: ['', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', 'a0eebc999c0b4ef8bb6d6bb9bd380a11'],
      bytea: ['\\xabc', '\\x a', '\\9', 'a\\400'],
      json: [
        '',
        '{',
        '{"a":1,}',
        "{'a':1}",
        '01',
        '[1]x',
        '"\\x"',
        '\u00a01',
        `${'['.repeat(300)}${']'.repeat(300)}`,
      ],
      jsonb: ['{"a":1}', '{"b": 1, "a": 2}', '{"a": 1, "a": 2}', '1e3', '-0', '"\\u00e9"', '{"\\n": 1}'],
      inet: ['', '10', '10.0.0', '010.0.0.1', '10.0.0.1/33', '::1/129', 'ABCD::1', '1::2::3'],
      cidr: ['10.0.0.0', '10.0.0.1/8'],
      name: ['x'.repeat(64)],
    };
    for (const [name, texts] of Object.entries(left) as [TypeName, readonly string[]][]) {
      for (const text of texts) {
        const read = decodeText(typeOids[name], -1, utf8.encode(text), defaultSettings);
        assert.equal(hex(read), undefined, `${name} ${text}`);
      }
    }
    for (const text of [
      '',
      '{',
      '{1,}',
      '{1}}',
      '{{1},{2,3}}',
      '{ 1}',
      '{1 }',
      '{{}}',
      '[1:2]={1}',
      '[2:1]={}',
      '{{{{{{{1}}}}}}}',
      '{1}x',
    ]) {
      assert.equal(decodeText(arrayOids.int4, -1, utf8.encode(text), defaultSettings), undefined, text);
    }
  });
});
