import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { count } from '../../../test/heavy/support/scale.js';
import { arrayOids, type TypeName, typeNames, typeOids } from '../types.js';
import { arrayTexts, mutated, scalarTexts } from './arbitraries.test.js';
import { binaryAcceptable, decodeText, defaultSettings, encodeText } from './codecs.js';
import { postgresForms } from './postgres-values.test.js';
import { startServers, type TestServer } from './test-server.test.js';

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
});
